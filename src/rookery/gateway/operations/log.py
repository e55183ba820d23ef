"""The audit trail as the operator and the admins read it, and whether it is whole."""

from __future__ import annotations

import asyncio
from functools import partial

from rookery.errors import InvalidInput
from rookery.gateway import audit
from rookery.gateway.anchors import Read
from rookery.gateway.audit import Check, KeptRow, Wanted
from rookery.gateway.operations.desk import Desk
from rookery.gateway.shapes import AuditChecked, AuditEntry, AuditList, Nothing
from rookery.ids import UserId
from rookery.policy import HOUSE, Action


async def listed(desk: Desk, ask: AuditList) -> list[AuditEntry]:
    """Rows of the trail, newest first. Whoever is gone may be asked for too. Raises `Refused`, `InvalidInput`."""
    desk.ask(Action.READ_LOG, HOUSE)
    user_id = None if ask.user_id is None else UserId(ask.user_id)
    if "\0" in f"{ask.user_id}{ask.action}":
        raise InvalidInput("A NUL is in no id and no action.")
    wanted = Wanted(user_id, ask.action, ask.since, ask.until)
    rows = await desk.house.database.read(lambda c: audit.rows(c, wanted, ask.limit, ask.before))
    return [_entry(kept) for kept in rows]


async def verify(desk: Desk, _: Nothing) -> AuditChecked:
    """Look through the whole trail. Raises `Refused`, and `OSError` when the heads beside it cannot be read."""
    desk.ask(Action.READ_LOG, HOUSE)
    return await look_through(desk)


async def look_through(desk: Desk) -> AuditChecked:
    """Compare every row with the one before it and with the heads written down; others are served in between."""
    anchors = desk.house.gateway.anchors
    heads = Read((), 0) if anchors is None else await asyncio.to_thread(anchors.read)
    check = await _checked(desk, heads)
    if check.problem is not None:
        # Somebody may have been erased while we looked, and rows are others now. What is broken stays broken.
        check = await _checked(desk, heads)
    broken = check.problem
    return AuditChecked(
        rows=check.count,
        redacted=check.redacted,
        anchors=len(heads.anchors),
        spoiled=heads.spoiled,
        problem=None if broken is None else broken.detail,
        at_seq=None if broken is None else broken.seq,
    )


async def _checked(desk: Desk, heads: Read) -> Check:
    check = Check(heads.anchors)
    while check.take(await desk.house.database.read(partial(audit.after, seq=check.seq))):
        pass
    return check


def _entry(kept: KeptRow) -> AuditEntry:
    row = kept.row
    return AuditEntry(
        seq=kept.seq,
        at=row.at,
        actor=row.actor,
        on_behalf_of=row.on_behalf_of,
        action=row.action,
        object=row.object,
        decision=row.decision,
        hash=kept.hash,
    )
