"""From a people file to people as they are described to the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rookery.config.people import Friend, Person, PersonBudget, Who
from rookery.config.people_load import PeopleFile, load_people
from rookery.config.source import Problem
from rookery.users import described
from rookery.users.described import DescribedBudget, DescribedFriend, DescribedPerson, Wrong


@dataclass(frozen=True, slots=True)
class Read:
    """A people file, and the people it describes."""

    file: PeopleFile
    people: tuple[DescribedPerson, ...]

    def lines(self, problems: Sequence[Wrong]) -> list[str]:
        """What is wrong with the people, as lines of the file: `users.yaml:12: users[0].name is …`."""
        return self.file.lines(Problem(one.where, one.text) for one in problems)


def read_people(path: Path, environ: Mapping[str, str]) -> Read:
    """Read and check a people file, without looking at the store. Raises `ConfigError` with all that is wrong."""

    def further(people: Sequence[Person], homeclaw: bool) -> Iterator[Problem]:
        for one in described.check([_person(person, {}, 0, any_password=homeclaw) for person in people]):
            yield Problem(one.where, one.text)

    file = load_people(path, environ, further)
    people = [
        _person(person, file.identities, index, any_password=file.homeclaw)
        for index, person in enumerate(file.people)
    ]
    return Read(file, tuple(people))


def _person(
    person: Person, identities: Mapping[tuple[int, int], str], index: int, *, any_password: bool
) -> DescribedPerson:
    return DescribedPerson(
        id=str(person.id),
        name=person.name,
        role=None if person.role is None else person.role.value,
        timezone=person.timezone,
        language=person.language,
        password_hash=None if person.password_hash is None else person.password_hash.reveal(),
        password=None if person.password is None else person.password.reveal(),
        any_password=any_password,
        email=tuple(map(str, person.email)),
        im=tuple(map(str, person.im)),
        phone=tuple(map(str, person.phone)),
        permissions=None if person.permissions is None else tuple(word.value for word in person.permissions),
        model=_text(person.model),
        skills=_texts(person.skills),
        budget=None if person.budget is None else _budget(person.budget),
        friends=tuple(
            _friend(friend, identities.get((index, number))) for number, friend in enumerate(person.friends)
        ),
    )


def _friend(friend: Friend, identity: str | None) -> DescribedFriend:
    return DescribedFriend(
        name=friend.name,
        id=_text(friend.id),
        relation=friend.relation,
        who=None if friend.who is None else _who(friend.who),
        persona=_text(friend.persona),
        model=_text(friend.model),
        skills=_texts(friend.skills),
        identity=identity,
    )


def _who(who: Who) -> dict[str, object]:
    said = who.model_dump(mode="python", by_alias=True, exclude_none=True, exclude_unset=True)
    return {key: [*value] if isinstance(value, tuple) else str(value) for key, value in said.items()}


def _budget(budget: PersonBudget) -> DescribedBudget:
    return DescribedBudget(
        per_day_nano_usd=_nano(budget.per_day_usd),
        per_month_nano_usd=_nano(budget.per_month_usd),
        per_day_tokens=budget.per_day_tokens,
    )


def _nano(amount: Decimal | None) -> int | None:
    """Nano-dollars, exactly: the file was refused for what would not be."""
    return None if amount is None else int(amount.scaleb(9))


def _text(value: str | None) -> str | None:
    """A plain text, which has forgotten the file it came from."""
    return None if value is None else str(value)


def _texts(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(map(str, values))
