"""The channels as the operator looks after them: which there are, and what a network never took."""

from __future__ import annotations

from sqlalchemy import Connection

from rookery.errors import Conflict, NotFound
from rookery.gateway import deliveries
from rookery.gateway.deliveries import Delivery, Status
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.permission import still
from rookery.gateway.shapes import Channel, DeadLetter, DeadLetterList, DeadLetterRetry, Done, Nothing
from rookery.ids import DeliveryId
from rookery.policy import HOUSE, Action


async def listed(desk: Desk, _: Nothing) -> list[Channel]:
    """The channels that run, with the accounts of each and how many replies wait there. Raises `Refused`."""
    desk.ask(Action.READ_HOUSE, HOUSE)
    waiting = await desk.house.database.read(lambda connection: deliveries.tally(connection, Status.WAITING))
    dead = await desk.house.database.read(lambda connection: deliveries.tally(connection, Status.DEAD))
    return [
        Channel(
            name=name,
            accounts=tuple(desk.config.channels.accounts(name)),
            waiting=waiting.get(name, 0),
            dead_letters=dead.get(name, 0),
        )
        for name in sorted(desk.house.gateway.channels)
    ]


async def dead_letters(desk: Desk, ask: DeadLetterList) -> list[DeadLetter]:
    """Replies that will not be tried again, newest first: whose they were and why, never what they said.

    Raises `Refused`.
    """
    desk.ask(Action.READ_HOUSE, HOUSE)
    found = await desk.house.database.read(
        lambda connection: deliveries.dead_letters(connection, ask.limit, ask.channel)
    )
    return [
        DeadLetter(
            delivery_id=one.delivery_id,
            agent_id=one.agent_id,
            channel=one.channel,
            account=one.account,
            chat=one.chat_id,
            attempts=one.attempts,
            problem=one.problem,
            ended_at=one.ended_at,
        )
        for one in found
    ]


async def retry(desk: Desk, ask: DeadLetterRetry) -> Done:
    """Try dead letters again, as if they were new: one, or all of a channel. Rights are asked anew before each.

    Raises `Refused`, `NotFound` when there is none such, and `Conflict` for one whose words were forgotten.
    """

    def work(connection: Connection) -> list[Delivery]:
        still(connection, desk)
        desk.ask(Action.RETRY_DELIVERY, HOUSE)
        only = None if ask.delivery_id is None else DeliveryId(ask.delivery_id)
        dead = deliveries.dead_ids(connection, only, ask.channel)
        if not dead:
            raise NotFound(f"There is no dead letter {_which(ask)}; rookery channel dead-letters lists them.")
        revived = deliveries.revive(connection, dead, desk.now())
        if not revived:
            raise Conflict("What these replies said was forgotten meanwhile; the conversations still have it.")
        desk.record(connection, "delivery.retry", ask.delivery_id or ask.channel or "all")
        return revived

    revived = await desk.house.database.write(work, then=desk.house.gateway.outbox.push)
    return Done(f"{len(revived)} {'reply is' if len(revived) == 1 else 'replies are'} tried again.")


def _which(ask: DeadLetterRetry) -> str:
    return repr(ask.delivery_id) if ask.delivery_id is not None else f"on {ask.channel or 'any channel'}"
