"""Endpoints that hang, refuse, limit and break, over real connections: who answers, and who is told what."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rookery import users
from rookery.config import Config
from rookery.errors import ModelError, ModelErrorKind
from rookery.gateway.operations import checks
from rookery.gateway.providers import Provider, SharedKey
from rookery.gateway.shapes import Nothing
from rookery.ids import AgentId
from rookery.messages import StopReason, ToolCallPart
from rookery.models import Key, Model, ToolSpec
from rookery.models.openai import OpenAIModel
from rookery.models.scripted import ScriptedModel, Step
from rookery.outbound.lazy import LazyOutbound
from rookery.tools import ToolContext
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.fake_openai import FakeOpenAI
from tests.support.house import TestHouse

HEARD = "word1 word2 "


class Ring:
    """A house with two servers of models, of which the second is asked when the first does not answer."""

    def __init__(self, house: TestHouse, main: FakeOpenAI, spare: FakeOpenAI, outbound: LazyOutbound) -> None:
        self.house = house
        self.main = main
        self.spare = spare
        self.outbound = outbound

    def server(self, name: str, base_url: str, *, keyless: bool = True, **facts: Any) -> Provider:
        """A provider at an address."""

        def open_client() -> Model:
            return OpenAIModel(self.outbound, base_url, name=name, now=self.house.clock.now)

        return Provider(name, open_client, keyless, made_from=(base_url, facts), **facts)

    async def asks(
        self,
        model: str,
        *fallbacks: str,
        keys: Mapping[str, SharedKey] | None = None,
        more: Sequence[Provider] = (),
        **facts: Any,
    ) -> None:
        """Configure the providers anew: `main` with these facts, and `spare`."""
        main = self.server("main", self.main.base_url, **facts)
        known = [main, self.server("spare", self.spare.base_url), *more]
        await self.house.gateway.providers.replace(
            {one.name: one for one in known}, keys or {}, model, fallbacks or ("spare/instant",)
        )

    async def says(self, sender: str, text: str = "hello") -> str:
        """Somebody writes, and hears this."""
        before = len(self.house.telegram.heard_by(sender))
        await self.house.telegram.says(sender, text)
        await self.house.idle()
        [heard] = self.house.telegram.heard_by(sender)[before:]
        return heard

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of the log of this event."""
        lines = [msgspec.json.decode(line, type=dict[str, Any]) for line in self.house.log_text.splitlines()]
        return [line for line in lines if line["event"] == event]


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncGenerator[Ring]:
    main, spare, outbound = FakeOpenAI(), FakeOpenAI(), LazyOutbound()
    await outbound.warm()
    await main.start()
    await spare.start()
    async with TestHouse(tmp_path) as house:
        await house.person("alice", telegram="a1")
        await house.person("bob", telegram="b1")
        yield Ring(house, main, spare, outbound)
    await outbound.close()
    await main.stop()
    await spare.stop()


async def test_one_that_hangs_is_left_for_the_next(ring: Ring):
    """Within the seconds the operator gives it; the log says who was asked, and who answered in the end."""
    await ring.asks("main/hang", first_token_seconds=0.05)
    assert await ring.says("a1") == HEARD
    [failed] = ring.logged("model.failed")
    assert (failed["model"], failed["kind"]) == ("main/hang", "timed_out")
    [end] = ring.logged("turn.end")
    assert (end["model"], end["calls"], end["status"]) == ("spare/instant", 2, "done")
    await ring.main.until(lambda: ring.main.hung_up == 1)
    assert ring.house.gateway.capacity.running == 0
    assert await ring.says("b1") == HEARD
    assert ring.main.counts["hang"] == 1
    [skipped] = ring.logged("model.skipped")
    assert (skipped["model"], skipped["kind"]) == ("main/hang", "timed_out")


async def test_a_storm_of_429_is_not_answered_by_a_storm(ring: Ring):
    """Twenty messages in the seconds of the hint: one is refused, all are answered; then it is asked again."""
    await ring.asks("main/429")
    for number in range(10):
        assert await ring.says("a1", f"question {number}") == HEARD
        assert await ring.says("b1", f"question {number}") == HEARD
    assert len(ring.main.requests) == 1
    assert len(ring.spare.requests) == 20
    await ring.house.clock.passes(7)
    assert await ring.says("a1") == HEARD
    assert len(ring.main.requests) == 2


async def test_a_refused_connection_is_known_at_once(ring: Ring):
    """Nobody listens there; the next one is asked without a noticeable wait."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    nobody = ring.server("nobody", f"http://127.0.0.1:{port}/v1")
    await ring.asks("nobody/instant", more=[nobody])
    began = time.monotonic()
    assert await ring.says("a1") == HEARD
    assert time.monotonic() - began < 2
    [failed] = ring.logged("model.failed")
    assert failed["kind"] == "unreachable"


async def test_what_has_begun_is_not_begun_anew_elsewhere(ring: Ring):
    """The person has the beginning and is told that it broke off; the second server hears nothing of it."""
    await ring.asks("main/break-mid-stream")
    told = "The answer broke off. Please write again in a while."
    assert await ring.says("a1") == f"{HEARD}\n\n{told}"
    assert not ring.spare.requests
    [end] = ring.logged("turn.end")
    assert (end["level"], end["calls"], end["error"]) == ("warning", 1, "broken_off")


async def test_a_refusal_is_taken_to_nobody_else(ring: Ring):
    """And a prompt that is too long neither: that is the session's to mend."""
    await ring.asks("main/context-too-long")
    assert (await ring.says("a1")).startswith("This conversation has become too long")
    assert not ring.spare.requests


async def test_when_all_fail_the_person_is_told_what_helps(ring: Ring):
    """When to write again, though the last one only lacked a key."""
    keyless = ring.server("paid", ring.spare.base_url, keyless=False)
    await ring.asks("main/429", "spare/500", "paid/instant", more=[keyless])
    words = "The model takes no more questions at the moment. Please write again in 7 seconds."
    assert await ring.says("a1") == words
    [skipped] = ring.logged("model.skipped")
    assert (skipped["model"], skipped["kind"]) == ("paid/instant", "no_key")
    [end] = ring.logged("turn.end")
    assert (end["model"], end["calls"], end["error"]) == ("main/429", 2, "rate_limited")


async def test_a_wrong_key_of_one_agent_leaves_the_other_s_alone(ring: Ring):
    """Two keys of one provider: Alice's is refused, and only hers is not asked with for a while."""
    model = ScriptedModel(
        lambda request: ModelError(ModelErrorKind.WRONG_KEY, "no") if request.key == Key("sk-bad") else "hello"
        for _ in range(9)
    )
    keys = {"a": SharedKey("scripted", Key("sk-bad")), "b": SharedKey("scripted", Key("sk-good"))}
    scripted = Provider("scripted", lambda: model, keyless=False)
    await ring.asks("scripted/m", keys=keys, more=[scripted])
    now = ring.house.clock.now()
    for name, key in (("alice", "a"), ("bob", "b")):
        agent_id = AgentId(name)
        await ring.house.database.write(lambda c, a=agent_id, k=key: users.grant_key(c, a, k, now=now))
    for _ in range(2):
        assert await ring.says("a1") == HEARD
        assert await ring.says("b1") == "hello"
    assert [request.key for request in model.requests] == [Key("sk-bad"), Key("sk-good"), Key("sk-good")]
    [skipped] = ring.logged("model.skipped")
    assert (skipped["agent"], skipped["key"]) == ("alice", "a")
    assert "sk-bad" not in ring.house.log_text


async def test_each_request_carries_the_salt_of_who_asks(ring: Ring):
    """The same in each of Alice's turns, another in Bob's; and none where the operator did not say so."""
    await ring.asks("main/instant", cache_salt=True)
    for sender in ("a1", "b1", "a1"):
        assert await ring.says(sender) == HEARD
    alice, bob, again = (request.json["cache_salt"] for request in ring.main.requests)
    assert alice == again != bob
    ring.main.requests.clear()
    await ring.asks("main/instant")
    await ring.says("a1")
    assert "cache_salt" not in ring.main.last.json


async def test_the_doctor_says_what_is_left_alone(ring: Ring):
    """Which provider, with which key or for which model, how long, and why; never a secret."""
    for model in ("main/404", "main/429"):
        await ring.asks(model)
        assert await ring.says("a1") == HEARD
    config = Config.model_validate(
        {"models": {"providers": {"main": {"api": "openai", "baseUrl": ring.main.base_url}}}}
    )
    desk = AtTheDesk(ring.house, config=config).operator
    found = await checks.models(desk, Nothing())
    await desk.house.outbound.close()
    assert [(one.check, one.level) for one in found] == [
        ("model server main", "ok"),
        ("model server main", "warn"),
        ("model server main", "warn"),
    ]
    said = [one.detail for one in found[1:]]
    assert said == [
        "It is not asked for '404' for another 300 s, unless nothing else is left: unknown model.",
        "It is not asked without a key for another 7 s, unless nothing else is left: rate limited.",
    ]


class Revoking:
    """A tool in whose call something is changed."""

    spec = ToolSpec("look", "Looks.", {"type": "object"})
    effects = False

    def __init__(self) -> None:
        self.house: TestHouse

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        del arguments, context
        await self.house.database.write(lambda c: users.ungrant_key(c, AgentId("alice"), "house"))
        return "looked"


async def test_a_key_that_is_revoked_in_the_middle_of_a_run_stops_its_next_call(tmp_path: Path):
    """The first step went by it; the second is not asked with it, and the person is told why."""
    tool = Revoking()
    async with TestHouse(tmp_path, tools=[tool]) as house:
        tool.house = house
        await house.person("alice", telegram="a1")
        model = ScriptedModel([Step(calls=(ToolCallPart("c1", "look", {}),)), "not asked"])
        scripted = Provider("scripted", lambda: model, keyless=False)
        keys = {"house": SharedKey("scripted", Key("secret"))}
        await house.gateway.providers.replace({"scripted": scripted}, keys, "scripted/m")
        now = house.clock.now()
        await house.database.write(lambda c: users.grant_key(c, AgentId("alice"), "house", now=now))
        await house.telegram.says("a1", "look around")
        await house.idle()
        [told] = house.telegram.heard_by("a1")
        assert told.startswith("I have no key for this model yet")
        assert len(model.requests) == 1
        [session] = await house.sessions("alice")
        last = (await house.entries("alice", session.session_id))[-1]
        assert (last.stop_reason, last.error_kind) == (StopReason.ERROR, "no_key")


async def test_a_model_that_is_gone_is_answered_by_the_fallback(ring: Ring):
    """Its provider was taken out of the file while agents still name it; the operator finds it in the log."""
    await ring.asks("main/instant")
    await ring.house.database.write(lambda c: users.set_model(c, AgentId("alice"), "gone/model"))
    assert await ring.says("a1") == HEARD
    assert len(ring.logged("agent.model_unknown")) == 1
