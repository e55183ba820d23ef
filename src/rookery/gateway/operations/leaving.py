"""Leaving: what is kept of somebody, all of it as one archive, and all of it gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from sqlalchemy import Connection

from rookery.errors import InvalidInput
from rookery.gateway.callers import Caller
from rookery.gateway.leaving import erasing, people
from rookery.gateway.leaving.erasing import Begun
from rookery.gateway.leaving.export import archive
from rookery.gateway.leaving.kept import Kept, kept_of
from rookery.gateway.operations import logins, permission
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.on_record import look
from rookery.gateway.shapes import Erased, ExportPart, MeErase, UserErase, UserNamed
from rookery.ids import UserId
from rookery.policy import Action, Member

_PART = 1 << 18


async def kept(desk: Desk, ask: UserNamed) -> Kept:
    """What is kept of a person, in numbers. Raises `NotFound` for somebody else's."""
    await permission.on_person(desk, Action.EXPORT_PERSON, ask.user_id)
    return await desk.house.database.read(
        lambda connection: kept_of(connection, permission.someone(connection, desk, ask.user_id).id)
    )


async def export(desk: Desk, ask: UserNamed) -> AsyncGenerator[ExportPart]:
    """Everything of a person as one zip file, in parts. They can see that somebody else had it.

    Raises `NotFound` for somebody else's, `StorageUnavailable`.
    """
    await permission.on_person(desk, Action.EXPORT_PERSON, ask.user_id)
    user = await desk.house.database.read(lambda c: permission.someone(c, desk, ask.user_id))
    await look(desk, user.id, "user.export", user.id)
    async with aclosing(archive(desk.house.gateway, user.id)) as pieces:
        async for piece in pieces:
            for start in range(0, len(piece), _PART):
                yield ExportPart(piece[start : start + _PART])


async def erase(desk: Desk, ask: UserErase) -> Erased:
    """Erase a person for good; returns when nothing of theirs is there any more.

    Whoever wants to be erased themselves asks for that with their password. Raises `NotFound`, `Refused`,
    `Conflict` for the last admin and for who sponsors what nobody takes over, and `StorageUnavailable`: then the
    next start, or the same call again, goes on with what was begun.
    """
    await permission.on_person(desk, Action.ERASE_PERSON, ask.user_id)
    if isinstance(desk.actor, Member) and desk.actor.user_id == ask.user_id and not ask.dry_run:
        raise InvalidInput("To be erased yourself, send DELETE /api/me with your password.")
    return await _erase(desk, ask)


async def erase_me(desk: Desk, ask: MeErase, caller: Caller) -> Erased:
    """Erase whoever asks, who proves it with their password. Raises as `erase`, and `WrongLogin`."""
    await permission.on_person(desk, Action.ERASE_PERSON, caller.user.id)
    await logins.prove(desk, ask.password, caller)
    return await _erase(desk, UserErase(user_id=caller.user.id))


async def _erase(desk: Desk, ask: UserErase) -> Erased:
    gateway = desk.house.gateway

    def count(connection: Connection) -> Erased:
        user = permission.someone(connection, desk, ask.user_id)
        who = people.of_person(connection, user, groups=True)
        return Erased(
            user_id=user.id,
            agents=tuple(who.agents),
            rows=erasing.counted(connection, who),
            described=user.from_file,
            done=not ask.dry_run,
        )

    begun_before = await gateway.database.read(lambda connection: people.find(connection, UserId(ask.user_id)))
    if begun_before is not None and begun_before.swept and not ask.dry_run:
        # Their rows are gone, so nobody is found; what is left is gone on with.
        await erasing.run(gateway, begun_before)
        agents = tuple(begun_before.who.agents)
        return Erased(user_id=ask.user_id, agents=agents, rows={}, described=False, done=True)
    found = await gateway.database.read(count)
    if ask.dry_run:
        return found
    other = None if ask.hand_over_to is None else UserId(ask.hand_over_to)

    def work(connection: Connection) -> Begun:
        permission.still(connection, desk)
        user = permission.someone(connection, desk, ask.user_id)
        takes = None if other is None else permission.someone(connection, desk, other).id
        if not people.is_erased(connection, user.id):
            desk.record(connection, "user.erase", user.id, user.id)
        return erasing.begin_person(connection, gateway, user.id, desk.principal, takes)

    begun = await gateway.database.write(work, then=lambda begun: erasing.tell(gateway, begun))
    await erasing.run(gateway, begun.erasure)
    return found
