"""A line that is held open for an answer: hung up, taken back, silent for long, crashed, and told anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from rookery.config.words import QueueMode
from rookery.errors import StorageUnavailable
from rookery.gateway.rules import QueueRules
from rookery.gateway.turns import Status
from rookery.gateway.watchers import Where
from rookery.ids import AgentId, SessionId, UserId
from rookery.messages import MessageEntry, Role, StopReason
from rookery.models.scripted import Step
from rookery.sessions import Session
from rookery.users import CredentialKind
from rookery.web.front import Front
from rookery.web.v1.door import V1Door
from tests.durability.lives import Lives
from tests.support.asgi import Client, Exchange
from tests.web.v1.conftest import V1House, user

COMPLETIONS = "/v1/chat/completions"


def question(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "rookery", "messages": [user(text)], **fields}


@asynccontextmanager
async def asking(client: Client, json: Any) -> AsyncGenerator[tuple[Exchange, asyncio.Task[Any]]]:
    """A request under way; what is left of it is hung up at the end of the block."""
    exchange = Exchange()
    task = asyncio.create_task(client.asks(exchange, "POST", COMPLETIONS, json))
    try:
        yield exchange, task
    finally:
        exchange.hangs_up()
        await task


async def until(exchange: Exchange, holds: Callable[[], bool]) -> None:
    """Wait until this holds; asked again with every message of the answer."""
    async with asyncio.timeout(10):
        while not holds():
            exchange.more.clear()
            await exchange.more.wait()


def events(exchange: Exchange) -> list[Any]:
    """What was streamed so far; comments are left out."""
    lines = bytes(exchange.body).split(b"\n\n")
    return [msgspec.json.decode(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: {")]


def heard(exchange: Exchange) -> str:
    """The words that were streamed so far."""
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events(exchange))


async def entries(house: V1House, agent_id: str = "alice") -> list[MessageEntry]:
    """The transcript of the one session that had a turn."""
    [session_id] = {turn.session_id for turn in await house.rows("turns")}
    async with house.gateway.brains.use(AgentId(agent_id)) as brain:
        session = await brain.session(SessionId(session_id))
        return [entry for entry in session.entries if isinstance(entry, MessageEntry)]


# --- hanging up ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_closing_the_connection_stops_the_turn(house: V1House, stream: bool) -> None:
    """The model sees the hang-up at once; what it had said is kept, and the turn is cancelled."""
    house.script.append(Step(text="Once upon", after=asyncio.Event()))
    alice = await house.openai("alice")
    asked = asyncio.create_task(
        alice.chat.completions.create(model="rookery", messages=[user("a tale")], stream=stream, user="tales")
    )
    async with asyncio.timeout(10):
        await house.model.until(lambda: house.model.holding == 1)  # it has said what it says
        if stream:
            answer: Any = await asked
            await anext(answer)
            await answer.response.aclose()
        else:
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
        await alice.close()
        await house.model.until(lambda: house.model.abandoned == 1)
        await house.idle()

    [turn] = await house.rows("turns")
    assert (turn.status, turn.error) == (Status.CANCELLED, None)
    asked_entry, said = await entries(house)
    assert asked_entry.id == f"{turn.turn_id}.0"
    assert said.stop_reason is StopReason.STOPPED
    assert [part.text for part in said.content] == ["Once upon"]  # pyright: ignore


async def test_hanging_up_while_others_are_answered(house: V1House) -> None:
    """A turn that waits behind another of its session ends without having been shown to the model."""
    gate = asyncio.Event()
    house.script.append(Step(text="first", before=gate))
    alice = await house.token("alice")
    async with asking(alice, question("one", user="x")) as (_, first):
        await house.model.asked(1)
        async with asking(alice, question("two", user="x")):
            while len(await house.rows("turns")) < 2:
                await asyncio.sleep(0)
        gate.set()
        await first
    await house.idle()

    assert [turn.status for turn in await house.rows("turns")] == ["done", "cancelled"]
    assert len(house.model.requests) == 1


async def test_hanging_up_before_the_commit_is_seen(house: V1House) -> None:
    """Who leaves while the message is being written leaves no turn that nobody waits for."""
    house.script.append(Step(text="never", before=asyncio.Event()))
    alice = await house.token("alice")
    receive, reached = house.gateway.receive, asyncio.Event()

    async def slowly(*arguments: Any, **more: Any) -> Any:
        task = asyncio.create_task(receive(*arguments, **more))
        reached.set()
        return await asyncio.shield(task)

    house.gateway.receive = slowly  # pyright: ignore[reportAttributeAccessIssue]
    task = asyncio.create_task(alice.ask("POST", COMPLETIONS, question()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        while [turn.status for turn in await house.rows("turns")] != ["cancelled"]:
            await asyncio.sleep(0)
    await house.idle()


async def test_a_question_does_not_cut_another_short(house: V1House) -> None:
    """Where newer messages interrupt older ones, those whose answer somebody waits for are left alone."""
    house.rule(queue=QueueRules(mode=QueueMode.INTERRUPT, debounce=0))
    gate = asyncio.Event()
    house.script.append(Step(text="first", before=gate))
    alice = await house.token("alice")
    async with asking(alice, question("one", user="x")) as (one, first):
        await house.model.asked(1)
        async with asking(alice, question("two", user="x")) as (two, second):
            while len(await house.rows("turns")) < 2:
                await asyncio.sleep(0)
            gate.set()
            await asyncio.gather(first, second)

    assert [one.status, two.status] == [200, 200]
    assert [turn.status for turn in await house.rows("turns")] == ["done", "done"]


async def test_stopped_from_elsewhere(house: V1House) -> None:
    """/stop in the same session ends the answer where it stands: it is a whole one to its client."""
    house.script.append(Step(text="Once upon", after=asyncio.Event()))
    alice = await house.token("alice")
    async with asking(alice, question(stream=True, user="x")) as (exchange, asked):
        await until(exchange, lambda: b"Once" in exchange.body)
        stopped = await alice.ask("POST", COMPLETIONS, question("/stop", user="x"))
        await asked

    assert stopped.json["choices"][0]["message"]["content"] == "Stopped."
    assert events(exchange)[-1]["choices"][0]["finish_reason"] == "stop"
    assert bytes(exchange.body).endswith(b"data: [DONE]\n\n")


# --- taken back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["the token", "the person"])
async def test_a_right_that_ends_ends_the_answer(house: V1House, whose: str) -> None:
    """In the middle of a stream an error says so, before it a status; the turn is stopped, others go on."""
    house.script += [Step(text="Once upon", after=asyncio.Event()), Step(text="", before=asyncio.Event())]
    token, other = (
        await house.issued("alice", CredentialKind.TOKEN, "one"),
        await house.issued("alice", CredentialKind.TOKEN, "two"),
    )
    ended = token.credential.id if whose == "the token" else None
    one = house.somebody(token=token.secret)
    async with asking(one, question(stream=True)) as (streaming, first):
        await until(streaming, lambda: b"Once" in streaming.body)
        async with asking(one, question()) as (waiting, second):
            await house.model.asked(2)
            house.gateway.revocations.tell(UserId("bob"), None)
            house.gateway.revocations.tell(UserId("alice"), other.credential.id)
            await asyncio.sleep(0)
            assert (streaming.ended, waiting.ended) == (False, False)
            house.gateway.revocations.tell(UserId("alice"), ended)
            async with asyncio.timeout(5):
                await asyncio.gather(first, second)
    await house.idle()

    assert events(streaming)[-1]["error"]["code"] == "invalid_api_key"
    assert not bytes(streaming.body).endswith(b"data: [DONE]\n\n")
    assert waiting.status == 401
    assert {turn.status for turn in await house.rows("turns")} == {"cancelled"}


async def test_a_token_that_ends_while_it_is_looked_up(house: V1House) -> None:
    """Nothing lies between the look at the token and the ear for its end."""
    token = await house.issued("alice", CredentialKind.TOKEN, "one")
    front = Front.of(house.desk)
    caller = front.entry.caller

    async def slowly(*arguments: Any) -> Any:
        found = await caller(*arguments)
        house.gateway.revocations.tell(UserId("alice"), token.credential.id)
        return found

    front.entry.caller = slowly  # pyright: ignore[reportAttributeAccessIssue]
    door = V1Door(front)
    answer = await Client(lambda: door, token=token.secret).ask("POST", COMPLETIONS, question())

    assert (answer.status, answer.code) == (401, "invalid_api_key")
    assert await house.rows("turns") == []


async def test_a_client_that_does_not_read_is_cut_off(house: V1House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose right ended while its connection is full is not waited for."""
    monkeypatch.setattr("rookery.web.v1.door.GOODBYE", 0.01)
    house.script.append(Step(text="Once upon", after=asyncio.Event()))
    token = await house.issued("alice", CredentialKind.TOKEN, "one")
    door, full = V1Door(Front.of(house.desk)), asyncio.Event()

    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        async def never(message: Any) -> None:
            if message["type"] == "http.response.body":
                full.set()
                await asyncio.Event().wait()
            await send(message)

        await door(scope, receive, never)

    async with asyncio.timeout(10):
        asked = asyncio.create_task(
            Client(lambda: stuck, token=token.secret).ask("POST", COMPLETIONS, question(stream=True))
        )
        await full.wait()
        house.gateway.revocations.tell(UserId("alice"))
        with pytest.raises(AssertionError):  # which is how this client tells that it was not answered
            await asked
    await house.idle()

    [turn] = await house.rows("turns")
    assert turn.status == "cancelled"


# --- silence ------------------------------------------------------------------------------------------------


async def test_somebody_is_still_at_it(house: V1House) -> None:
    """A long silence is filled with comments, which no client shows; the answer comes all the same."""
    gate = asyncio.Event()
    house.script.append(Step(text="At last.", before=gate))
    token = await house.issued("alice", CredentialKind.TOKEN, "one")
    door = V1Door(Front.of(house.desk), silence=0.01)
    async with asking(Client(lambda: door, token=token.secret), question(stream=True)) as (exchange, asked):
        await until(exchange, lambda: exchange.body.count(b": keep-alive\n\n") == 2)
        gate.set()
        await asked

    assert exchange.status == 200
    assert heard(exchange) == "At last."


# --- the storage, and the power, fail -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("anew", "both"),
    [
        ("One answer.", "One answer."),
        ("One answer. And more.", "One answer. And more."),
        ("Another.", "One answer.\n\nAnother."),
    ],
)
async def test_an_answer_that_is_given_anew(
    house: V1House, monkeypatch: pytest.MonkeyPatch, anew: str, both: str
) -> None:
    """When the reply cannot be kept the model is asked again; nobody hears the same words twice."""
    house.script += ["One answer.", anew]
    alice = await house.token("alice")
    append, failed = Session.append, False

    async def fails_once(self: Session, *entries: Any) -> None:
        nonlocal failed
        if not failed and entries[-1].role is Role.ASSISTANT:
            failed = True
            raise StorageUnavailable
        await append(self, *entries)

    monkeypatch.setattr(Session, "append", fails_once)
    async with asking(alice, question(stream=True)) as (exchange, asked):
        await until(exchange, lambda: b"One answer" in exchange.body)
        while not asked.done():
            await house.clock.passes(1)

    assert len(house.model.requests) == 2
    assert heard(exchange) == both


@pytest.mark.parametrize("stays", [True, False])
async def test_asked_while_nobody_knows_what_was_kept(house: V1House, stays: bool) -> None:
    """After a commit whose end nobody saw, what comes next is held; who holds the line is answered all the same,
    and who leaves it is not."""
    alice = await house.token("alice")
    with patch.object(house.database, "write", side_effect=StorageUnavailable):
        failed = await alice.ask("POST", COMPLETIONS, question("lost"))
    async with asking(alice, question("kept", user="x")) as (exchange, asked):
        while not await house.rows("turns"):
            await asyncio.sleep(0)
        if not stays:
            exchange.hangs_up()
            await asked
        await house.clock.passes(2)
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "refill"))
        await house.idle()
        if stays:
            await asked

    assert failed.status == 503
    assert [turn.status for turn in await house.rows("turns")] == ["done" if stays else "cancelled"]
    assert len(house.model.requests) == int(stays)
    assert exchange.status == (200 if stays else 0)


async def test_a_crash_ends_what_was_bound_to_a_request(house: V1House) -> None:
    """Found at the start, it is ended as cancelled: nobody is there to hear it, and the model is not asked."""
    house.script.append(Step(text="Once upon", before=asyncio.Event()))
    alice = await house.token("alice")
    async with asking(alice, question("one", user="x")):
        await house.model.asked(1)
        async with asking(alice, question("two", user="x")):
            while len(await house.rows("turns")) < 2:
                await asyncio.sleep(0)
            await house.crash()
            await house.idle()
            assert [turn.status for turn in await house.rows("turns")] == ["cancelled", "cancelled"]
    assert len(house.model.requests) == 1
    said = await entries(house)
    assert [(entry.role.value, entry.stop_reason) for entry in said] == [
        ("user", None),
        ("assistant", StopReason.STOPPED),
    ]

    answer = await alice.ask("POST", COMPLETIONS, question("three", user="x"))
    assert answer.status == 200
    assert [text for role, text in house.prompt() if role == "user"] == ["one", "three"]


async def test_what_was_accepted_otherwise_goes_on_after_a_crash(house: V1House) -> None:
    """A message of a chat network in the same session is still answered."""
    await house.link("alice", "telegram", "a1")
    house.script += [Step(text="never", before=asyncio.Event())]
    alice = await house.token("alice")
    async with asking(alice, question("by request", user="agent:alice:main")):
        await house.model.asked(1)
        await house.telegram.says("a1", "by telegram")
        await house.crash()
        await house.idle()

    assert [turn.status for turn in await house.rows("turns")] == ["cancelled", "done"]
    assert len(house.telegram.heard_by("a1")) == 1


@pytest.mark.parametrize("session", [None, "diary"])
async def test_a_plain_turn_is_at_most_five_synced_writes(tmp_path: Path, session: str | None) -> None:
    """Accepted, what was asked, what was answered, the turn's end; and that a nameless session is gone."""
    lives = Lives({})
    async with V1House(tmp_path, wrap_database=lives.wrap_database, wrap_brains=lives.wrap_brains) as house:
        await house.person("alice")
        alice = await house.token("alice")
        lives.count()
        answer = await alice.ask("POST", COMPLETIONS, question(user=session))
        await house.idle()

    assert answer.status == 200
    assert lives.synced == (5 if session is None else 4)


async def test_a_nameless_question_is_on_no_shelf_and_no_page(house: V1House) -> None:
    """Not while it is answered, not after, not in the bin; its transcript is there for who knows its id."""
    told: list[Where] = []
    listening = house.gateway.watchers.listen(lambda where, _: told.append(where))
    house.script.append(Step(text="Once upon", after=(goes_on := asyncio.Event())))
    alice = await house.token("alice")

    async def listed() -> list[str]:
        shelves = ("active", "deleted", "all")
        found = [(await alice.ask("GET", f"/api/sessions?status={status}")).json["items"] for status in shelves]
        return [one["sessionId"] for items in found for one in items]

    with listening:
        asked = asyncio.create_task(alice.ask("POST", COMPLETIONS, question()))
        await house.model.asked(1)
        assert await listed() == []
        goes_on.set()
        assert (await asked).status == 200
        await house.idle()
    assert await listed() == []
    [turn] = await house.rows("turns")
    assert (await alice.ask("GET", f"/api/sessions/{turn.session_id}")).json["status"] == "deleted"
    assert {where.user_id for where in told} == {None}
    assert (await alice.ask("POST", COMPLETIONS, question(user="diary"))).status == 200
    assert len(await listed()) == 2
