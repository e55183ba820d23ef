"""The rows of accepted turns, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection, select

from rookery.gateway import tables, turn_facts, turns
from rookery.gateway.turns import Body, Kind, Status, Turn
from rookery.ids import AgentId, SessionId, TurnId
from rookery.messages import Attachment, Usage
from rookery.storage import Database, as_agent
from tests.gateway.made import NOW, route

ALICE, BOB = AgentId("alice"), AgentId("bob")
LATER = NOW + timedelta(days=1)


def add(
    connection: Connection,
    id: str,
    *,
    person: str = "alice",
    session: str = "s1",
    kind: Kind = Kind.MESSAGE,
    body: Body | None = None,
) -> Turn:
    return turns.add(
        connection,
        turn_id=TurnId(id),
        agent_id=AgentId(person),
        session_id=SessionId(session),
        session_key=f"agent:{person}:main",
        opened_key=f"agent:{person}:main",
        principal=f"user:{person}",
        kind=kind,
        collectable=True,
        route=route(),
        body=body or Body(text=f"words of {id}"),
        now=NOW,
    )


async def test_an_accepted_turn_is_found_as_it_was_accepted(database: Database) -> None:
    """Words, files and all, in the order of acceptance, across agents."""
    whole = Body(
        text="two\nlines", sender_name="Al", attachments=(Attachment("a.txt", "text/plain", url="http://x/a"),)
    )

    def work(connection: Connection) -> list[Turn]:
        return [
            add(connection, "t1", body=whole),
            add(connection, "t2", person="bob", session="s2"),
            add(connection, "t3", kind=Kind.OPEN, body=Body(title="Holidays", bound_to="agent:alice:main")),
        ]

    made = await database.write(work)
    found = await database.read(turns.unfinished)
    assert found == [replace(one, recovered=True) for one in made]
    assert [one.seq for one in found] == sorted(one.seq for one in found)


async def test_a_batch_ends_together_and_is_counted_once(database: Database) -> None:
    """The first carries what was used; the others say who answered them; an end that is there stays."""

    def work(connection: Connection) -> None:
        batch = [add(connection, id) for id in ("t1", "t2")]
        turns.finish(connection, batch, Status.DONE, now=LATER, usage=Usage(10, 3))
        turns.finish(connection, batch, Status.FAILED, now=LATER, usage=Usage(99, 99), error="x")

    await database.write(work)
    first, second = [
        await database.read(lambda c, id_=id: turn_facts.state(c, TurnId(id_))) for id in ("t1", "t2")
    ]
    assert first is not None
    assert second is not None
    assert (first.status, first.usage, first.answered_by, first.error) == (Status.DONE, Usage(10, 3), "t1", None)
    assert (second.status, second.usage, second.answered_by) == (Status.DONE, Usage(), "t1")
    assert first.finished_at == LATER
    assert await database.read(turns.unfinished) == []
    assert await database.read(turn_facts.count_unfinished) == 0
    assert await database.read(lambda c: turn_facts.state(c, TurnId("nothing"))) is None


async def test_a_stop_marks_whose_it_may(database: Database) -> None:
    """Only unfinished messages of that session; one person's, or everybody's. The mark outlives a crash."""

    def work(connection: Connection) -> tuple[list[TurnId], list[TurnId]]:
        done = add(connection, "t0")
        turns.finish(connection, [done], Status.DONE, now=NOW)
        for id, person, session, kind in (
            ("t1", "alice", "s1", Kind.MESSAGE),
            ("t2", "bob", "s1", Kind.MESSAGE),
            ("t3", "alice", "s2", Kind.MESSAGE),
            ("t4", "alice", "s1", Kind.OPEN),
        ):
            add(connection, id, person=person, session=session, kind=kind)
        mine = turns.stop(connection, SessionId("s1"), ["user:alice"])
        return mine, turns.stop(connection, SessionId("s1"), None)

    assert await database.write(work) == (["t1"], ["t1", "t2"])
    assert {one.turn_id: one.stopped for one in await database.read(turns.unfinished)} == {
        "t1": True,
        "t2": True,
        "t3": False,
        "t4": False,
    }
    hands = await database.read(lambda c: turn_facts.hands(c, SessionId("s1")))
    assert hands == {("user:alice", "dm"), ("user:bob", "dm")}
    assert await database.read(lambda c: turn_facts.waiting(c, SessionId("s1"))) == 3


async def test_many_turns_are_found_with_their_words(database: Database) -> None:
    """More than one statement's worth."""

    def work(connection: Connection) -> None:
        for number in range(1_050):
            add(connection, f"t{number:04}")

    await database.write(work)
    found = await database.read(turns.unfinished)
    assert [one.body.text for one in found] == [f"words of t{number:04}" for number in range(1_050)]


async def test_words_of_turns_are_forgotten_but_not_the_turns(database: Database) -> None:
    """What was said stands in the transcripts."""

    def work(connection: Connection) -> int:
        turns.finish(connection, [add(connection, "t1")], Status.DONE, now=NOW)
        add(connection, "t2")
        return turns.prune(connection, [ALICE], LATER)

    def words(connection: Connection) -> list[str]:
        as_agent(connection, ALICE)
        return list(connection.execute(select(tables.turn_bodies.c.turn_id)).scalars())

    assert await database.write(work) == 1
    assert await database.read(words) == ["t2"]
    assert await database.read(lambda c: turn_facts.state(c, TurnId("t1"))) is not None
    assert await database.read(lambda c: turn_facts.opened_key(c, ALICE, SessionId("s1"))) == "agent:alice:main"
    assert await database.read(lambda c: turn_facts.opened_key(c, BOB, SessionId("s1"))) is None
