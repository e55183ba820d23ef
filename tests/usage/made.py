"""Calls and rows of the ledger, made for tests of one part alone."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from rookery.ids import AgentId, EntryId, SessionId, TurnId, UserId
from rookery.messages import Usage
from rookery.usage import Bill, Call, LedgerRow, Purpose, settling
from rookery.usage.prices import UNPRICED
from tests.gateway.made import NOW


def bill_of(turn: str = "t1", *, person: str = "alice", session: str = "s1") -> Bill:
    """A person's own turn."""
    return Bill(UserId(person), f"user:{person}", AgentId(person), SessionId(session), TurnId(turn))


def call(id: str, *, entry: str = "t1.1", model: str = "small", projected: Usage | None = None) -> Call:
    """A call that is about to be made."""
    used = projected or Usage(100, 0, estimated=True)
    return Call(id, EntryId(entry), Purpose.CHAT, "house", model, "key", used, 0.25)


def row_of(turn: str, number: int = 0, *, person: str = "alice", **fields: Any) -> LedgerRow:
    """The row of a call of that turn, as it stands before the call is made."""
    made = settling.projected(bill_of(turn, person=person), call(f"{turn}-{number}"), UNPRICED, NOW)
    return replace(made, **fields)
