"""From a model's name to who may answer, and what a change of the configuration does to calls under way."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from rookery.errors import ConfigError, ModelError, ModelErrorKind
from rookery.gateway.clients import Client
from rookery.gateway.providers import HeldKey, Provider, Providers, SharedKey, sharing_of
from rookery.ids import AgentId, UserId
from rookery.models import Key, Model, ModelReply, ModelRequest, ModelStream
from rookery.models.scripted import ScriptedModel, Step
from rookery.users import Agent

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUESTION = ModelRequest(model="small", instructions="", history=())


class Server:
    """Counts the clients that were made for it, and those that are not closed."""

    def __init__(self, *steps: str | Step) -> None:
        self.steps = steps
        self.opened = 0
        self.open: list[ScriptedModel] = []

    def client(self) -> Model:
        self.opened += 1
        made = _Counted(self.steps, self)
        self.open.append(made)
        return made


class _Counted(ScriptedModel):
    def __init__(self, steps: Sequence[str | Step], server: Server) -> None:
        super().__init__(steps)
        self.server = server

    async def close(self) -> None:
        self.server.open.remove(self)
        await super().close()


def provider(
    name: str, server: Server, *, address: str = "here", keyless: bool = True, **facts: object
) -> Provider:
    return Provider(name, server.client, keyless, made_from=(address, *facts.values()))


async def all_of(stream: ModelStream) -> ModelReply:
    """Read an answer to its end."""
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, ModelReply):
                return event
    raise AssertionError


def test_the_agent_s_model_comes_first_and_then_the_fallbacks():
    """Each once; without a key of a provider that wants one, and unknown ones, they say so themselves."""
    servers = {name: provider(name, Server(), keyless=name != "paid") for name in ("local", "paid")}
    keys = {"house": SharedKey("paid", Key("secret")), "other": SharedKey("elsewhere", Key("no"))}
    providers = Providers(servers, keys, "local/small", ("paid/large", "local/small", "local/tiny"))
    found = providers.endpoints(None, (), "alice")
    assert [one.name for one in found] == ["local/small", "paid/large", "local/tiny"]
    assert [one.problem and one.problem.kind for one in found] == [None, ModelErrorKind.NO_KEY, None]
    held = [HeldKey("elsewhere", "other", Key("no")), HeldKey("paid", "house", Key("secret"))]
    found = providers.endpoints("paid/large", held, "alice")
    assert [(one.name, one.key_name) for one in found][:2] == [("paid/large", "house"), ("local/small", None)]
    assert found[0].key == Key("secret")
    gone, *rest = providers.endpoints("gone/model", (), "alice")
    assert gone.problem is not None
    assert (gone.problem.kind, gone.model) == (ModelErrorKind.UNKNOWN_MODEL, None)
    assert [one.name for one in rest] == ["paid/large", "local/small", "local/tiny"]
    with pytest.raises(ConfigError, match="local, paid"):
        providers.check("gone/model")


def agent(id: str, *, owner: str | None) -> Agent:
    sponsor = None if owner else UserId("carol")
    return Agent(AgentId(id), id, UserId(owner) if owner else None, sponsor, "", None, False, True, NOW)


def test_a_salt_keeps_people_apart_in_a_shared_cache():
    """One for a person's own agent and a group's; on an agent that several share, one a conversation."""
    salted = Provider("vllm", Server().client, True, cache_salt=True)
    providers = Providers({"vllm": salted, "plain": provider("plain", Server())}, {}, "vllm/m", ("plain/m",))

    def salt(of: Agent, key: str) -> str | None:
        first, second = providers.endpoints(None, (), sharing_of(of, key))
        assert second.cache_salt is None
        return first.cache_salt

    alice, bob = agent("alice", owner="alice"), agent("bob", owner="bob")
    group, desk = agent("space--choir", owner=None), agent("helpdesk", owner=None)
    assert salt(alice, "agent:alice:main") == salt(alice, "agent:alice:chat:1")
    assert salt(group, "agent:space--choir:a") == salt(group, "agent:space--choir:b")
    salts = {
        salt(alice, "agent:alice:main"),
        salt(bob, "agent:bob:main"),
        salt(group, "agent:space--choir:a"),
        salt(desk, "agent:helpdesk:dm:~alice"),
        salt(desk, "agent:helpdesk:dm:~bob"),
    }
    assert len(salts) == 5
    assert all(one and len(one) == 64 and "alice" not in one for one in salts)


async def test_a_client_is_opened_when_it_is_first_asked():
    """And stays as long as its provider does not change."""
    server = Server("one", "two")
    providers = Providers({"local": provider("local", server)}, {}, "local/small")
    [endpoint] = providers.endpoints(None, (), "alice")
    assert server.opened == 0
    assert endpoint.model is not None
    await all_of(endpoint.model.stream(QUESTION))
    await providers.replace({"local": provider("local", server)}, {}, "local/small")
    [again] = providers.endpoints(None, (), "alice")
    assert again.model is endpoint.model
    await all_of(endpoint.model.stream(QUESTION))
    assert (server.opened, len(server.open)) == (1, 1)
    await providers.close()
    assert server.open == []


async def test_a_call_under_way_finishes_with_the_client_it_has():
    """Its provider moves, then is taken away: the client is closed with the end of its last call."""
    gate = asyncio.Event()
    old, new = Server(Step(text="a long answer", after=gate)), Server("short")
    providers = Providers({"local": provider("local", old)}, {}, "local/small")
    [endpoint] = providers.endpoints(None, (), "alice")
    assert endpoint.model is not None
    call = asyncio.create_task(all_of(endpoint.model.stream(QUESTION)))
    while not old.open:
        await asyncio.sleep(0)
    await old.open[0].until(lambda: old.open[0].holding == 1)
    await providers.replace({"local": provider("local", new, address="there")}, {}, "local/small")
    await providers.replace({}, {}, "offline/demo")
    assert len(old.open) == 1
    gate.set()
    reply = await call
    assert reply.content
    assert old.open == []


async def test_an_idle_client_is_closed_at_once():
    """Of a provider that was moved or taken away."""
    server = Server("one")
    providers = Providers({"local": provider("local", server)}, {}, "local/small")
    [endpoint] = providers.endpoints(None, (), "alice")
    assert endpoint.model is not None
    await all_of(endpoint.model.stream(QUESTION))
    assert len(server.open) == 1
    await providers.replace({"local": provider("local", Server(), address="there")}, {}, "local/small")
    assert server.open == []


async def test_who_chose_a_client_before_it_was_retired_may_still_ask_it():
    """The call that waited for its slot meanwhile is made, and leaves nothing open."""
    server = Server("one")
    providers = Providers({"local": provider("local", server)}, {}, "local/small")
    [endpoint] = providers.endpoints(None, (), "alice")
    await providers.replace({}, {}, "offline/demo")
    assert endpoint.model is not None
    assert (await all_of(endpoint.model.stream(QUESTION))).content
    assert (server.opened, server.open) == (1, [])


async def test_two_hundred_changes_leak_nothing():
    """With a call of every tenth configuration under way to the end."""
    gates: list[asyncio.Event] = []
    calls: list[asyncio.Task[ModelReply]] = []
    clients: list[weakref.ref[object]] = []
    servers: list[Server] = []
    providers = Providers({}, {}, "local/small")
    for number in range(200):
        gate = asyncio.Event()
        server = Server(Step(text="answer", after=gate if number % 10 == 0 else None))
        servers.append(server)
        await providers.replace({"local": provider("local", server, address=str(number))}, {}, "local/small")
        [endpoint] = providers.endpoints(None, (), "alice")
        assert endpoint.model is not None
        clients.append(weakref.ref(endpoint.model))
        call = asyncio.create_task(all_of(endpoint.model.stream(QUESTION)))
        if number % 10:
            await call
        else:
            gates.append(gate)
            calls.append(call)
            await asyncio.sleep(0)
        del endpoint, call
    assert sum(len(server.open) for server in servers) == len(calls) + 1
    for gate in gates:
        gate.set()
    await asyncio.gather(*calls)
    calls.clear()
    assert sum(len(server.open) for server in servers) == 1
    await providers.replace({}, {}, "offline/demo")
    gc.collect()
    assert sum(len(server.open) for server in servers) == 0
    assert [client for client in clients if client() is not None] == []


async def test_a_change_forgets_the_cooldown_of_what_changed():
    """A provider's and a key's; what stayed as it was goes on cooling."""
    keys = {"house": SharedKey("paid", Key("old")), "spare": SharedKey("paid", Key("same"))}
    paid, local = provider("paid", Server(), keyless=False), provider("local", Server())
    providers = Providers({"paid": paid, "local": local}, keys, "paid/large", ("local/small",))

    def fail() -> None:
        for name in ("house", "spare"):
            held = [HeldKey("paid", name, providers.shared_keys[name].key)]
            first, second = providers.endpoints(None, held, "alice")
            for endpoint, kind in ((first, ModelErrorKind.NO_CREDIT), (second, ModelErrorKind.OVERLOADED)):
                error = ModelError(kind, "no")
                providers.cooldowns.failed(endpoint, error, begun=NOW, now=NOW, heard=False)

    def cooling() -> set[tuple[str, str | None]]:
        return {(one.provider, one.name) for one in providers.cooldowns.active(NOW)}

    fail()
    await providers.replace({"paid": paid, "local": local}, keys, "paid/large", ("local/small",))
    assert cooling() == {("paid", "house"), ("paid", "spare"), ("local", None)}
    changed = keys | {"house": SharedKey("paid", Key("new"))}
    await providers.replace({"paid": paid, "local": local}, changed, "paid/large", ("local/small",))
    assert cooling() == {("paid", "spare"), ("local", None)}
    moved = provider("local", Server(), address="there")
    await providers.replace({"paid": paid, "local": moved}, changed, "paid/large", ("local/small",))
    assert cooling() == {("paid", "spare")}


async def test_a_client_that_is_read_to_the_middle_is_given_back_too():
    """Whoever hangs up ends the call."""
    server = Server("one two three")
    client = Client(server.client)
    async with aclosing(client.stream(QUESTION)) as stream:
        await anext(stream)
        await client.retire()
        assert len(server.open) == 1
    assert server.open == []


async def test_a_provider_of_which_nothing_is_known_is_another_one():
    """Whoever sets one up by hand, without saying what of, gets the client they gave."""
    first, second = Server("first"), Server("second")
    providers = Providers({"local": Provider("local", first.client, True)}, {}, "local/small")
    await providers.replace({"local": Provider("local", second.client, True)}, {}, "local/small")
    [endpoint] = providers.endpoints(None, (), "alice")
    assert endpoint.model is not None
    await all_of(endpoint.model.stream(QUESTION))
    assert (first.opened, second.opened) == (0, 1)
