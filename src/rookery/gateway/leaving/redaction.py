"""Taking names out of what has to stay: the audit trail, and the ledger."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from rookery.gateway import audit, tables
from rookery.gateway.audit import ERASED, AuditRow, Vouched
from rookery.gateway.leaving.people import Erasure
from rookery.ids import UserId
from rookery.policy import Member, principal
from rookery.usage.ledger import ledger

GONE = "erased"
"""What a row of the audit trail was done to, where that would say who they were."""

_a = tables.audit.c
_PAGE = 500


def redact_audit(connection: Connection, erasure: Erasure, now: datetime) -> int:
    """Take their names out of the trail and keep the row that vouches for those that lost them; says how many.

    A row keeps its number, its hash, when it was, what was done and what the gate said.
    """
    who, tombstone = erasure.who, erasure.tombstone
    assert who.user_id is not None, "a friend that goes alone leaves its person in the trail"
    audit.alone(connection)
    words, vouched, count, seq = who.words, Vouched(), 0, -1
    while page := audit.after(connection, seq, _PAGE):
        for kept in page:
            row = kept.row
            theirs = row.actor in who.principals
            names = words.search(row.object) is not None and row.action != ERASED
            if not theirs and not names and row.on_behalf_of != who.user_id:
                continue
            connection.execute(
                update(tables.audit)
                .where(_a.seq == kept.seq)
                .values(
                    actor=f"user:{tombstone}" if theirs else row.actor,
                    on_behalf_of=tombstone if row.on_behalf_of == who.user_id else row.on_behalf_of,
                    object=row.object if row.action == ERASED else GONE,
                    redacted=" ".join((*kept.redacted, tombstone)),
                )
            )
            vouched.take(kept)
            count += 1
        seq = page[-1].seq
    actor = f"user:{tombstone}" if erasure.actor == principal(Member(who.user_id)) else erasure.actor
    audit.keep(
        connection, AuditRow(now, actor, UserId(tombstone), ERASED, f"{tombstone} {vouched.words}", "allowed")
    )
    return count


def bury_in_ledger(connection: Connection, erasure: Erasure) -> None:
    """Put the tombstone in their place in the ledger: what was used and what it cost stays as it is.

    Sessions and turns get ids that lead nowhere, the same for the same; their agents, numbers.
    """
    who, tombstone = erasure.who, erasure.tombstone
    agents = {agent: f"{tombstone}--{number}" for number, agent in enumerate(who.agents)}
    salt = secrets.token_bytes(16)

    def anew(id: str) -> str:
        return f"~{hashlib.blake2b(id.encode(), key=salt, digest_size=12).hexdigest()}"

    columns = ledger.c
    theirs = or_(
        columns.user_id == who.user_id, columns.principal.in_(who.principals), columns.agent_id.in_(who.agents)
    )
    for row in connection.execute(select(ledger).where(theirs)).all():
        own = row.principal in who.principals or row.agent_id in agents
        values = {
            "user_id": tombstone if row.user_id == who.user_id else row.user_id,
            "principal": f"user:{tombstone}" if row.principal in who.principals else row.principal,
            "agent_id": agents.get(row.agent_id, row.agent_id),
        }
        if own:
            values |= {name: anew(getattr(row, name)) for name in ("call_id", "session_id", "turn_id", "entry_id")}
            values["key_name"] = None if row.key_name is None else "key"
        connection.execute(update(ledger).where(columns.call_id == row.call_id).values(values))
