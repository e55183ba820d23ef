"""What must hold between the people of one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rookery.config.addresses import WrittenAddress
from rookery.config.people import People, Person
from rookery.config.source import Problem, Where
from rookery.ids import fold

MOST_PEOPLE = 10_000

LineOf = Callable[[Where], int]
"""The line on which something is written."""


def check(people: People, line: LineOf) -> Iterator[Problem]:
    """Everything that is wrong between people."""
    if len(people.users) > MOST_PEOPLE:
        yield Problem(("users",), f"holds {len(people.users)} people; at most {MOST_PEOPLE}")
    yield from _ids(people, line)
    yield from _addresses(people, line)
    for index, person in enumerate(people.users):
        yield from _password(index, person)
        yield from _login(index, person)


def place_of(person: Person, index: int, number: int) -> Where:
    """Where the address that is the `number`th of `person.addresses` stands."""
    for key, listed in (("email", person.email), ("im", person.im), ("phone", person.phone)):
        if number < len(listed):
            return ("users", index, key, number)
        number -= len(listed)
    raise AssertionError("the number counts the person's own addresses")


def _ids(people: People, line: LineOf) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, person in enumerate(people.users):
        first = seen.setdefault(fold(person.id), index)
        if first != index:
            called = f"which users[{first}] on line {line(('users', first, 'id'))} is called already"
            text = f"is {person.id!r}, {called}; case makes no difference"
            yield Problem(("users", index, "id"), text)


class Claims:
    """Whose each address of a file is; one for every account of a channel is on each of them."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, str], list[tuple[str | None, Where]]] = {}

    def claim(self, address: WrittenAddress, where: Where) -> Where | None:
        """Let an address be that of the person at `where[:2]`; where another's stands that overlaps it, if any."""
        others = self._claims.setdefault((address.channel, address.sender), [])
        for account, before in others:
            overlaps = None in (account, address.account) or account == address.account
            if overlaps and before[:2] != where[:2]:
                return before
        others.append((address.account, where))
        return None


def _addresses(people: People, line: LineOf) -> Iterator[Problem]:
    claims = Claims()
    for index, person in enumerate(people.users):
        for number, address in enumerate(person.addresses):
            here = place_of(person, index, number)
            before = claims.claim(address, here)
            if before is not None:
                first = people.users[int(before[1])]
                yield Problem(here, _taken(address, first.id, person.id, line(before)))


def _taken(address: WrittenAddress, first: str, second: str, line: int) -> str:
    return (
        f"is {str(address)!r} of {second!r}, which is an address of {first!r} already, on line {line}; "
        "an address is one person's, so take it from one of them"
    )


def _password(index: int, person: Person) -> Iterator[Problem]:
    if person.password is not None and person.password_hash is not None:
        yield Problem(("users", index, "password"), "stands beside passwordHash; take it out, the hash is enough")


def _login(index: int, person: Person) -> Iterator[Problem]:
    if person.username is not None and fold(person.username) != fold(person.id):
        text = f"is {person.username!r}, but people log in by their id; write {str(person.id)!r}, or leave it out"
        yield Problem(("users", index, "username"), text)
