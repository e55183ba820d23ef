"""Forgetting what the tables of the gateway have kept long enough."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from rookery import users
from rookery.gateway import (
    approvals,
    callers,
    deliveries,
    guests,
    idempotency,
    key_states,
    linking,
    pairing,
    seen,
    setup_codes,
    turns,
)
from rookery.gateway.notes import NOBODYS

_WORDS_KEPT = timedelta(days=30)


def prune(connection: Connection, now: datetime) -> None:
    """Let go of everything whose time is over; each table's module says how long it keeps what."""
    seen.prune(connection, now)
    idempotency.prune(connection, now)
    callers.prune(connection, now)
    setup_codes.prune(connection, now)
    pairing.forget_old(connection, now)
    guests.prune(connection, now)
    linking.prune(connection, now)
    agents = [agent.id for agent in users.list_agents(connection)]
    turns.prune(connection, agents, now - _WORDS_KEPT)
    deliveries.prune(connection, [*agents, NOBODYS], now - _WORDS_KEPT)
    approvals.prune(connection, now - _WORDS_KEPT)
    key_states.prune(connection, now)
