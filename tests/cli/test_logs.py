"""`rookery logs`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from rookery.cli import logs
from rookery.gateway.log import JsonLog
from tests.cli.command import Rookery


@pytest.fixture
def logged(rookery: Rookery) -> Rookery:
    """A home with a log of three events, and no gateway."""
    rookery.configure("")
    rookery.home.logs.mkdir()
    log = JsonLog(rookery.home.log)
    log.info("turn.end", principal="user:alice", agent="alice", ms=12)
    log.warning("message.not_let_in", sender='mal\x1b[31m"lory', reason="is no user")
    log.error("outbox.dead", delivery="d1", account=None)
    log.close()
    return rookery


def test_events_are_lines_for_people(logged: Rookery) -> None:
    """With the time as their clock shows it; what a stranger chose cannot steer the terminal or forge a line."""
    first, second, third = logged("logs").out.splitlines()
    assert first.endswith("  info     turn.end  principal=user:alice agent=alice ms=12")
    assert datetime.fromisoformat(first[:19]).astimezone() > datetime.now(UTC) - timedelta(minutes=5)
    assert second.endswith('  warning  message.not_let_in  sender="mal\\u001b[31m\\"lory" reason="is no user"')
    assert third.endswith("  error    outbox.dead  delivery=d1")


def test_json_is_the_log_s_own(logged: Rookery) -> None:
    """Line by line, as it stands in the file."""
    assert logged("logs", "--json").out == logged.home.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "events"),
    [
        (["--lines", "2"], ["message.not_let_in", "outbox.dead"]),
        (["-n", "0"], []),
        (["--level", "warning"], ["message.not_let_in", "outbox.dead"]),
        (["--level", "error"], ["outbox.dead"]),
        (["--event", "turn.end"], ["turn.end"]),
        (["--event", "outbox."], ["outbox.dead"]),
        (["--user", "alice"], ["turn.end"]),
        (["--user", "bob"], []),
        (["--since", "1h"], ["turn.end", "message.not_let_in", "outbox.dead"]),
        (["--since", "2999-01-01"], []),
        (["--since", "1h", "--lines", "1"], ["outbox.dead"]),
    ],
)
def test_events_are_chosen(logged: Rookery, arguments: list[str], events: list[str]) -> None:
    """By number, level, name, person and time."""
    ran = logged("logs", "--json", *arguments)
    assert ran.status == 0
    assert [json.loads(line)["event"] for line in ran.out.splitlines()] == events


def test_what_cannot_be_shown(logged: Rookery) -> None:
    """No log, no such time, no such level."""
    logged("logs", "--since", "yesterday").refused_with("'yesterday'", "2h", "2026-03-01")
    logged("logs", "--since", "999999w").refused_with("'999999w'")
    assert logged("logs", "--level", "loud").status == 2
    assert logged("logs", "--lines", "-1").status == 2


def test_where_nothing_was_logged(logged: Rookery) -> None:
    """A home without a log has had nothing to say; a directory that is no home is a mistake, and is left alone."""
    logged.home.log.unlink()
    ran = logged("logs")
    assert (ran.status, ran.out) == (0, "")
    assert "Nothing was logged yet" in ran.err
    logged.home.config.unlink()
    for arguments in ((), ("--follow",)):
        logged("logs", *arguments).refused_with("no Rookery home", "ROOKERY_HOME")


def test_it_needs_no_lock(house: Rookery) -> None:
    """The log is read while a gateway runs, or a command has the home."""
    with nullcontext() if house.home.socket.exists() else house.home.locked():
        assert house("logs", "--level", "error").status == 0


def test_it_is_followed(logged: Rookery, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last lines first, then each as it comes, until Ctrl-C."""
    log = JsonLog(logged.home.log)
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt
        log.error("event", number=len(waited))

    monkeypatch.setattr(logs.time, "sleep", wait)
    ran = logged("logs", "--follow", "--lines", "1", "--json")
    log.close()
    assert ran.status == 0
    assert [json.loads(line)["event"] for line in ran.out.splitlines()] == ["outbox.dead", "event", "event"]
