"""What a people file would change: the difference between its words and the store. Nothing is done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rookery.config.people_checks import Claims
from rookery.config.people_fields import why_no_hash
from rookery.errors import InvalidInput
from rookery.gateway.people_changes import Configured, Part, Plan
from rookery.gateway.people_person import PersonPlan
from rookery.ids import UserId, fold
from rookery.policy import Permission, let_in, read_permissions
from rookery.users import User, described
from rookery.users.described import DescribedPerson, Where, Wrong
from rookery.users.stored import Stored


def plan(listed: Sequence[DescribedPerson], stored: Stored, configured: Configured) -> Plan:
    """The difference between what is said of these people and the store, with everything that is wrong."""
    made = Plan()
    made.problems += described.check(listed)
    if made.problems:
        return made
    made.problems += _together(listed)
    if made.problems:
        return made
    unlinked = {(one.user_id, one.address) for one in _unlinked(listed, stored)}
    for index, person in enumerate(listed):
        part = Part(made, configured, UserId(person.id), ("users", index))
        PersonPlan(part, stored, person, unlinked).look()
    made.problems += _last_admin(listed, stored, made)
    known = {person.id for person in listed}
    made.left = sorted(id for id, user in stored.users.items() if user.from_file and id not in known)
    return made


def _together(listed: Sequence[DescribedPerson]) -> Iterator[Wrong]:
    """What people of one file cannot share. A file was asked already; whoever sends people has to be asked too."""
    seen: dict[str, int] = {}
    claims = Claims()
    for index, person in enumerate(listed):
        here: Where = ("users", index)
        first = seen.setdefault(fold(person.id), index)
        if first != index:
            yield Wrong((*here, "id"), f"is {person.id!r}, which users[{first}] is called already")
        try:
            for key, number, address in described.addresses(person):
                before = claims.claim(address, (*here, key, number))
                if before is not None:
                    other = listed[int(before[1])].id
                    text = f"is {str(address)!r} of {person.id!r}, which is an address of {other!r} already"
                    yield Wrong((*here, key, number), text)
            if person.permissions is not None:
                read_permissions(person.permissions)
        except InvalidInput as error:
            yield Wrong(here, f"is wrong: {error.detail}")
        if person.password_hash is not None:
            reason = why_no_hash(person.password_hash)
            if reason is not None:
                yield Wrong((*here, "passwordHash"), reason)


def _unlinked(listed: Sequence[DescribedPerson], stored: Stored) -> Iterator[Any]:
    """The addresses that the file linked and does not hold any more."""
    for person in listed:
        said = {address for _, _, address in described.addresses(person)}
        for one in stored.addresses.get(person.id, ()):
            if one.from_file and one.address not in said:
                yield one


def _last_admin(listed: Sequence[DescribedPerson], stored: Stored, made: Plan) -> Iterator[Wrong]:
    """Somebody is left who keeps the house, if somebody did before: an admin who may use the page."""

    def keeps(user: User) -> bool:
        return user.role == "admin" and user.enabled and bool(let_in(user.permissions, Permission.WEB))

    before = {id for id, user in stored.users.items() if keeps(user)}
    if not before:
        return
    for row in made.new_users:
        words = row["permissions"]
        if row["role"] == "admin" and let_in(None if words is None else json.loads(words), Permission.WEB):
            return
    gone: list[str] = []
    for id, user in stored.users.items():
        changed = made.users.get(user.id, {})
        role = changed.get("role", user.role)
        words = user.permissions
        if "permissions" in changed:
            words = None if changed["permissions"] is None else tuple(json.loads(changed["permissions"]))
        if role == "admin" and user.enabled and let_in(words, Permission.WEB):
            return
        if id in before:
            gone.append(id)
    index = next(number for number, person in enumerate(listed) if person.id in gone)
    yield Wrong(
        ("users", index, "role"),
        f"leaves nobody who is an admin and may use the page: {', '.join(gone)} would not be any more",
    )
