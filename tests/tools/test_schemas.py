"""What the model is told of tools: nothing in it names a person, and everything of it is sound."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import pytest

from rookery.gateway.gateway import Gateway
from rookery.tools import TimeTool, Tool

TOOLS: tuple[Tool, ...] = (TimeTool(),)
"""Every tool of this version."""

_WHO = re.compile(
    r"^(user|users|owner|sponsor|person|member|guest|principal|actor|sender|agent|tenant|account|identity|on_?behalf_?of)"
    r"(_?(id|ids|name|key))?$",
    re.IGNORECASE,
)
"""A field by which a model could say for whom a call is made. That is known, and never one of its arguments."""


def names(schema: object) -> Iterator[str]:
    """Every field a schema has, at any depth."""
    if isinstance(schema, dict):
        known = cast("dict[str, Any]", schema)
        properties = known.get("properties")
        if isinstance(properties, dict):
            yield from cast("dict[str, Any]", properties)
        for value in known.values():
            yield from names(value)
    elif isinstance(schema, list):
        for value in cast("list[Any]", schema):
            yield from names(value)


def test_every_tool_is_looked_at() -> None:
    """One that the gateway has, and is not in the list above, fails here."""
    defaults = Gateway.__init__.__kwdefaults__
    assert defaults is not None
    assert {type(tool) for tool in defaults["tools"]} == {type(tool) for tool in TOOLS}


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.spec.name)
def test_no_tool_takes_a_principal(tool: Tool) -> None:
    """No field says who asks, and none is let in unseen."""
    assert [name for name in names(tool.spec.parameters) if _WHO.match(name)] == []
    assert tool.spec.parameters["type"] == "object"
    assert tool.spec.parameters.get("additionalProperties") is False, "what is not described is not taken"


@pytest.mark.parametrize(
    "name", ["userId", "user_id", "user", "agentId", "owner", "tenantId", "onBehalfOf", "account", "senderId"]
)
def test_the_check_finds_what_it_is_for(name: str) -> None:
    """At any depth, in any of the spellings."""
    deep = {"properties": {"what": {"type": "array", "items": {"anyOf": [{"properties": {name: True}}]}}}}
    assert [found for found in names(deep) if _WHO.match(found)] == [name]


@pytest.mark.parametrize("name", ["zone", "text", "usage", "personality", "agenda", "accounting"])
def test_and_nothing_else(name: str) -> None:
    """Words that only begin alike are fields like any other."""
    assert not _WHO.match(name)
