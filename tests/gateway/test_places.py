"""Which session lives where, on both databases."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from rookery.gateway import places
from rookery.gateway.places import Place
from rookery.ids import AgentId, SessionId
from rookery.storage import Database
from tests.gateway.made import NOW

ALICE, BOB = AgentId("alice"), AgentId("bob")
LATER = NOW + timedelta(days=1)


async def test_a_place_holds_one_session_at_a_time(database: Database) -> None:
    """Moved, it holds the new one; a session may live in several places, found by its own agent alone."""
    main = Place("agent:alice:main", ALICE, SessionId("s1"), "agent:alice:main", NOW)
    other = replace(main, session_key="agent:alice:chat:s2")

    def work(connection: Connection) -> None:
        places.move(connection, main)
        places.move(connection, replace(main, session_id=SessionId("s2"), moved_at=LATER))
        places.move(connection, replace(other, session_id=SessionId("s2")))
        places.move(connection, Place("agent:bob:main", BOB, SessionId("s2"), "agent:bob:main", NOW))

    await database.write(work)
    found = await database.write(lambda c: places.live(c, "agent:alice:main"))
    assert found == replace(main, session_id=SessionId("s2"), moved_at=LATER)
    assert await database.write(lambda c: places.live(c, "agent:alice:MAIN")) is None
    assert await database.read(lambda c: places.of_session(c, ALICE, SessionId("s2"))) == [
        "agent:alice:chat:s2",
        "agent:alice:main",
    ]
    assert await database.read(lambda c: places.of_session(c, ALICE, SessionId("s1"))) == []
    assert [place.session_key for place in await database.read(lambda c: places.of_agent(c, BOB))] == [
        "agent:bob:main"
    ]
