"""Applying a people file, for the command line and for whoever keeps the house."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from weakref import WeakKeyDictionary

from rookery.config.people_identity import LARGEST
from rookery.errors import InvalidInput
from rookery.gateway.gateway import Gateway
from rookery.gateway.operations import permission
from rookery.gateway.operations.desk import Desk
from rookery.gateway.people_file import Applied, Parts, Progress, teller
from rookery.gateway.people_file import apply as apply_people
from rookery.gateway.people_uploads import Uploads
from rookery.gateway.shapes.people_file import PeopleApply
from rookery.policy import Action
from rookery.users.described import DescribedPerson

_UPLOADS: WeakKeyDictionary[Gateway, Uploads] = WeakKeyDictionary()
"""What is on its way to each gateway of this process."""


async def apply(desk: Desk, ask: PeopleApply) -> AsyncGenerator[Progress | Applied]:
    """Bring the store to what a people file says, or rehearse it; all of it or nothing.

    The last event says what came of it; before the last part has come there is none. Raises `Refused`,
    `InvalidInput`, `QuotaReached`, and `Busy` when people were changed again and again meanwhile.
    """
    await permission.on_house(desk, Action.APPLY_PEOPLE)
    uploads = _UPLOADS.setdefault(desk.house.gateway, Uploads())
    whole = uploads.part(desk.principal, ask.upload, ask.people, ask.texts, desk.now(), more=ask.more)
    if whole is None:
        return
    _check_texts(whole.people, whole.texts)
    gateway = desk.house.gateway

    parts = Parts(
        database=desk.house.database,
        brains=desk.house.brains,
        hasher=gateway.hasher,
        now=desk.now,
        config=desk.config,
        actor=desk.principal,
        still=lambda connection: permission.still(connection, desk),
        tell=teller(gateway),
    )
    # A file applied by hand may be another than `usersFile`, which is looked at again when the gateway starts.
    with gateway.catching_up():
        async for event in apply_people(parts, whole.people, whole.texts, rehearsal=ask.rehearsal):
            yield event


def _check_texts(people: Sequence[DescribedPerson], texts: Mapping[str, str]) -> None:
    for digest, text in texts.items():
        if hashlib.sha256(text.encode(errors="replace")).hexdigest() != digest or len(text.encode()) > LARGEST:
            raise InvalidInput("A text does not fit its hash, or is larger than 64 KiB.")
    for person in people:
        for friend in person.friends:
            if friend.identity is not None and friend.identity not in texts:
                raise InvalidInput(f"The text that {person.id!r}'s friend {friend.name!r} names was not sent.")
