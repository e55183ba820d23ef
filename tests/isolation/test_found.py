"""What the interleavings found once, each told as it happened."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from rookery.channels.contract import Outcome
from rookery.channels.terminal import typed
from rookery.config import Config
from rookery.errors import Conflict, NotFound
from rookery.gateway.home import Home
from rookery.gateway.house import House
from rookery.gateway.inbound import Wish
from rookery.gateway.operations import people
from rookery.gateway.operations.desk import Desk
from rookery.gateway.shapes import UserAdd
from rookery.ids import AgentId
from rookery.messages import ChatKind
from rookery.outbound.lazy import LazyOutbound
from rookery.storage import as_agent
from tests.support.house import TestHouse


async def test_a_group_s_session_is_not_the_only_speaker_s(house: TestHouse) -> None:
    """Alice was the first and only one to speak in a group. From her terminal she could name the group's session,
    and what she then said in private was in the prompt when Bob spoke in the group."""
    await house.person("alice", telegram="1")
    await house.shared_agent(
        "helpdesk", sponsor="alice", channel="telegram", peer_kind=ChatKind.GROUP, peer_id="-100"
    )
    await house.telegram.says("1", "hello, all", group="-100")
    await house.idle()
    [session] = await house.sessions("helpdesk")

    for name in (session.session_id, session.session_key):
        with pytest.raises(NotFound, match="There is no session"):
            await house.receive("telegram", "1", "in private", Wish(AgentId("helpdesk"), session=name))


async def test_two_people_s_terminals_may_number_their_messages_alike(house: TestHouse) -> None:
    """Bob's first message had the id of Alice's first: his was dropped as hers, and he was shown her answer."""
    await house.person("alice")
    await house.person("bob")
    alices = await house.gateway.receive(typed("alice", "1", "alice-secret"))
    bobs = await house.gateway.receive(typed("bob", "1", "hello"))

    assert bobs.outcome is Outcome.ACCEPTED
    assert bobs.turn_id != alices.turn_id
    again = await house.gateway.receive(typed("bob", "1", "hello"))
    assert (again.outcome, again.turn_id) == (Outcome.DUPLICATE, bobs.turn_id)


async def test_an_error_of_the_database_does_not_tell_what_was_said(house: TestHouse) -> None:
    """SQLAlchemy writes a failed statement's parameters into the error, and errors end in logs."""
    statement = text("INSERT INTO turn_bodies (agent_id, turn_id, body) VALUES (:agent, NULL, :body)")

    def fail(connection: Connection) -> None:
        as_agent(connection, AgentId("alice"))
        connection.execute(statement, {"agent": "alice", "body": "alice-secret"})

    with pytest.raises(DBAPIError) as raised:
        await house.database.write(fail)
    assert "alice-secret" not in str(raised.value)


async def test_nobody_is_added_under_a_name_that_guests_are_linked_by(house: TestHouse) -> None:
    """A user added as `pat` came into the place that the guests called `pat` had on the shared agent."""
    config = Config.model_validate({"session": {"identityLinks": {"pat": ["telegram:7"]}}})
    outbound = LazyOutbound()
    desk = Desk(House(Home(house.home), house.gateway, outbound), config, None, None, house.clock.now())
    for name in ("pat", "PAT"):
        with pytest.raises(Conflict, match="identityLinks calls somebody 'pat' already"):
            await people.add(desk, UserAdd(id=name))
    assert (await people.add(desk, UserAdd(id="patricia"))).id == "patricia"
    await outbound.close()
