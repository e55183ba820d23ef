"""Reading a people file: all of it, or every reason why not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from rookery.config import people_checks
from rookery.config.people import People, Person
from rookery.config.people_digest import text_of
from rookery.config.people_homeclaw import from_homeclaw, is_homeclaw
from rookery.config.people_identity import read_text
from rookery.config.problems import as_written, explain, line, sentence
from rookery.config.source import Problem, Source, Where, read
from rookery.errors import ConfigError, InvalidInput

LARGEST_TEXTS = 64 * 1024 * 1024
"""Bytes of all the texts it names, each counted once."""

_FEWEST_VALUES = 50_000
_BYTES_A_VALUE = 4
"""What aliases can unfold into is bounded by what could have been written out."""


@dataclass(frozen=True, slots=True)
class PeopleFile:
    """What a people file says, and where it says it.

    `identities` names a friend's text, by the person's and the friend's number; `texts` has it. `homeclaw`: the
    file is of HomeClaw's shape, and a first password may be a weak one. `warnings` are lines for its writer.
    """

    name: str
    people: Sequence[Person]
    identities: Mapping[tuple[int, int], str]
    texts: Mapping[str, str]
    homeclaw: bool
    warnings: Sequence[str]
    source: Source = field(repr=False)

    def lines(self, problems: Iterable[Problem]) -> list[str]:
        """Problems as people read them, `users.yaml:12: users[0].name is …`, in the file's order."""
        return _lines(self.name, self.source, problems)


Further = Callable[[Sequence[Person], bool], Iterable[Problem]]
"""What else is wrong with people of a file, `homeclaw` or not: what is said of names, zones and friends."""


def load_people(path: Path, environ: Mapping[str, str], further: Further) -> PeopleFile:
    """Read the people file at `path`; it stays as it is.

    `${NAME}` is read from `environ`. Raises `ConfigError` whose detail holds one line for each problem of the
    file; no line quotes a secret or what a variable holds.
    """
    name = path.name
    text = text_of(path)
    most = max(_FEWEST_VALUES, len(text) // _BYTES_A_VALUE)
    source = read(text, environ, most=most)
    warnings: list[Problem] = []
    homeclaw = not source.problems and is_homeclaw(source.data)
    if homeclaw:
        source, warnings = from_homeclaw(source)
    people, problems = _validate(source, lambda persons: further(persons, homeclaw))
    file = PeopleFile(name, () if people is None else people.users, {}, {}, homeclaw, (), source)
    if people is None:
        raise ConfigError("\n".join(file.lines(problems)))
    identities, texts, missing = _identities(path.parent, people, homeclaw=homeclaw)
    (warnings if homeclaw else problems).extend(missing)
    if problems:
        raise ConfigError("\n".join(file.lines(problems)))
    warnings += _warnings(people)
    return PeopleFile(name, people.users, identities, texts, homeclaw, file.lines(warnings), source)


_Check = Callable[[Sequence[Person]], Iterable[Problem]]


def _validate(source: Source, further: _Check) -> tuple[People | None, list[Problem]]:
    """The people, and everything that is wrong; None where too much is wrong to look on."""
    problems = list(source.problems)
    broken = {problem.where for problem in problems}
    try:
        people = People.model_validate(source.data)
    except ValidationError as error:
        problems += [problem for problem in explain(error, source, People) if problem.where not in broken]
        return _rest(source, problems, further)
    if not problems:
        problems += people_checks.check(people, lambda where: line(Problem(where, ""), source))
        problems += further(people.users)
    return people, problems


def _rest(source: Source, problems: list[Problem], further: _Check) -> tuple[People | None, list[Problem]]:
    """What can still be said of the people who are right: whether they are right together."""
    whole = source.data
    listed = whole.get("users") if isinstance(whole, dict) else None  # pyright: ignore
    if not isinstance(listed, list):
        return None, problems
    wrong = {problem.where[1] for problem in problems if len(problem.where) > 1}
    numbers = [number for number in range(len(listed)) if number not in wrong]  # pyright: ignore
    try:
        people = People.model_validate({"users": [listed[number] for number in numbers]})
    except ValidationError:
        return None, problems

    def back(where: Where) -> Where:
        """A place among those who are right, in the file."""
        match where:
            case (first, int() as number, *rest):
                return (first, numbers[number], *rest)
            case _:
                return where

    found = [*people_checks.check(people, lambda where: line(Problem(back(where), ""), source))]
    found += further(people.users)
    return None, [*problems, *(Problem(back(one.where), one.text) for one in found)]


def _identities(
    directory: Path, people: People, *, homeclaw: bool
) -> tuple[dict[tuple[int, int], str], dict[str, str], list[Problem]]:
    identities: dict[tuple[int, int], str] = {}
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    read_before: dict[str, str] = {}
    size = 0
    for index, person in enumerate(people.users):
        for number, friend in enumerate(person.friends):
            if friend.identity is None:
                continue
            where = ("users", index, "friends", number, "identity")
            try:
                path, text = _first(
                    directory, _places(str(friend.identity), person, friend.name, homeclaw=homeclaw)
                )
            except InvalidInput as error:
                left_out = "; the friend comes without it" if homeclaw else ""
                problems.append(Problem(where, f"{error.detail}{left_out}"))
                continue
            if path not in read_before:
                read_before[path] = hashlib.sha256(text.encode()).hexdigest()
                size += len(text.encode())
                if size > LARGEST_TEXTS:
                    problems.append(Problem(where, "is one text too many: together they are larger than 64 MiB"))
                    return identities, texts, problems
                texts[read_before[path]] = text
            identities[index, number] = read_before[path]
    return identities, texts, problems


def _places(path: str, person: Person, friend: str, *, homeclaw: bool) -> list[str]:
    """Where the text may lie; HomeClaw keeps it in a directory of the person's and the friend's."""
    return [f"{person.id}/{friend}/{path}", path] if homeclaw else [path]


def _first(directory: Path, paths: Sequence[str]) -> tuple[str, str]:
    for path in paths[:-1]:
        try:
            return path, read_text(directory, path)
        except InvalidInput:
            continue
    return paths[-1], read_text(directory, paths[-1])


def _warnings(people: People) -> Iterator[Problem]:
    """What is right, and of which its writer should know something."""
    skills = budget = False
    for index, person in enumerate(people.users):
        here: Where = ("users", index)
        if person.password is not None:
            yield Problem((*here, "password"), "stands here for all to read: it is taken once, so take it out now")
        if person.skills is not None and not skills:
            skills = True
            yield Problem((*here, "skills"), "is kept, and has no effect in this version, nor have others'")
        if person.budget is not None and not budget:
            budget = True
            yield Problem((*here, "budget"), "is kept, and not enforced in this version, nor are others'")


def _lines(name: str, source: Source, problems: Iterable[Problem]) -> list[str]:
    spelled = [Problem(as_written(one.where, source), one.text, one.line) for one in problems]
    found = sorted((line(problem, source), sentence(problem, source)) for problem in spelled)
    return [f"{name}:{number}: {' '.join(text.split())}" for number, text in found]
