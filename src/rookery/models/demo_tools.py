"""Which tool calls a text asks for in plain words, and a tool's result in words.

The rules know tools only by the specs that come with a request: any tool can be named, and a few are called for
by what they are good for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from rookery.messages import MessageEntry, ToolCallPart, text_of
from rookery.models.demo_facts import sentences
from rookery.models.port import ToolSpec


def wished_calls(text: str, tools: Sequence[ToolSpec], mark: int) -> tuple[ToolCallPart, ...]:
    """The calls that a text asks for, in order; `mark` makes their ids unlike those of earlier requests."""
    by_name = {tool.name.casefold(): tool for tool in tools}
    wishes = _named(text, by_name) or list(_described(text, by_name))
    return tuple(
        ToolCallPart(f"call_{mark}_{index}", tool.name, arguments)
        for index, (tool, arguments) in enumerate(wishes)
    )


def result_in_words(result: MessageEntry) -> str:
    """What a tool said, for a person to read."""
    name, text = result.tool_name or "tool", text_of(result).strip()
    if result.outcome_unknown:
        return f"Whether the {name} tool did its work is not known: {text}"
    if result.is_error:
        return f"The {name} tool failed: {text}"
    return f"The {name} tool says: {_in_words(text)}" if text else f"The {name} tool is done; it said nothing."


_Wish = tuple[ToolSpec, dict[str, Any]]


def _named(text: str, tools: dict[str, ToolSpec]) -> list[_Wish]:
    """`use the NAME tool with key=value …`; the arguments reach to the end of the text."""
    match = _USE.search(text)
    tool = tools.get(match["tool"].casefold()) if match is not None else None
    if match is None or tool is None:
        return []
    return [(tool, _arguments(match["arguments"] or "", tool))]


def _described(text: str, tools: dict[str, ToolSpec]) -> Iterator[_Wish]:
    for sentence in sentences(text):
        for pattern, name in _GOOD_FOR:
            match = pattern.fullmatch(sentence.words)
            tool = tools.get(name)
            if match is not None and tool is not None:
                yield tool, _first_argument(tool, match["argument"])
                break


def _arguments(written: str, tool: ToolSpec) -> dict[str, Any]:
    try:
        return msgspec.json.decode(written, type=dict[str, Any])
    except msgspec.DecodeError:
        pairs = [(match["key"], match["quoted"] or match["plain"]) for match in _PAIR.finditer(written)]
    if not pairs:
        return _first_argument(tool, written.strip(" .!?") or None)
    properties = _properties(tool)
    return {key: _typed(value, properties.get(key)) for key, value in pairs}


def _first_argument(tool: ToolSpec, value: str | None) -> dict[str, Any]:
    name = next(iter(_properties(tool)), None)
    if value is None or name is None:
        return {}
    return {name: _typed(value, _properties(tool)[name])}


def _properties(tool: ToolSpec) -> dict[str, Any]:
    # JSON schema: the properties of an object are an object
    return cast("dict[str, Any]", tool.parameters.get("properties") or {})


def _typed(value: str, schema: object) -> Any:
    """The value as its schema wants it, when it can be read so; otherwise as it was written."""
    wanted = (
        cast("dict[str, Any]", schema).get("type") if isinstance(schema, dict) else None
    )  # JSON has string keys
    if wanted in {None, "string"}:
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _in_words(text: str) -> str:
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return text
    return "; ".join(f"{key}: {value}" for key, value in fields.items()) + "."


_USE = re.compile(
    r"\b(?:use|call|run|invoke|try)\s++(?:the\s++)?(?:tool\s++)?[`\"“']?(?P<tool>[\w.-]*\w)[`\"”']?(?:\s++tool\b)?"
    r"(?:\s*+[:,]?\s*+(?:with|on|for|as|to)\s++|\s*+[:,]?\s*+)(?P<arguments>.*)",
    re.IGNORECASE | re.DOTALL,
)
_PAIR = re.compile(r"\b(?P<key>\w++)\s*+=\s*+(?:[\"“'](?P<quoted>[^\"”']*)[\"”']|(?P<plain>[^\s,]*[^\s,.!?]))")
_NOW = r"(?: (?:right )?now)?"
_GOOD_FOR = (
    (
        re.compile(
            r"(?:what|what's|what is|tell me|do you know|do you have)?\s*(?:what )?(?:the )?(?:current |local )?"
            rf"time(?: is it| it is)?{_NOW}(?: in (?P<argument>[\w/ +-]+?))?{_NOW}",
            re.IGNORECASE,
        ),
        "time",
    ),
)
"""What a sentence asks for, and the tool that is good for it; `argument` becomes the tool's first parameter."""
