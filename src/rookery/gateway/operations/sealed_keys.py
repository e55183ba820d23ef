"""The master key, and everything that is sealed with it: changed for another, and looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection

from rookery.errors import RookeryError
from rookery.gateway import sealed
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.permission import still
from rookery.gateway.shapes import Done, Finding, Nothing
from rookery.gateway.vault import missing
from rookery.policy import HOUSE, Action
from rookery.storage.sealing import MasterKeys, described

_NAMED = 5


async def rotate_master(desk: Desk, _: Nothing) -> Done:
    """Seal every key with a new master key and forget the old one; what an interrupted call began is ended.

    Raises `Refused`, `ConfigError` when the new one is the operator's to bring, and `StorageUnavailable`.
    """
    desk.ask(Action.ROTATE_MASTER_KEY, HOUSE)
    gateway = desk.house.gateway
    database = desk.house.database

    def begun(connection: Connection) -> None:
        still(connection, desk)
        desk.record(connection, "key.rotateMaster", "begun")

    await database.write(begun)
    done = await sealed.rotate(gateway.vault, database, desk.house.brains)
    if done is None:
        return Done("There is no master key yet; it is made with the first key that is sealed.")
    await database.write(lambda c: desk.record(c, "key.rotateMaster", f"ended, {done.sealed} sealed anew"))
    gateway.log.info("key.rotated", actor=desk.principal, sealed=done.sealed, unopened=len(done.unopened))
    count = "1 key is" if done.sealed == 1 else f"{done.sealed} keys are"
    said = [f"{count} sealed with a new master key, and the old one is forgotten."]
    if done.unopened:
        said.append(f"Not opened, and left as they were: {_some(done.unopened)}.")
    if done.left_to_do:
        said.append(done.left_to_do)
    return Done(" ".join(said))


async def check(desk: Desk, _: Nothing) -> list[Finding]:
    """Whether the master key is there and opens every key that is sealed. Raises `Refused`."""
    desk.ask(Action.READ_HOUSE, HOUSE)
    gateway = desk.house.gateway
    source = gateway.vault.source
    found = [one async for one in sealed.everything(desk.house.database, desk.house.brains)]
    try:
        held = await asyncio.to_thread(source.read)
        if held is None and found:
            raise missing(source)
    except RookeryError as error:
        count = "1 sealed key" if len(found) == 1 else f"{len(found)} sealed keys"
        lost = f" Until then {count} cannot be used." if found else ""
        return [Finding("master key", "fail", f"{error.detail}{lost}")]
    if held is None:
        return [Finding("master key", "ok", "There is none yet; it is made with the first key that is sealed.")]
    said = [Finding("master key", "ok", f"It is in {source.where}.")]
    if held.old is not None:
        begun = "A change of the master key was begun and not ended: rookery key rotate-master"
        said = [Finding("master key", "warn", begun)]
    older = () if held.old is None else (held.old,)
    keys = await asyncio.to_thread(MasterKeys, held.current, older)
    unreadable = [one.unreadable for one in found if one.unreadable is not None]
    said += [Finding("sealed keys", "fail", detail) for detail in unreadable]
    closed = [
        described(one.binding) for one in found if one.unreadable is None and not sealed.is_opened(keys, one)
    ]
    if closed:
        what = f"{len(closed)} of {len(found)} cannot be opened: {_some(closed)}. Give them anew, or revoke them."
        said.append(Finding("sealed keys", "fail", what))
    elif not unreadable:
        said.append(
            Finding("sealed keys", "ok", f"All {len(found)} can be opened." if found else "There are none.")
        )
    return said


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
