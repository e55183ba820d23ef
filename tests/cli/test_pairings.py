"""`rookery pair`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from rookery.gateway import codes, pairing
from rookery.ids import TurnId
from rookery.messages import Chat, ChatKind, Route
from rookery.storage.sqlite import SqliteDatabase
from tests.cli.command import Rookery


def asked(house: Rookery, sender: str, channel: str = "telegram") -> str:
    """A stranger has written, and was told this code."""
    route = Route(channel, "default", Chat(ChatKind.DM, sender), None, sender, f"m-{sender}")

    async def write() -> str:
        database = SqliteDatabase(house.home.database)
        now = datetime.now(UTC)
        told = await database.write(lambda c: pairing.answer(c, route, TurnId(f"turn-{sender}"), now))
        await database.close()
        [note] = told.said
        [code] = [word for word in note.text.split() if codes.read(word) is not None and "-" in word]
        return code

    return asyncio.run(write())


def asked_by_group(house: Rookery, chat: str) -> None:
    """Somebody has mentioned the assistant in a group."""
    route = Route("telegram", "default", Chat(ChatKind.GROUP, chat), None, "1", f"m{chat}")

    async def write() -> None:
        database = SqliteDatabase(house.home.database)
        await database.write(lambda c: pairing.of_group(c, route, datetime.now(UTC)))
        await database.close()

    asyncio.run(write())


def test_a_stranger_is_let_in_as_somebody(house: Rookery) -> None:
    """By their code, as somebody who is there or somebody new; the list shows who waits, and nobody then."""
    first, second, third = (asked(house, sender) for sender in ("7", "8", "9"))
    listed = house("pair", "list", "--json").json
    assert sorted(one["sender"] for one in listed) == ["7", "8", "9"]
    assert "telegram@default:7" in house("pair", "list").out
    assert first not in house("pair", "list").out

    done = house("pair", "approve", first.lower(), "--user", "bob")
    assert "telegram@default:7 is bob from now on" in done.out
    new = house("pair", "approve", second, "--new-user", "carol", "--name", "Carol")
    assert "carol from now on" in new.out
    assert "Carol" in house("user", "list").out
    assert house("pair", "reject", third).out == "telegram@default:9 is not let in.\n"
    assert house("pair", "list").err == "Nobody waits to be let in.\n"
    assert "telegram@default:7" in house("identity", "list").out


def test_who_approves_hears_whether_they_are_told(rookery: Rookery) -> None:
    """They are, where they are answered from now on; where that way is closed to them, it is said why."""
    rookery.configure("channels: {webhook: {accounts: {default: {secret: sixteen-characters}}}}\n")
    rookery("user", "add", "alice", "--role", "admin")
    rookery("user", "add", "bob")
    first, second = (asked(rookery, sender, "webhook") for sender in ("7", "8"))
    done = rookery("pair", "approve", first, "--user", "bob")
    assert done.out == "webhook@default:7 is bob from now on; they are told so.\n"
    assert rookery("user", "set", "bob", "permissions=web").status == 0
    done = rookery("pair", "approve", second, "--user", "bob")
    assert done.out.startswith("webhook@default:8 is bob from now on, but is not answered there: You may not use")
    assert "in chat networks" in done.out


def test_a_group_is_let_in_by_its_id(house: Rookery) -> None:
    """With its sponsor; it has no code."""
    asked_by_group(house, "-100")
    [one] = house("pair", "list", "--json").json
    assert "a group" in house("pair", "list").out
    house("pair", "approve", one["id"], "--user", "alice").refused_with("is a group", "sponsor")
    done = house("pair", "approve", one["id"], "--sponsor", "alice")
    assert "telegram@default:-100 is let in" in done.out
    [space] = house("space", "list", "--json").json
    assert (space["chat"], space["sponsor"]) == ("-100", "alice")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("approve", "AAAA-AAAA", "--user", "bob"), ["no such code", "rookery pair list"]),
        (("approve", "0" * 26, "--user", "bob"), ["no such request"]),
        (("reject", "nonsense"), ["no such code"]),
    ],
)
def test_what_is_wrong_is_said(house: Rookery, arguments: tuple[str, ...], words: list[str]) -> None:
    """In one line."""
    house("pair", *arguments).refused_with(*words)


def test_which_person_it_is_has_to_be_said(house: Rookery) -> None:
    """One of the two ways, and not both."""
    code = asked(house, "7")
    house("pair", "approve", code).refused_with("which person")
    house("pair", "approve", code, "--user", "bob", "--new-user", "carol").refused_with("which person")
    assert house("pair", "approve", code, "--user", "bob", "--name", "Bob").status == 2
