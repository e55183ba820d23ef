"""What English sentences state, as far as a few rules can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from re import Match


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that somebody stated."""

    key: str
    """What it is about, as a question would name it."""
    said: str
    """The statement, said to whoever made it: `your name is Alice`."""
    personal: bool
    """Whether it is about whoever said it, so that only they may ask for it."""
    single: bool
    """Whether a later statement about the same takes its place."""
    from_context: bool = False
    """Whether it was handed in with the question and not said in the conversation."""

    def recalled(self) -> Fact:
        """The same, as something handed in."""
        return replace(self, from_context=True)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence without its closing mark."""

    words: str
    is_question: bool


def sentences(text: str) -> Iterator[Sentence]:
    """A text's sentences; a line ends one too."""
    for part in _SENTENCE_END.split(text):
        words = part.strip(" \t-*•")
        bare = words.rstrip(" .!?…")
        if bare:
            yield Sentence(bare, words.endswith("?") or _ASKS.match(bare) is not None)


def facts_in(text: str) -> Iterator[Fact]:
    """What a text states, in order."""
    for sentence in sentences(text):
        if not sentence.is_question:
            fact = _stated(sentence.words)
            if fact is not None:
                yield fact


def key_of(thing: str) -> str:
    """The form in which two names of a thing are the same: `My  locker code` and `the locker code`."""
    return _DETERMINER.sub("", " ".join(thing.split())).casefold()


def to_you(words: str) -> str:
    """A statement turned to whoever made it: `I like my bike` becomes `you like your bike`."""
    turned = _PRONOUN.sub(lambda match: _YOURS[match.group().casefold()], words)
    return re.sub(r"\byou (am|was)\b", lambda match: f"you {'are' if match[1] == 'am' else 'were'}", turned)


def _stated(words: str) -> Fact | None:
    words = _GREETING.sub("", words)
    asked_to_remember = _REMEMBER.fullmatch(words)
    if asked_to_remember is not None:
        what = asked_to_remember["what"]
        # Only statements can be asked for one by one; anything else is still listed.
        return _stated(what) or Fact(
            key_of(what), f"you asked me to remember “{what}”", personal=True, single=False
        )
    for pattern, make in _STATEMENTS:
        match = pattern.fullmatch(words)
        if match is not None:
            return make(match)
    return None


def _name(match: Match[str]) -> Fact:
    return Fact("name", f"your name is {match['value']}", personal=True, single=True)


def _thing(match: Match[str]) -> Fact:
    personal = match["whose"].casefold() in {"my", "our"}
    return Fact(key_of(match["thing"]), _lower_first(to_you(match.group())), personal=personal, single=True)


def _done(match: Match[str]) -> Fact:
    return Fact(match["verb"].casefold(), to_you(match.group()), personal=True, single=False)


def _anything(match: Match[str]) -> Fact:
    return Fact(key_of(match["thing"]), to_you(match.group()), personal=False, single=True)


def _lower_first(words: str) -> str:
    return words[:1].lower() + words[1:]


_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")
_ASKS = re.compile(
    r"(?:what|who|where|when|why|how|which|whose|do|does|did|can|could|is|are|tell me|remind me|summari[sz]e)\b",
    re.IGNORECASE,
)
_DETERMINER = re.compile(r"^(?:my|our|the|a|an|this|your)\s+", re.IGNORECASE)
_GREETING = re.compile(
    r"(?:hello|hi|hey|good (?:morning|day|afternoon|evening))(?: there| all)?\b[,!:;.]*\s+", re.IGNORECASE
)
_REMEMBER = re.compile(
    r"(?:please )?(?:remember|note|keep in mind|don't forget|do not forget)(?: that| this)?[:,]?\s+(?P<what>.+)",
    re.IGNORECASE | re.DOTALL,
)
_YOURS = {
    "i": "you",
    "i'm": "you are",
    "i've": "you have",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "our": "your",
    "we": "you",
    "us": "you",
}
_PRONOUN = re.compile(
    r"(?<![\w'])(?:" + "|".join(sorted(_YOURS, key=len, reverse=True)) + r")(?![\w'])", re.IGNORECASE
)
_VERBS = "live|work|study|like|love|hate|prefer|need|want|own|have|play|speak|drive|eat|drink|come|am from"

_STATEMENTS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), make)
    for pattern, make in (
        (r"(?:my name is|my name's|i am called|i'm called|call me) (?P<value>.+)", _name),
        (r"(?P<whose>my|our|the|this) (?P<thing>.{1,60}?) (?:is|are|was|were|=) .+", _thing),
        (rf"i (?P<verb>{_VERBS}) .+", _done),
        (r"(?!(?:it|that|there|here|he|she|they|you|we|i) )(?P<thing>\w.{0,40}?) (?:is|are) .+", _anything),
    )
)
