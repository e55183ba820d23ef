"""People files of HomeClaw's shape, brought into ours, with a warning for whatever is lost or read anew.

What was empty there never means everybody here, and nobody is let in by what only HomeClaw would have let in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from rookery.config.addresses import CHANNEL_NAMES
from rookery.config.source import Problem, Source, Where, Written
from rookery.errors import InvalidId
from rookery.ids import user_id

MAIN = "HomeClaw"
"""The friend that everybody has there; here it is the main agent."""

_THEIRS = frozenset({"skill_api_keys", "type", "peers", "preset", "system_prompt"})
"""Keys of a person that only HomeClaw knows."""

_KEPT = frozenset(
    {"id", "name", "username", "password", "email", "im", "phone", "permissions", "friends", "role", "timezone"}
    | {"language", "model", "skills", "budget", "passwordHash", "password_hash"}
)
_KEPT_OF_FRIENDS = frozenset({"name", "id", "relation", "who", "identity", "persona", "model", "skills"})
_WHO = frozenset(
    {"gender", "roles", "personalities", "language", "response_length", "responseLength", "description"}
)


def is_homeclaw(data: object) -> bool:
    """Whether the file is one of HomeClaw's.

    It is when a friend is called HomeClaw, when somebody has a key that only HomeClaw knows, or when somebody
    without an id has permissions as it writes them: none, or in capitals.
    """
    return any(_is_theirs(person) for person in _people(data))


def from_homeclaw(source: Source) -> tuple[Source, list[Problem]]:
    """The same file in our shape, each value still at its line; and what its owner should know."""
    reader = _Reader(source)
    return reader.read(), reader.warnings


def _is_theirs(person: Mapping[str, Any]) -> bool:
    if _THEIRS & person.keys():
        return True
    friends = _list(person.get("friends"))
    if any(isinstance(friend, dict) and _is_main(cast("dict[str, Any]", friend)) for friend in friends):
        return True
    permissions = person.get("permissions")
    if "id" in person or not isinstance(permissions, list):
        return False
    words = cast("list[object]", permissions)
    return all(isinstance(word, str) and word.isupper() for word in words)


def _is_main(friend: Mapping[str, Any]) -> bool:
    return str(friend.get("name")).casefold() == MAIN.casefold()


def _people(data: object) -> Iterator[dict[str, Any]]:
    whole = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    for person in _list(whole.get("users")):
        if isinstance(person, dict):
            yield cast("dict[str, Any]", person)


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


class _Reader:
    """Writes the file anew, value by value, and notes for each at which line its like stood."""

    def __init__(self, source: Source) -> None:
        self.warnings: list[Problem] = []
        self._old = source
        self._written: dict[Where, Written] = {}
        self._ids: set[str] = set()

    def read(self) -> Source:
        whole = cast("dict[str, Any]", self._old.data)
        self._keep((), (), whole)
        for key in whole.keys() - {"users"}:
            self._warn((key,), "is nothing that is read here; it is left out")
        people: list[object] = []
        for number, person in enumerate(_list(whole.get("users"))):
            here: Where = ("users", number)
            self._keep(here, here, person)
            kept = self._person(here, cast("dict[str, Any]", person)) if isinstance(person, dict) else person
            people.append(kept)
        self._keep(("users",), ("users",), people)
        return Source({"users": people}, self._written, self._old.problems)

    def _person(self, here: Where, person: Mapping[str, Any]) -> dict[str, object]:
        kept: dict[str, object] = {}
        for key, value in person.items():
            if key not in _KEPT:
                self._warn((*here, key), "is nothing that is read here; it is left out")
            elif key not in ("email", "im", "phone", "friends", "permissions", "username"):
                kept[key] = self._copied((*here, key), _text_of(key, value))
        if _text_of("id", person.get("id")) is None:
            self._name_by_id(here, person, kept)
        for key in ("email", "im", "phone"):
            if key in person:
                kept[key] = self._addresses(here, key, person[key])
        self._permissions(here, person, kept)
        if "username" in person and str(person["username"]) != str(kept.get("id")):
            self._warn((*here, "username"), f"is not kept; they log in as {kept.get('id')!r}")
        if "password" in kept:
            self._warn((*here, "password"), "is to be changed at the first login")
        if "friends" in person:
            kept["friends"] = self._friends((*here, "friends"), person["friends"])
        return kept

    def _name_by_id(self, here: Where, person: Mapping[str, Any], kept: dict[str, object]) -> None:
        name = str(person.get("name") or "")
        try:
            id = user_id(name)
        except InvalidId as error:
            if error.suggestion is None:
                return  # what is missing is said where everything is
            id = user_id(error.suggestion)
        kept["id"] = id
        where = (*here, "name")
        self._keep((*here, "id"), where, id)
        self._warn(here, f"has no id; it becomes {id!r} of the name, which stays: write `id: {id}` to choose it")

    def _addresses(self, here: Where, key: str, value: object) -> list[object]:
        listed: list[object] = []
        where = (*here, key)
        self._keep(where, where, value)
        if not _list(value):
            self._warn(where, "is empty, which is nobody; HomeClaw took it for everybody once")
        for number, item in enumerate(_list(value)):
            spelled = self._address((*where, number), key, item)
            if spelled is not None:
                self._keep((*where, len(listed)), (*where, number), spelled)
                listed.append(spelled)
        return listed

    def _address(self, where: Where, key: str, item: object) -> str | None:
        text = str(item)
        if key == "email":
            return text
        if key == "phone" and re.fullmatch(r"\+?[0-9][0-9 ().\-/]*", text):
            number = text if text.startswith("+") else f"+{text}"
            self._warn(where, f"names no channel; it is read as {f'sms:{number}'!r}")
            return f"sms:{number}"
        match = re.fullmatch(r"([a-z]+)[:_](.+)", text)
        if match is None or match[1] not in CHANNEL_NAMES or text == "homeclaw:local":
            self._warn(where, f"is {text!r}, of a channel that is not here; it is left out")
            return None
        if match[2].casefold() == "unknown":
            self._warn(where, f"is {text!r}, which is nobody's address; it is left out")
            return None
        if not text.startswith(f"{match[1]}:"):
            self._warn(where, f"is read as {f'{match[1]}:{match[2]}'!r}")
        return f"{match[1]}:{match[2]}"

    def _permissions(self, here: Where, person: Mapping[str, Any], kept: dict[str, object]) -> None:
        words = person.get("permissions")
        where = (*here, "permissions")
        if words is None:
            return
        if words == []:
            self._warn(where, "is empty, which reads as left out: every kind of channel")
            return
        self._keep(where, where, words)
        kept["permissions"] = [self._put((*where, n), str(word).lower()) for n, word in enumerate(_list(words))]

    def _friends(self, here: Where, value: object) -> list[object]:
        listed: list[object] = []
        self._keep(here, here, value)
        for number, item in enumerate(_list(value)):
            where = (*here, number)
            if not isinstance(item, dict):
                self._keep((*here, len(listed)), where, item)
                listed.append(item)
                continue
            friend = cast("dict[str, Any]", item)
            if _is_main(friend):
                if friend.keys() - {"name"}:
                    self._warn(where, "is the main agent here; what is said of it beside the name is left out")
            elif str(friend.get("type", "ai")) not in ("ai", "None"):
                self._warn(where, f"is a friend of the type {str(friend['type'])!r}; it is left out")
            else:
                listed.append(self._friend((*here, len(listed)), where, friend))
        return listed

    def _friend(self, here: Where, before: Where, friend: Mapping[str, Any]) -> dict[str, object]:
        kept: dict[str, object] = {}
        self._keep(here, before, friend)
        for key, value in friend.items():
            where = (*before, key)
            if key == "type":
                continue
            if key not in _KEPT_OF_FRIENDS:
                self._warn(where, "is nothing that is read here; it is left out")
                continue
            if key == "relation" and isinstance(value, list):
                value = ", ".join(map(str, cast("list[object]", value)))
            if key == "who" and isinstance(value, dict):
                kept[key] = self._who((*here, key), where, cast("dict[str, Any]", value))
                continue
            kept[key] = value
            self._keep_all((*here, key), where, value)
        return kept

    def _who(self, here: Where, before: Where, who: Mapping[str, Any]) -> dict[str, object]:
        kept: dict[str, object] = {}
        self._keep(here, before, who)
        for key, value in who.items():
            if key not in _WHO:
                self._warn((*before, key), "is nothing that is read here; it is left out")
                continue
            kept[key] = value
            self._keep_all((*here, key), (*before, key), value)
        return kept

    def _copied(self, where: Where, value: object) -> object:
        self._keep_all(where, where, value)
        return value

    def _put(self, where: Where, value: object) -> object:
        self._keep(where, where, value)
        return value

    def _keep_all(self, here: Where, before: Where, value: object) -> None:
        """Note a value, and what is in it, at its new place."""
        self._keep(here, before, value)
        if isinstance(value, dict):
            for key, item in cast("dict[str, object]", value).items():
                self._keep_all((*here, key), (*before, key), item)
        elif isinstance(value, list):
            for number, item in enumerate(cast("list[object]", value)):
                self._keep_all((*here, number), (*before, number), item)

    def _keep(self, here: Where, before: Where, value: object) -> None:
        old = self._old.written.get(before)
        if old is not None:
            self._written[here] = Written(old.line, value, old.spelling)

    def _warn(self, where: Where, text: str) -> None:
        old = self._old.written.get(where)
        self.warnings.append(Problem(where, text, None if old is None else old.line))


def _text_of(key: str, value: object) -> object:
    """Numbers that were meant as text: there an id or a password may be written without quotes."""
    plain = key in ("id", "name", "password") and isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if plain else value
