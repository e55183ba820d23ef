"""The rows of the outbox, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from rookery.gateway import deliveries
from rookery.ids import AgentId, DeliveryId
from rookery.messages import Chat, ChatKind, Route
from rookery.storage import Database
from tests.gateway.made import NOW, delivery

ALICE, BOB = AgentId("alice"), AgentId("bob")
LATER = NOW + timedelta(days=1)


async def test_a_delivery_is_kept_once_with_everything(database: Database) -> None:
    """What is read back is what was made, in the order in which it was made, route and all."""
    odd = Route("webhook", "other", Chat(ChatKind.GROUP, "a:b/ü"), "7", "x~y", "m1")
    made = [delivery("d1"), delivery("d2", person="bob", route=odd, text="Zeile\n„zwei“ 🙂"), delivery("d3")]

    def keep(connection: Connection) -> list[bool]:
        return [deliveries.add(connection, one) for one in (*made, replace(made[0], text="other words"))]

    assert await database.write(keep) == [True, True, True, False]
    assert await database.read(deliveries.waiting) == made


async def test_what_has_ended_waits_no_more_and_stays_as_it_ended(database: Database) -> None:
    """Sent, dead or delayed; the first end stands."""

    def work(connection: Connection) -> None:
        for number in (1, 2, 3):
            deliveries.add(connection, delivery(f"d{number}"))
        deliveries.mark_sent(connection, DeliveryId("d1"), "net-1", 1, NOW)
        deliveries.mark_dead(connection, DeliveryId("d2"), 2, "No such chat.", NOW)
        deliveries.mark_delayed(connection, DeliveryId("d3"), 3, LATER, "It is down.")
        deliveries.mark_dead(connection, DeliveryId("d1"), 9, "too late", LATER)
        deliveries.mark_delayed(connection, DeliveryId("d2"), 9, LATER, "too late")

    await database.write(work)
    [left] = await database.read(deliveries.waiting)
    [letter] = await database.read(deliveries.dead_letters)
    assert (left.delivery_id, left.attempts, left.due_at) == ("d3", 3, LATER)
    assert (letter.delivery_id, letter.attempts, letter.problem) == ("d2", 2, "No such chat.")
    counts = [
        await database.read(lambda c, status=status: deliveries.count(c, status)) for status in deliveries.Status
    ]
    assert counts == [1, 1, 1]
    assert await database.read(lambda c: deliveries.count_waiting(c, "telegram", "default", "1")) == 1


async def test_words_are_forgotten_long_after_the_end_and_not_before(database: Database) -> None:
    """The row stays, so that the id can never be sent twice; what waits keeps its words."""

    def work(connection: Connection) -> int:
        for id in ("old", "young", "waiting"):
            deliveries.add(connection, delivery(id))
        deliveries.mark_sent(connection, DeliveryId("old"), None, 1, NOW)
        deliveries.mark_sent(connection, DeliveryId("young"), None, 1, LATER)
        return deliveries.prune(connection, [ALICE, BOB], LATER)

    assert await database.write(work) == 1
    assert [one.text for one in await database.read(deliveries.waiting)] == ["text of waiting"]
    assert not await database.write(lambda c: deliveries.add(c, delivery("old")))
