"""`offline/demo`: a model of fixed rules that needs nothing, so that everything can be tried without a key.

It is no language model and says so. It answers from the conversation alone: what was stated there can be asked
for again. In plain words it can be asked to call the tools it is given. The same request always gets the same
reply. `demo_facts` understands statements, `demo_tools` wishes for tools; this page answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from re import Match

import msgspec

from rookery.messages import MessageEntry, Role, SenderNote, StopReason, TextPart, ToolCallPart, text_of
from rookery.models.demo_facts import Fact, facts_in, key_of, sentences, to_you
from rookery.models.demo_tools import result_in_words, wished_calls
from rookery.models.port import ModelReply, ModelRequest, ModelStream, TextDelta, ToolCallDelta, ToolSpec
from rookery.models.words import estimated, pieces

INTRODUCTION = (
    "I am Rookery's offline demo model: no language model, only a few fixed rules, "
    "here so that you can try everything without a key."
)


class DemoModel:
    """The offline model; it holds nothing and may be used from any number of conversations at once."""

    async def stream(self, request: ModelRequest) -> ModelStream:
        """Answer at once, word by word, as `Model` promises. Never fails."""
        conversation = _Conversation.of(request)
        calls = (
            () if conversation.results else wished_calls(conversation.text, request.tools, len(request.history))
        )
        if calls:
            for index, call in enumerate(calls):
                yield ToolCallDelta(index, call.name, msgspec.json.encode(call.arguments).decode())
            content: tuple[TextPart | ToolCallPart, ...] = calls
        else:
            text = _answer(conversation)
            for piece in pieces(text):
                yield TextDelta(piece)
            content = (TextPart(text),)
        reason = StopReason.TOOL_CALLS if calls else StopReason.STOP
        yield ModelReply(content, reason, estimated(request, content))

    async def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class _Conversation:
    """A request as the rules see it."""

    text: str
    """What is to be answered."""
    speaker: SenderNote | None
    """Who said it, where several people may."""
    earlier: tuple[MessageEntry, ...]
    """What people said before it."""
    answers: int
    """How often we have answered in words."""
    results: tuple[MessageEntry, ...]
    """What the tools said that were called for it."""
    tools: tuple[ToolSpec, ...]
    context: str

    @classmethod
    def of(cls, request: ModelRequest) -> _Conversation:
        entries = [message.entry for message in request.history]
        asked = max((index for index, entry in enumerate(entries) if entry.role is Role.USER), default=None)
        before, current = ([], None) if asked is None else (entries[:asked], entries[asked])
        earlier = tuple(entry for entry in before if entry.role is Role.USER)
        speaker = current.sender if current is not None else None
        answered = (entry for entry in before if entry.role is Role.ASSISTANT and text_of(entry))
        return cls(
            text=_text(current) if current is not None else "",
            speaker=speaker,
            earlier=earlier,
            answers=sum(1 for _ in answered),
            results=tuple(entry for entry in entries[len(before) :] if entry.role is Role.TOOL_RESULT),
            tools=tuple(request.tools),
            context=request.context,
        )

    def own_words(self) -> list[str]:
        """What this speaker said earlier, in order."""
        return [_text(entry) for entry in self.earlier if _same(entry.sender, self.speaker)]

    def facts(self) -> Iterator[Fact]:
        """What was stated and this speaker may hear, the latest last."""
        for fact in facts_in(self.context[:_READ]):
            yield fact.recalled()
        for entry in self.earlier:
            mine = _same(entry.sender, self.speaker)
            yield from (fact for fact in facts_in(_text(entry)) if mine or not fact.personal)


def _same(one: SenderNote | None, other: SenderNote | None) -> bool:
    """Whether both are one person; a display name is nobody's proof."""
    if one is None or other is None:
        return one is other
    return (one.channel, one.account, one.id) == (other.channel, other.account, other.id)


def _answer(conversation: _Conversation) -> str:
    if conversation.results:
        words = "\n".join(result_in_words(result) for result in conversation.results)
    else:
        words = " ".join(dict.fromkeys(_answers(conversation))) or "You sent no words, so I have none to go by."
    if conversation.answers == 0 and INTRODUCTION not in words:
        words = f"{INTRODUCTION}\n\n{words}"
    return words


def _answers(conversation: _Conversation) -> Iterator[str]:
    for sentence in sentences(conversation.text):
        for pattern, rule in _RULES:
            match = pattern.fullmatch(sentence.words)
            if match is not None:
                yield rule(conversation, match)
                break
        else:
            facts = [] if sentence.is_question else list(facts_in(sentence.words))
            if facts:
                yield f"Noted: {facts[0].said}."
            elif sentence.is_question:
                yield "I do not know: nothing in our conversation says that."
            else:
                count = len(conversation.own_words()) + 1
                yield f"You said “{_short(sentence.words)}”; that is in message {count} of yours here."


def _introduce(conversation: _Conversation, _: Match[str]) -> str:
    tools = ", ".join(tool.name for tool in conversation.tools)
    able = f" I can call these tools: {tools} (say “use the {conversation.tools[0].name} tool”)." if tools else ""
    return f"{INTRODUCTION} Tell me “my locker code is 4711”, then ask “what is my locker code?”.{able}"


def _no_such_tool(conversation: _Conversation, match: Match[str]) -> str:
    able = ", ".join(tool.name for tool in conversation.tools) or "none"
    return f"There is no tool “{match['tool']}” here; the tools I can call: {able}."


def _greet(_: _Conversation, __: Match[str]) -> str:
    return "Hello."


def _what_was_said(conversation: _Conversation, _: Match[str]) -> str:
    said = conversation.own_words()
    if not said:
        return "This is the first thing you say here."
    return "You said: " + "; ".join(f"“{_short(text)}”" for text in said[-_LISTED:]) + "."


def _what_is_known(conversation: _Conversation, _: Match[str]) -> str:
    latest = {
        fact.key if fact.single else fact.said: fact for fact in conversation.facts() if not fact.from_context
    }
    if not latest:
        return "I know nothing about you: nothing in our conversation says anything."
    return "From our conversation I know: " + "; ".join(fact.said for fact in latest.values()) + "."


def _count(conversation: _Conversation, _: Match[str]) -> str:
    mine, all_of_them = len(conversation.own_words()) + 1, len(conversation.earlier) + 1
    others = f", others {all_of_them - mine}" if all_of_them > mine else ""
    return (
        f"You have written {mine} message{'s' * (mine != 1)} here{others}; I have answered {conversation.answers}."
    )


def _recall(conversation: _Conversation, match: Match[str]) -> str:
    return _recall_thing(conversation, match["thing"])


def _recall_name(conversation: _Conversation, _: Match[str]) -> str:
    return _recall_thing(conversation, "my name")


def _recall_thing(conversation: _Conversation, thing: str) -> str:
    wanted = key_of(thing)
    found = [fact for fact in conversation.facts() if fact.key == wanted]
    if not found:
        return f"I do not know {to_you(_short(thing))}: nothing in our conversation says it."
    told = [found[-1]] if found[-1].single else found
    return " ".join(f"{fact.said[:1].upper()}{fact.said[1:]}." for fact in dict.fromkeys(told))


def _text(entry: MessageEntry) -> str:
    return text_of(entry)[:_READ]


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _SHOWN else words[: _SHOWN - 1] + "…"


_READ = 8_000  # characters of a text that the rules look at; they must stay quick whatever is written
_SHOWN = 160
_LISTED = 10

_Rule = Callable[[_Conversation, Match[str]], str]


def _rules(*table: tuple[str, _Rule]) -> tuple[tuple[re.Pattern[str], _Rule], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), rule) for pattern, rule in table)


_RULES = _rules(
    (r"(?:who|what) (?:exactly )?are you(?: .*)?|what model (?:is this|are you)|are you (?:an? )?.*", _introduce),
    (r"help|what can you do(?: .*)?|(?:what|which) tools .*|introduce yourself", _introduce),
    (r"(?:please )?(?:use|call|run|invoke|try) the (?P<tool>[\w.-]+) tool(?: .*)?", _no_such_tool),
    (r"(?:hello|hi|hey|good (?:morning|afternoon|evening))(?: there| everyone| all)?", _greet),
    (
        r"what did i (?:just )?(?:say|write|tell you|ask)(?: .*)?|what have i (?:said|told you)(?: .*)?",
        _what_was_said,
    ),
    (r"what do you (?:know|remember)(?: (?:about|of) (?:me|us)| so far)?", _what_is_known),
    (r"(?:please )?summari[sz]e.*|(?:what is|give me) (?:a|the) summary.*", _what_is_known),
    (r"how many messages.*|how often .* (?:written|said).*", _count),
    (r"who am i|what am i called|what do you call me", _recall_name),
    (r"(?:what|who|where|when|which|how (?:old|big|long|far))(?:'s| is| are| was| were) (?P<thing>.+)", _recall),
    (r"(?:please )?(?:tell|remind|give) me (?:about |of )?(?P<thing>.+)", _recall),
    (r"(?:do|can) you (?:still )?(?:know|remember|tell me) (?P<thing>.+)", _recall),
    (r"what do you (?:know|remember) (?:about|of) (?P<thing>.+)", _recall),
    (r"(?:what|who|where|which .+|when) (?:do|did) i (?P<thing>\w+)(?: .*)?", _recall),
)
