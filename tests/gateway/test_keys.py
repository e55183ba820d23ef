"""Whose key opens which model: an agent's own, then the granted ones; and what comes of keys that fail or go."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from rookery import users
from rookery.errors import Conflict, InvalidInput, NotFound, Refused, RookeryError
from rookery.gateway.operations import Desk, keys, state
from rookery.gateway.providers import Provider, SharedKey
from rookery.gateway.shapes import (
    AgentKey,
    AgentNamed,
    KeyGrant,
    KeyList,
    KeyNamed,
    KeySet,
    KeyShare,
    Nothing,
    SharedKeyNamed,
)
from rookery.ids import AgentId, UserId
from rookery.models import Key, Model, ToolSpec
from rookery.models.openai import OpenAIModel
from rookery.outbound.lazy import LazyOutbound
from rookery.sessions.profiles import Profile
from rookery.tools import ToolContext
from rookery.usage import ledger
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.databases import fresh_database
from tests.support.fake_openai import FakeOpenAI
from tests.support.house import TestHouse

HEARD = "word1 word2 "
FIRST, SECOND, SHARED, NEW = (
    f"sk-{word}-of-this-test-0123456789" for word in ("first", "second", "shared", "new")
)
LOCKED = "it cannot be opened"


class Changing:
    """A tool in whose call something is changed."""

    spec = ToolSpec("look", "Looks.", {"type": "object"})
    effects = False

    def __init__(self) -> None:
        self.change: Any = None

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        del arguments, context
        if self.change is not None:
            await self.change()
        return "looked"


class Keyed:
    """A house with a server of models that wants a key, and a spare one that wants its own."""

    def __init__(self, house: TestHouse, main: FakeOpenAI, spare: FakeOpenAI, outbound: LazyOutbound) -> None:
        self.house = house
        self.main = main
        self.spare = spare
        self.outbound = outbound
        self.tool: Changing

    @property
    def desk(self) -> Desk:
        return AtTheDesk(self.house).operator

    def by(self, user_id: str, *, admin: bool = False) -> Desk:
        return AtTheDesk(self.house).by(user_id, admin=admin)

    async def asks(self, model: str = "main/instant", *fallbacks: str, **shared: SharedKey) -> None:
        """Configure the providers anew."""
        providers = {
            name: self._provider(name, server) for name, server in (("main", self.main), ("spare", self.spare))
        }
        await self.house.gateway.providers.replace(providers, shared, model, fallbacks)

    def _provider(self, name: str, server: FakeOpenAI) -> Provider:
        def open_client() -> Model:
            return OpenAIModel(self.outbound, server.base_url, name=name, now=self.house.clock.now)

        return Provider(name, open_client, keyless=False, made_from=server.base_url)

    async def set(
        self,
        key: str,
        profile: str = "default",
        *,
        agent: str = "alice",
        provider: str = "main",
        first: bool = False,
    ) -> AgentKey:
        """The operator gives an agent a key."""
        ask = KeySet(agent_id=agent, provider=provider, key=key, profile=profile, first=first)
        return await keys.set_key(self.desk, ask)

    async def revoke(self, profile: str | None = None, *, agent: str = "alice", provider: str = "main") -> None:
        await keys.revoke(self.desk, KeyNamed(agent_id=agent, provider=provider, profile=profile))

    async def share(self, name: str = "house", key: str = SHARED, *, to: Sequence[str] = ("alice",)) -> None:
        """The operator shares a key out."""
        await keys.share(self.desk, KeyShare(name=name, provider="main", key=key))
        for agent in to:
            await keys.grant(self.desk, KeyGrant(agent_id=agent, shared_key=name))

    async def says(self, sender: str = "a1", text: str = "hello") -> str:
        """Somebody writes, and hears this."""
        before = len(self.house.telegram.heard_by(sender))
        await self.house.telegram.says(sender, text)
        await self.house.idle()
        [heard] = self.house.telegram.heard_by(sender)[before:]
        return heard

    def sent(self) -> list[str]:
        """The keys that came with the requests since this was asked last."""
        found = [request.key for request in self.main.requests]
        self.main.requests.clear()
        return found

    async def of(self, agent: str = "alice") -> list[AgentKey]:
        return await keys.of_agent(self.desk, AgentNamed(agent_id=agent))

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [msgspec.json.decode(line, type=dict[str, Any]) for line in self.house.log_text.splitlines()]
        return [line for line in lines if line["event"] == event]

    async def calls(self) -> int:
        """How many calls of models the ledger has."""
        return len(await self.house.database.read(lambda c: list(c.execute(select(ledger.ledger)))))


@pytest.fixture(params=["sqlite", "postgresql"])
async def keyed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Keyed]:
    main, spare, outbound, tool = FakeOpenAI(), FakeOpenAI(), LazyOutbound(), Changing()
    await outbound.warm()
    await main.start()
    await spare.start()
    with ExitStack() as stack:
        postgres = stack.enter_context(fresh_database()) if request.param == "postgresql" else None
        async with TestHouse(tmp_path, tools=[tool], postgres=postgres) as house:
            await house.person("alice", telegram="a1")
            await house.person("bob", telegram="b1")
            keyed = Keyed(house, main, spare, outbound)
            keyed.tool = tool
            await keyed.asks()
            yield keyed
    await outbound.close()
    await main.stop()
    await spare.stop()


# --- which key ---------------------------------------------------------------------------------------------------


async def test_own_keys_come_first_then_shared_ones_then_the_next_model(keyed: Keyed):
    """Each in its order: what fails with one key is tried with the next, and only then elsewhere."""
    await keyed.asks("main/instant", "spare/instant")
    await keyed.share()
    await keyed.set(SECOND, "second")
    await keyed.set(FIRST, "first", first=True)
    await keyed.set("sk-elsewhere-0123456789", provider="spare")
    assert await keyed.says() == HEARD
    assert keyed.sent() == [FIRST]
    for key in (FIRST, SECOND, SHARED):
        keyed.main.refuse(key, 401)
    assert await keyed.says() == HEARD
    assert keyed.sent() == [FIRST, SECOND, SHARED]
    assert keyed.spare.last.key == "sk-elsewhere-0123456789"
    [end] = [line for line in keyed.logged("turn.end") if line["calls"] == 4]
    assert end["model"] == "spare/instant"
    assert FIRST not in keyed.house.log_text


async def test_a_session_goes_on_with_the_key_that_answered_it(keyed: Keyed):
    """It does not jump back when the first may be asked again, but goes on when its own fails; a new one begins
    with the first."""
    await keyed.set(FIRST, "first")
    await keyed.set(SECOND, "second")
    keyed.main.refuse(FIRST, 429)
    assert await keyed.says() == HEARD
    assert keyed.sent() == [FIRST, SECOND]
    keyed.main.refused.clear()
    await keyed.house.clock.passes(3600)
    assert await keyed.says() == HEARD
    assert keyed.sent() == [SECOND]
    await keyed.says(text="/new")
    assert await keyed.says() == HEARD
    assert keyed.sent() == [FIRST]
    await keyed.revoke("first")
    assert await keyed.says() == HEARD
    assert keyed.sent() == [SECOND]


async def test_after_a_restart_a_key_that_cools_is_left_alone_and_stickiness_is_forgotten(keyed: Keyed):
    """What is kept is what failed; which key answered last is not."""
    await keyed.set(FIRST, "first")
    await keyed.set(SECOND, "second")
    keyed.main.refuse(FIRST, 402)
    assert await keyed.says() == HEARD
    assert keyed.sent() == [FIRST, SECOND]
    for again in (keyed.house.restart, keyed.house.crash):
        await again()
        await keyed.asks()
        assert await keyed.says() == HEARD
        assert keyed.sent() == [SECOND]
    keyed.main.refused.clear()
    await keyed.house.clock.passes(61)
    await keyed.house.restart()
    await keyed.asks()
    assert await keyed.says() == HEARD
    assert keyed.sent() == [FIRST]
    await keyed.house.restart()
    assert [one.cooling for one in await keyed.of()] == [None, None]


async def test_a_friend_does_not_use_its_person_s_key(keyed: Keyed):
    """Nor the other way round: each agent has its own, though both are one person's."""
    house = keyed.house
    await house.database.write(
        lambda c: users.add_friend(
            c,
            UserId("alice"),
            "sabrina",
            name="Sabrina",
            now=house.clock.now(),
        )
    )
    await keyed.set(FIRST)
    endpoints = [await _endpoints(keyed, agent) for agent in ("alice", "alice--sabrina")]
    assert [[one.key for one in found] for found in endpoints] == [[Key(FIRST)], [None]]
    await keyed.set(SECOND, agent="alice--sabrina")
    endpoints = [await _endpoints(keyed, agent) for agent in ("alice", "alice--sabrina")]
    assert [[one.key for one in found] for found in endpoints] == [[Key(FIRST)], [Key(SECOND)]]


async def _endpoints(keyed: Keyed, agent_id: str) -> Any:
    gateway = keyed.house.gateway
    agent = await gateway.database.read(lambda c: users.get_agent(c, AgentId(agent_id)))
    async with gateway.brains.use(agent.id) as brain:
        return await gateway.keyring.endpoints(agent, "s", agent_id, brain.profiles, ())  # pyright: ignore[reportArgumentType]


async def test_a_server_in_trouble_is_not_asked_with_every_key(keyed: Keyed):
    """Three keys, one request; the next model answers."""
    await keyed.asks("main/500", "spare/instant")
    for number in range(3):
        await keyed.set(f"sk-number-{number}-0123456789", f"p{number}")
    await keyed.set("sk-elsewhere-0123456789", provider="spare")
    assert await keyed.says() == HEARD
    assert len(keyed.sent()) == 1


async def test_two_agents_with_one_key_of_one_name_fail_apart(keyed: Keyed):
    """The same words under the same name are two keys: what happens to Alice's is nothing of Bob's."""
    for agent in ("alice", "bob"):
        await keyed.set(FIRST, agent=agent)
    keyed.main.refuse(FIRST, 401)
    assert (await keyed.says("a1")).startswith("The model does not accept the key")
    keyed.main.refused.clear()
    assert [one.cooling is None for one in (await keyed.of("alice"), await keyed.of("bob")) for one in one] == [
        False,
        True,
    ]
    assert await keyed.says("b1") == HEARD


# --- none --------------------------------------------------------------------------------------------------------


async def test_without_a_key_nothing_is_asked_and_nothing_spent(keyed: Keyed):
    """The agent says so, and how to give it one: to its own person also over the API."""
    told = await keyed.says()
    assert told.startswith("I have no key for this model yet, so nothing was asked and nothing was spent.")
    assert "rookery key set alice main" in told
    assert "POST /api/agents/alice/keys" in told
    assert keyed.sent() == []
    assert await keyed.calls() == 0


async def test_a_guest_is_not_told_how_this_house_gives_out_keys(keyed: Keyed):
    """Neither which agent and provider it is, nor the operator's command: it is nothing they could do."""
    house = keyed.house
    await house.shared_agent("desk", sponsor="alice", channel="telegram", account="default")
    house.account_rule("telegram", allow_from=frozenset({"g1"}))
    told = await keyed.says("g1")
    assert told.startswith("I have no key for this model yet")
    assert not any(word in told for word in ("rookery", "desk", "main", "/api/"))


async def test_a_key_that_cannot_be_opened_is_the_house_s_trouble(keyed: Keyed):
    """One that was moved here from another agent is no key; the log says so once, and nothing is spent."""
    await keyed.set(FIRST, agent="bob")
    async with keyed.house.gateway.brains.use(AgentId("bob")) as brain:
        stolen = await brain.profiles.all()
    async with keyed.house.gateway.brains.use(AgentId("alice")) as brain:
        await brain.profiles.change(lambda _: stolen)
    for _ in range(2):
        told = await keyed.says()
        assert LOCKED in told
        assert "trouble of this house" in told
    assert keyed.sent() == []
    assert await keyed.calls() == 0
    [line] = keyed.logged("key.locked")
    assert (line["level"], line["agent"], line["provider"], line["key"]) == (
        "error",
        "alice",
        "main",
        "profile:default",
    )
    await keyed.share()
    assert await keyed.says() == HEARD
    assert keyed.sent() == [SHARED]
    assert await keyed.says("b1") == HEARD
    assert keyed.sent() == [FIRST]


@pytest.mark.parametrize("shared", [False, True])
async def test_what_is_revoked_stops_the_next_call_of_a_turn_under_way(keyed: Keyed, shared: bool):
    """And is nothing to anybody else."""
    await keyed.asks("main/tool:look")
    if shared:
        await keyed.share(to=("alice", "bob"))
        await keyed.set(SECOND, agent="bob")
        revoke = lambda: keys.ungrant(keyed.desk, KeyGrant(agent_id="alice", shared_key="house"))  # noqa: E731
    else:
        await keyed.set(FIRST)
        await keyed.set(SECOND, agent="bob")
        revoke = keyed.revoke
    keyed.tool.change = revoke
    told = await keyed.says()
    assert told.startswith("I have no key for this model yet")
    assert keyed.sent() == [SHARED if shared else FIRST]
    keyed.tool.change = None
    assert await keyed.says("b1") == "look said: looked"
    assert keyed.sent() == [SECOND, SECOND]


async def test_a_key_that_is_changed_is_the_new_one_from_the_next_call_on(keyed: Keyed):
    """In its place in the order, and without what the old one cools for."""
    await keyed.set(FIRST, "first")
    await keyed.set(SECOND, "second")
    keyed.main.refuse(FIRST, 401)
    await keyed.says()
    assert keyed.sent() == [FIRST, SECOND]
    await keyed.set(NEW, "first")
    assert [(one.profile, one.cooling) for one in await keyed.of()] == [("first", None), ("second", None)]
    await keyed.says(text="/new")
    await keyed.says()
    assert keyed.sent() == [NEW]


# --- the desk ----------------------------------------------------------------------------------------------------


async def test_what_is_shown_of_keys(keyed: Keyed):
    """Provider, profile, last four, when, and what cools; to its person, to admins and the operator alone."""
    await keyed.set(FIRST)
    await keyed.share(to=("alice", "bob"))
    keyed.main.refuse(FIRST, 402)
    await keyed.says()
    now = keyed.house.clock.now()
    own, shared = await keyed.of()
    assert (own.provider, own.profile, own.last_four, own.added_at) == ("main", "default", FIRST[-4:], now)
    assert own.cooling is not None
    assert (own.cooling.reason, own.cooling.times) == ("no_credit", 0)
    assert (shared.shared_key, shared.last_four, shared.cooling) == ("house", SHARED[-4:], None)
    mine = await keys.of_agent(keyed.by("alice"), AgentNamed(agent_id="alice"))
    assert mine == [own, replace_struct(shared, last_four=None, added_at=None)]
    listed = await keys.listed(keyed.by("alice"), KeyList(agent_id="alice"))
    assert [one.agents for one in listed.shared] == [("alice",)]
    whole = await keys.listed(keyed.by("carol", admin=True), KeyList())
    assert whole.agents == (own,)
    assert [(one.name, one.source, one.agents) for one in whole.shared] == [("house", "store", ("alice", "bob"))]
    for desk, ask in ((keyed.by("bob"), KeyList(agent_id="alice")), (keyed.by("alice"), KeyList())):
        with pytest.raises((NotFound, Refused)):
            await keys.listed(desk, ask)
    assert (await state.status(keyed.desk, Nothing())).keys_cooling == 1
    shown = msgspec.json.encode([whole, mine]).decode()
    assert FIRST not in shown
    assert SHARED not in shown


def replace_struct(fact: AgentKey, **changes: Any) -> AgentKey:
    return msgspec.structs.replace(fact, **changes)


async def test_who_may_give_keys_and_take_them_away(keyed: Keyed):
    """Members to their own agents, admins to all; somebody else's agent is not even there."""
    ask = KeySet(agent_id="alice", provider="main", key=FIRST)
    revoke = KeyNamed(agent_id="alice", provider="main")
    await keyed.house.person("carol", admin=True)
    for desk in (keyed.by("alice"), keyed.by("carol", admin=True), keyed.desk):
        await keys.set_key(desk, ask)
        await keys.revoke(desk, revoke)
    for change in (keys.set_key(keyed.by("bob"), ask), keys.revoke(keyed.by("bob"), revoke)):
        with pytest.raises(NotFound, match="There is no agent 'alice'"):
            await change
    with pytest.raises(Refused):
        await keys.share(keyed.by("alice"), KeyShare(name="mine", provider="main", key=FIRST))
    record = [row for row in await AtTheDesk(keyed.house).record() if row[2].startswith("key.")]
    assert [row[:4] for row in record[:2]] == [
        ("user:alice", "alice", "key.set", f"alice main/default …{FIRST[-4:]}"),
        ("user:alice", "alice", "key.revoke", "alice main/default"),
    ]
    assert FIRST not in repr(record)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"key": "  \n"}, InvalidInput, "empty"),
        ({"key": "sk two words"}, InvalidInput, "a space"),
        ({"key": "sk\u00e9"}, InvalidInput, "another character"),
        ({"key": "sk\x07bell"}, InvalidInput, "another character"),
        ({"key": "x" * 8193}, InvalidInput, "8192 bytes"),
        ({"profile": "a/b"}, InvalidInput, "'a/b' cannot be the name of a profile"),
        ({"profile": ""}, InvalidInput, "cannot be the name"),
        ({"provider": "opnai"}, NotFound, "there are: main, spare"),
        ({"provider": "offline"}, NotFound, "there are: main, spare"),
        ({"agent_id": "alicia"}, NotFound, "there is alice"),
    ],
)
@pytest.mark.parametrize("keyed", ["sqlite"], indirect=True)
async def test_what_is_refused_says_why_and_never_what(
    keyed: Keyed, change: dict[str, str], error: type[RookeryError], words: str
):
    """The key that was sent is not in the words, and nothing is kept."""
    ask = replace_any(KeySet(agent_id="alice", provider="main", key=FIRST), **change)
    with pytest.raises(error, match=words) as caught:
        await keys.set_key(keyed.desk, ask)
    assert ask.key.strip() == "" or ask.key not in caught.value.detail
    assert await keyed.of() == []
    assert FIRST not in repr(ask)


def replace_any(fact: KeySet, **changes: Any) -> KeySet:
    return msgspec.structs.replace(fact, **changes)


async def test_a_key_is_trimmed(keyed: Keyed):
    """What a shell or a clipboard puts around it is none of it."""
    await keyed.set(f" {FIRST}\r\n")
    await keyed.says()
    assert keyed.sent() == [FIRST]


async def test_a_shared_key_that_is_taken_away_is_gone_from_everybody(keyed: Keyed):
    """And one that comes later under its name has to be granted anew."""
    await keyed.share(to=("alice", "bob"))
    assert await keyed.says("b1") == HEARD
    assert (await keys.unshare(keyed.desk, SharedKeyNamed(name="house"))).detail.endswith("alice, bob had it.")
    for sender in ("a1", "b1"):
        assert "I have no key" in await keyed.says(sender)
    await keyed.share(key=NEW, to=("alice",))
    assert await keyed.says("a1") == HEARD
    assert "I have no key" in await keyed.says("b1")
    assert keyed.sent() == [SHARED, NEW]
    with pytest.raises(NotFound, match="there is house"):
        await keys.unshare(keyed.desk, SharedKeyNamed(name="hause"))


async def test_a_name_is_one_key(keyed: Keyed):
    """What the configuration has cannot be shared from the store, nor another provider's key under its name."""
    await keyed.asks("main/instant", family=SharedKey("main", Key(SECOND)))
    with pytest.raises(Conflict, match=r"models\.sharedKeys"):
        await keyed.share("family")
    await keyed.share("house")
    with pytest.raises(Conflict, match="one of provider 'main'"):
        await keys.share(keyed.desk, KeyShare(name="house", provider="spare", key=NEW))
    await keys.grant(keyed.desk, KeyGrant(agent_id="bob", shared_key="family"))
    assert await keyed.says("b1") == HEARD
    assert keyed.sent() == [SECOND]


async def test_of_a_provider_whose_key_is_shared_nobody_asks_without(keyed: Keyed):
    """A server of the operator's own is asked without a key until there is one for it, also after a restart."""
    server = keyed.main

    async def asks() -> None:
        def open_client() -> Model:
            return OpenAIModel(keyed.outbound, server.base_url, name="main", now=keyed.house.clock.now)

        await keyed.house.gateway.providers.replace(
            {"main": Provider("main", open_client, keyless=True)}, {}, "main/instant"
        )

    await asks()
    assert await keyed.says() == HEARD
    await keyed.share(to=())
    assert "I have no key" in await keyed.says()
    await keyed.house.restart()
    await asks()
    assert "I have no key" in await keyed.says()
    await keys.unshare(keyed.desk, SharedKeyNamed(name="house"))
    assert await keyed.says() == HEARD
    assert keyed.sent() == ["", ""]


async def test_an_agent_has_fifty_keys_at_most(keyed: Keyed):
    """More than anybody needs, and few enough to go through."""
    now = keyed.house.clock.now()
    async with keyed.house.gateway.brains.use(AgentId("alice")) as brain:
        many = [Profile("main", f"p{number}", "sealed", "", now) for number in range(50)]
        await brain.profiles.change(lambda _: many)
    with pytest.raises(Conflict, match="as many as one may have"):
        await keyed.set(FIRST)
    await keyed.set(FIRST, "p7")
