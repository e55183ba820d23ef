"""`rookery user …` for passwords and being switched off, `rookery token`, `rookery setup-link`."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from datetime import UTC, datetime

import pytest
import typer

from rookery.cli import running as cli_running
from rookery.cli import secret
from rookery.config import load
from rookery.errors import InvalidInput
from rookery.gateway.house import open_house
from rookery.gateway.log import silent_log
from tests.cli.command import ADDRESS, Rookery, running

PASSWORD = "one green heron"


def test_a_person_with_a_password(house: Rookery) -> None:
    """The password is read from what is piped in, and is nowhere in what is printed."""
    added = house("user", "add", "carol", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert added.status == 0
    assert "choose another password" in added.out
    assert PASSWORD not in added.out + added.err


@pytest.mark.parametrize(
    ("piped", "words"),
    [("", ["standard input"]), ("\n", ["standard input"]), ("short\n", ["8"]), ("password1\n", ["would try"])],
)
def test_a_password_that_is_not_taken(house: Rookery, piped: str, words: list[str]) -> None:
    """It is said why, and nobody is added."""
    house("user", "add", "carol", "--password-stdin", stdin=piped).refused_with(*words)
    assert len(house("user", "list", "--json").json) == 2


def test_another_password(house: Rookery) -> None:
    """For whoever forgot theirs."""
    changed = house("user", "passwd", "bob", stdin=f"{PASSWORD}\r\n")
    assert changed.status == 0
    assert changed.out.startswith("bob has a new password, is logged out everywhere")
    house("user", "passwd", "carl", stdin=f"{PASSWORD}\n").refused_with("'carl'", "alice, bob")
    house("user", "passwd", "bob", stdin="bob\n").refused_with("8 characters")


def test_one_person_is_shown(house: Rookery) -> None:
    """What is known of them, without a secret."""
    house("identity", "link", "alice", "telegram", "123")
    house("token", "create", "alice")
    shown = house("user", "show", "alice")
    assert shown.out.splitlines()[0] == "alice: Alice, member"
    for line in ("Europe/Madrid", "Agents: alice", "Addresses: telegram:123", "Tokens: 1"):
        assert line in shown.out
    assert "Addresses: none\nTokens: none" in house("user", "show", "bob").out
    assert house("user", "show", "alice", "--json").json["timezone"] == "Europe/Madrid"
    house("user", "show", "carl").refused_with("'carl'", "alice, bob")


def test_being_switched_off_and_on(house: Rookery) -> None:
    """Whoever is disabled is listed as that, and answered no more, until they are enabled."""
    assert house("user", "disable", "bob").out == "bob is disabled, and out everywhere.\n"
    assert "bob (disabled)" in house("user", "list").out
    assert "disabled" in house("user", "show", "bob").out
    house("chat", "--user", "bob", "hello").refused_with("disabled")
    assert house("user", "enable", "bob").out == "bob is enabled.\n"
    assert house("chat", "--user", "bob", "hello").status == 0
    house("user", "disable", "carl").refused_with("'carl'")


def test_the_last_admin_stays(house: Rookery) -> None:
    """It is said what to do first."""
    house("user", "add", "carol", "--role", "admin")
    house("user", "disable", "carol").refused_with("'carol' is the last admin", "somebody else an admin first")
    house("user", "add", "dave", "--role", "admin")
    assert house("user", "disable", "carol").status == 0


def test_a_token_from_making_to_end(house: Rookery) -> None:
    """It is printed this once, alone on standard output, so that a script can keep it; after that only named."""
    made = house("token", "create", "alice", "--name", "script")
    token = made.out.removesuffix("\n")
    assert re.fullmatch(r"rk_[A-Za-z0-9_-]{43}", token)
    assert "not shown again" in made.err
    other = house("token", "create", "bob", "--json").json
    assert set(other) == {"id", "userId", "name", "token", "createdAt"}

    table = house("token", "list")
    assert "script" in table.out
    assert "never" in table.out
    assert token not in table.out + house("token", "list", "--json").out
    [listed] = house("token", "list", "--user", "alice", "--json").json
    assert (listed["userId"], listed["name"]) == ("alice", "script")

    assert house("token", "revoke", listed["id"]).status == 0
    house("token", "revoke", listed["id"]).refused_with("There is no token", listed["id"])
    assert [one["userId"] for one in house("token", "list", "--json").json] == ["bob"]


def test_a_token_that_cannot_be(house: Rookery) -> None:
    """Of nobody, or without a name that is one."""
    house("token", "create", "carl").refused_with("'carl'", "alice, bob")
    house("token", "create", "bob", "--name", "").refused_with("one line")
    assert "rookery token create USER" in house("token", "list").err


def test_the_link_for_the_first_admin(house: Rookery) -> None:
    """Alone on standard output; the next one is another, and once there is an admin there is none."""
    first, second = house("setup-link"), house("setup-link", "--json").json
    assert re.fullmatch(rf"{ADDRESS}/setup#[A-Za-z0-9_-]{{43}}\n", first.out)
    assert "to become the first admin" in first.err
    assert first.out.strip() != second["url"]
    house("user", "add", "carol", "--role", "admin")
    house("setup-link").refused_with("an admin already: carol", "rookery user passwd carol")


def test_a_link_on_an_empty_machine(rookery: Rookery) -> None:
    """It is the first thing one may want: the home is made for it, and what has to run is said."""
    made = rookery("setup-link")
    assert made.status == 0
    assert "rookery up" in made.err
    with running(rookery.home):
        assert "rookery up" not in rookery("setup-link").err


def test_a_gateway_that_starts_invites_the_first_admin(
    rookery: Rookery, capsys: pytest.CaptureFixture[str]
) -> None:
    """`rookery up` prints a link while there is no admin, and none once there is one."""

    async def start() -> str:
        config = load(rookery.home.config, {})
        async with open_house(rookery.home, config, now=_now, log=silent_log(), grace=1) as house:
            capsys.readouterr()
            await cli_running._ready(house, config, ADDRESS)  # pyright: ignore[reportPrivateUsage]
        return capsys.readouterr().out

    rookery("user", "add", "alice")
    assert re.search(rf"{ADDRESS}/setup#[A-Za-z0-9_-]{{43}}\n", asyncio.run(start()))
    rookery("user", "add", "carol", "--role", "admin")
    assert "setup" not in asyncio.run(start())


def _now() -> datetime:
    return datetime.now(UTC)


# --- secrets ----------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_secret_is_asked_for_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not shown, twice where a mistyped one would be found out too late, and asked on standard error."""
    asked: list[dict[str, object]] = []

    def prompt(text: str, **how: object) -> str:
        asked.append({"text": text} | how)
        return PASSWORD

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(typer, "prompt", prompt)
    assert secret.read_secret("New password", twice=True) == PASSWORD
    assert asked == [{"text": "New password", "hide_input": True, "confirmation_prompt": True, "err": True}]


@pytest.mark.parametrize(
    ("piped", "read"),
    [(b"a b \n", "a b "), (b"x\r\ny\n", "x"), (b"x", "x"), ("käse".encode(), "käse"), (b" \n", " ")],
)
def test_a_secret_that_is_piped_in(monkeypatch: pytest.MonkeyPatch, piped: bytes, read: str) -> None:
    """The first line, as it is but for its end."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped), encoding="utf-8", newline="\n"))
    assert secret.read_secret("New password") == read


@pytest.mark.parametrize("piped", [b"", b"\n", b"\xff\n"])
def test_a_secret_that_is_none(monkeypatch: pytest.MonkeyPatch, piped: bytes) -> None:
    """Nothing, or no text."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped), encoding="utf-8"))
    with pytest.raises(InvalidInput):
        secret.read_secret("New password")
