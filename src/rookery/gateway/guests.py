"""How much a guest of a shared agent may write in a day, counted where their message is accepted.

A day is the sponsor's, who pays. Commands cost nothing and are not counted with the messages; but there is an end
to them too.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, delete, select

from rookery import users
from rookery.channels.chunks import chunks
from rookery.gateway import deliveries, tables
from rookery.gateway.deliveries import Delivery
from rookery.gateway.rights import Sender
from rookery.gateway.rules import Rules
from rookery.ids import DeliveryId, TurnId
from rookery.messages import Route
from rookery.policy import principal
from rookery.storage.statements import upsert
from rookery.users import Agent

COMMANDS_PER_DAY = 100
"""How many commands of one guest are answered in a day."""

KEPT = timedelta(days=3)


class Counted(Struct, frozen=True):
    """Whether one more may be taken in; `limit` is how many may, `tell` whether the guest hears of it now."""

    allowed: bool
    limit: int = 0
    tell: bool = False
    gone: str = ""
    """The sponsor who would pay and is disabled; empty where they are not."""

    @property
    def reason(self) -> str:
        """Why not, for the operator."""
        if self.gone:
            return f"The sponsor, who pays for guests here, is disabled: {self.gone!r}."
        return f"The guest has written what a guest may write in a day here ({self.limit} messages)."


_g = tables.guest_days.c
_KEY = ("agent_id", "channel", "account", "sender")
_keep = upsert(tables.guest_days, _KEY, ("day", "messages", "commands", "told"))


def count(
    connection: Connection, sender: Sender, agent: Agent, rules: Rules, now: datetime, *, command: bool
) -> Counted:
    """Count one more of a guest's, unless they have written all they may today, or nobody pays for it."""
    sponsor = agent.sponsor
    assert sponsor is not None, "guests are let in to shared agents alone"
    payer = users.get_user(connection, sponsor)
    if not payer.enabled:
        return Counted(False, gone=payer.id)
    today = now.astimezone(ZoneInfo(payer.timezone)).date().isoformat()
    channel, account = sender.address.channel, sender.address.account
    key = {
        "agent_id": agent.id,
        "channel": channel,
        # The same guest on another account of ours, where the network has one id for them.
        "account": account if channel in rules.ids_per_account else "",
        "sender": sender.address.sender,
    }
    here = [_g[name] == value for name, value in key.items()]
    row = connection.execute(select(tables.guest_days).where(*here)).first()
    # A day that lies in the future is one before the clock was set back, or the sponsor moved: it goes on.
    day, messages, commands, told = (
        (today, 0, 0, False) if row is None or row.day < today else (row.day, row.messages, row.commands, row.told)
    )
    limit = rules.guest_limit(agent.id)
    if command:
        commands += 1
        counted = Counted(commands <= COMMANDS_PER_DAY, limit)
    else:
        messages += 1
        counted = Counted(messages <= limit, limit, tell=messages > limit and not told)
    if counted.allowed or counted.tell:
        values = {"day": day, "messages": messages, "commands": commands, "told": told or counted.tell}
        connection.execute(_keep.on(connection), key | values)
    return counted


def tell(
    connection: Connection,
    sender: Sender,
    agent: Agent,
    route: Route,
    counted: Counted,
    turn_id: TurnId,
    chunk_limit: int,
    now: datetime,
) -> tuple[Delivery, ...]:
    """Keep the one sentence that a guest hears, once a day. Give it to the outbox after the commit."""
    if not counted.tell:
        return ()
    said = tuple(
        Delivery(
            delivery_id=DeliveryId(f"{turn_id}.0.{number}"),
            turn_id=turn_id,
            agent_id=agent.id,
            principal=principal(sender.actor),
            speaker=agent.name,
            route=route,
            text=piece,
            attempts=0,
            due_at=now,
            created_at=now,
        )
        for number, piece in enumerate(chunks(_words(counted.limit), chunk_limit))
    )
    for delivery in said:
        deliveries.add(connection, delivery)
    return said


def prune(connection: Connection, now: datetime) -> None:
    """Forget the counts of days that are over everywhere."""
    before = (now - KEPT).date().isoformat()
    connection.execute(delete(tables.guest_days).where(_g.day < before))


def _words(limit: int) -> str:
    if not limit:
        return "Guests are not answered here at the moment."
    often = "one message" if limit == 1 else f"{limit} messages"
    return f"As a guest you can write {often} a day here, and that was it for today. Write again tomorrow."
