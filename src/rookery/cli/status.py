"""`rookery status`: how the gateway stands."""

from __future__ import annotations

from datetime import UTC, datetime

from rookery.cli.options import HomeOption, JsonOption, home_at
from rookery.cli.reach import reach
from rookery.cli.show import as_json, local, say


def status(home: HomeOption = None, json: JsonOption = False) -> None:
    """Say whether the gateway runs, and what waits."""
    from rookery.gateway.shapes import Status

    with reach(home_at(home)) as wire:
        found = wire.call("status", None, Status)
    if json:
        as_json(found)
        return
    if found.running:
        since = local(found.started_at)
        say(f"Running at {found.address} since {since} ({_duration(found.started_at)}), process {found.pid}")
    else:
        say("Not running; `rookery up` starts it.")
    say(f"Rookery {found.version}, {_database(found.database)}, home {found.home}")
    say(f"People: {found.users}   Agents: {found.agents}")
    say(f"Being answered: {found.answering}   Waiting to be answered: {found.waiting}")
    say(f"Replies not sent yet: {found.outbox}   Undeliverable: {found.dead_letters}")
    if found.keys_cooling:
        say(f"Keys left alone for a while: {found.keys_cooling}, see: rookery key list")


def _database(dialect: str) -> str:
    return "SQLite" if dialect == "sqlite" else "PostgreSQL"


def _duration(since: datetime | None) -> str:
    minutes = 0 if since is None else int((datetime.now(UTC) - since).total_seconds() // 60)
    days, hours = divmod(minutes // 60, 24)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes % 60} min"]
    return " ".join(filter(None, parts))
