"""A house whose model speaks Anthropic's format, from its file to the endpoint and back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection

from rookery import users
from rookery.config import Config, load
from rookery.errors import ConfigError
from rookery.gateway.home import Home
from rookery.gateway.house import House, open_house
from rookery.gateway.log import silent_log
from rookery.gateway.operations import Desk
from rookery.gateway.operations.checks import models
from rookery.gateway.shapes import Nothing
from rookery.ids import AgentId
from rookery.messages import MessageEntry, Role, StopReason, ThinkingPart, ToolCallPart
from tests.gateway.test_house import add, ask
from tests.support.fake_anthropic import FakeAnthropic

FILE = """
models:
  default: anthropic/think-tool:time
  providers:
    anthropic:
      api: anthropic
      baseUrl: {url}
      maxOutputTokens: 3000
      extraBody: {{ thinking: {{ type: enabled, budget_tokens: 2000 }} }}
  sharedKeys:
    house: {{ provider: anthropic, keyFrom: "env:CLAUDE_KEY" }}
"""


@asynccontextmanager
async def opened(home: Path, text: str) -> AsyncGenerator[tuple[House, Config]]:
    place = Home(home)
    place.prepare()
    place.config.write_text(text)
    read = await asyncio.to_thread(load, place.config, {"CLAUDE_KEY": "sk-ant-house"})
    async with open_house(place, read, now=lambda: datetime.now(UTC), log=silent_log(), grace=0.05) as house:
        yield house, read


async def test_a_turn_with_thoughts_and_a_tool_goes_all_the_way(tmp_path: Path) -> None:
    """The strict endpoint takes each request: the key, the thought of the step before, all that was said."""
    claude = FakeAnthropic()
    await claude.start()
    async with opened(tmp_path, FILE.format(url=claude.base_url)) as (house, _):
        await add(house, "alice")
        await house.database.write(_grant)
        await house.gateway.start()
        for number in range(3):
            assert (await ask(house, "alice", f"m{number}", "What time is it?")).startswith("time said: ")
        entries = await _entries(house)
    await claude.stop()

    assert [entry.stop_reason for entry in entries[1:4:2]] == [StopReason.TOOL_CALLS, StopReason.STOP]
    thought, call = entries[1].content
    assert isinstance(thought, ThinkingPart)
    assert isinstance(call, ToolCallPart)
    assert (entries[1].provider, bool(thought.signature)) == ("anthropic", True)
    assert claude.counted.keys() == {"sk-ant-house"}
    used = [entry.usage for entry in entries if entry.role is Role.ASSISTANT and entry.usage is not None]
    for field in ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens"):
        assert sum(getattr(usage, field) for usage in used) == getattr(claude.counted["sk-ant-house"], field)
    assert claude.last.json["max_tokens"] == 3000


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
async def test_the_address_may_be_written_either_way(tmp_path: Path, end: str) -> None:
    """With or without the /v1; it is asked whether it answers without a key, which is answer enough."""
    claude = FakeAnthropic()
    await claude.start()
    url = claude.base_url.removesuffix("/v1") + end
    async with opened(tmp_path, FILE.format(url=url)) as (house, config):
        await add(house, "alice")
        await house.database.write(_grant)
        await house.gateway.start()
        assert await ask(house, "alice", "m1", "What time is it?")
        desk = Desk(house, config, None, None, datetime.now(UTC))
        [finding] = await models(desk, Nothing())
    await claude.stop()

    assert (finding.check, finding.level) == ("model server anthropic", "ok")
    assert claude.last.path == "/v1/models"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("extraBody: { messages: [] }", "extraBody holds 'messages', which Rookery writes itself"),
        ("extraBody: { max_tokens: 7 }", "extraBody holds 'max_tokens'; write maxOutputTokens"),
        ("extraBody: { max_completion_tokens: 7 }, maxOutputTokens: 5", "extraBody holds 'max_completion_tokens'"),
        ("extraBody: [1]", "extraBody must be fields by name"),
        ("extraBody: { temperature: .inf }", "extraBody holds a number that JSON does not know"),
        ("replayThinking: yes", "replayThinking must be one of never, turn, always"),
        ("maxOutputTokens: 0", "maxOutputTokens must be 1 or more"),
    ],
)
def test_what_a_server_cannot_be_told_is_refused(tmp_path: Path, fields: str, words: str) -> None:
    """With the key that is wrong, and what to write instead."""
    path = tmp_path / "rookery.yaml"
    path.write_text(f"models: {{ providers: {{ openai: {{ api: openai, {fields} }} }} }}\n")
    with pytest.raises(ConfigError, match=f"models.providers.openai.{words}"):
        load(path, {})


def test_further_fields_are_plain_values(tmp_path: Path) -> None:
    """Whatever they were filled from; what is written for an editor stays as it is."""
    path = tmp_path / "rookery.yaml"
    path.write_text(
        'models: { providers: { openai: { api: openai, extraBody: { a: "${NAME}", b: [1, { c: null }] } } } }'
    )
    provider = load(path, {"NAME": "x"}).models.provider("openai")

    assert provider is not None
    assert provider.extra_body == {"a": "x", "b": [1, {"c": None}]}
    assert type(provider.extra_body["a"]) is str


def _grant(connection: Connection) -> None:
    users.grant_key(connection, AgentId("alice"), "house", now=datetime.now(UTC))


async def _entries(house: House) -> list[MessageEntry]:
    async with house.brains.use(AgentId("alice")) as brain:
        [summary] = await brain.sessions(10)
        session = await brain.session(summary.session_id)
        return [entry for entry in session.entries if isinstance(entry, MessageEntry)]
