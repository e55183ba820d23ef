"""People as a file describes them: what was said of each, and whether it can be said of anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from rookery.config import WrittenAddress, canonical, parse_address
from rookery.errors import InvalidId, InvalidInput, NotFound
from rookery.ids import AgentId, UserId, user_id
from rookery.users import agents, friends, passwords, people
from rookery.users.friend_ids import friend_agent_id, id_from_name
from rookery.users.people import UserRole
from rookery.users.who import check_who

T = TypeVar("T")

Where = tuple[str | int, ...]
"""A place in the file, by the keys and numbers that lead to it."""


class Wrong(Struct, frozen=True):
    """Something that is wrong at one place of the file; `text` goes on after the key's name."""

    where: Where
    text: str


class DescribedBudget(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What a person may spend, in nano-dollars and tokens; None is no limit of that kind."""

    per_day_nano_usd: int | None = None
    per_month_nano_usd: int | None = None
    per_day_tokens: int | None = None


class DescribedFriend(
    Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A friend; None is not said.

    `id` is its own part alone, None takes it from the name; `identity` the hash of the text that is copied into
    its workspace once.
    """

    name: str
    id: str | None = None
    relation: str | None = None
    who: dict[str, Any] | None = None
    persona: str | None = None
    model: str | None = None
    skills: tuple[str, ...] | None = None
    identity: str | None = None


class DescribedPerson(
    Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One person; None is not said. `any_password`: a first password may be one that everybody would try."""

    id: str
    name: str | None = None
    role: UserRole | None = None
    timezone: str | None = None
    language: str | None = None
    password_hash: str | None = None
    password: str | None = None
    any_password: bool = False
    email: tuple[str, ...] = ()
    im: tuple[str, ...] = ()
    phone: tuple[str, ...] = ()
    permissions: tuple[str, ...] | None = None
    model: str | None = None
    skills: tuple[str, ...] | None = None
    budget: DescribedBudget | None = None
    friends: tuple[DescribedFriend, ...] = ()

    def __repr__(self) -> str:
        return f"DescribedPerson({self.id})"


def addresses(person: DescribedPerson) -> Iterator[tuple[str, int, WrittenAddress]]:
    """A person's addresses as their channels write them, with the list and number each stands at.

    Raises `InvalidInput` for one that is none.
    """
    for key, listed in (("email", person.email), ("im", person.im), ("phone", person.phone)):
        for number, text in enumerate(listed):
            yield key, number, canonical(parse_address(text))


def friend_ids(person: DescribedPerson) -> list[AgentId]:
    """The agent ids of a person's friends, in their order. Raises `InvalidId` for one that cannot be."""
    return [_friend_id(person, friend) for friend in person.friends]


def check(described: Sequence[DescribedPerson]) -> Iterator[Wrong]:
    """Everything that is wrong with people and their friends, each looked at alone."""
    for index, person in enumerate(described):
        here: Where = ("users", index)
        yield from _said(here, person)
        yield from _friends(here, person)


def _said(here: Where, person: DescribedPerson) -> Iterator[Wrong]:
    try:
        user_id(person.id)
    except InvalidId as error:
        yield Wrong((*here, "id"), f"is wrong: {error.detail}")
    for key, value, right in (
        ("name", person.name, people.check_name),
        ("timezone", person.timezone, people.check_timezone),
        ("language", person.language, people.check_language),
    ):
        if value is not None:
            yield from _asked((*here, key), right, value)
    if person.password is not None and not person.any_password:
        about = (person.id, person.name or person.id)
        yield from _asked((*here, "password"), partial(passwords.check, about=about), person.password)
    if person.skills is not None:
        yield from _asked((*here, "skills"), friends.skills_as_text, person.skills)


def _friends(here: Where, person: DescribedPerson) -> Iterator[Wrong]:
    if len(person.friends) > friends.MOST_FRIENDS:
        yield Wrong((*here, "friends"), f"are {len(person.friends)}; there is room for {friends.MOST_FRIENDS}")
    heard: dict[str, int] = {}
    for number, friend in enumerate(person.friends):
        place: Where = (*here, "friends", number)
        yield from _friend(place, friend)
        try:
            id = _friend_id(person, friend)
        except InvalidId as error:
            if friend.id is None:
                yield Wrong(
                    (*place, "name"), f"cannot be an id as well; write `id: {error.suggestion}`, or another"
                )
            else:
                yield Wrong((*place, "id"), f"is wrong: {error.detail}")
            continue
        sounds = friends.handles(id, friend.name)
        twin = next((heard[sound] for sound in sorted(sounds) if sound in heard), None)
        if twin is not None:
            other = person.friends[twin].name
            yield Wrong(
                (*place, "name" if friend.id is None else "id"),
                f"cannot be told from friends[{twin}], {other!r}: /talk takes one name for one friend",
            )
        heard |= {sound: number for sound in sounds if sound not in heard}


def _friend(here: Where, friend: DescribedFriend) -> Iterator[Wrong]:
    yield from _asked((*here, "name"), friends.check_friend_name, friend.name)
    if friend.relation is not None:
        yield from _asked((*here, "relation"), friends.relation_as_text, friend.relation)
    if friend.persona is not None and len(friend.persona) > agents.LONGEST_PERSONA:
        yield Wrong((*here, "persona"), f"is longer than {agents.LONGEST_PERSONA} characters")
    if friend.skills is not None:
        yield from _asked((*here, "skills"), friends.skills_as_text, friend.skills)
    if friend.who is not None:
        for word, value in friend.who.items():
            yield from _asked((*here, "who", word), check_who, {word: value})


def _friend_id(person: DescribedPerson, friend: DescribedFriend) -> AgentId:
    owner = UserId(person.id)
    return friend_agent_id(owner, id_from_name(friend.name, ()) if friend.id is None else friend.id)


def _asked(where: Where, right: Callable[[T], object], value: T) -> Iterator[Wrong]:
    """What a check says of a value, when it says something."""
    try:
        right(value)
    except (InvalidInput, NotFound) as error:
        yield Wrong(where, f"is wrong: {error.detail}")
