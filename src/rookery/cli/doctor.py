"""`rookery doctor`: look at everything a gateway stands on, and say what to do about what is not well."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from rookery.cli.options import HomeOption, JsonOption, home_at
from rookery.cli.show import as_json, note, say
from rookery.errors import ConfigError, RookeryError

if TYPE_CHECKING:
    from rookery.cli.wire import Wire
    from rookery.gateway.home import Home
    from rookery.gateway.shapes import Finding

_FREE_WANTED = 1 << 30
_FREE_NEEDED = 100 << 20


def doctor(
    reindex: Annotated[
        bool, typer.Option("--reindex", help="Also make every agent's index anew from its transcripts.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check everything the gateway stands on.

    Each finding comes with its remedy; the exit status is 1 when something fails.
    """
    at = home_at(home)
    found: list[Finding] = []
    for finding in _look(at, reindex=reindex, quiet=json):
        found.append(finding)
        if not json:
            _print(finding)
    if json:
        as_json(found)
    failed = sum(finding.level == "fail" for finding in found)
    warned = sum(finding.level == "warn" for finding in found)
    if not json:
        say(_summary(failed, warned))
    if failed:
        raise typer.Exit(1)


def _look(home: Home, *, reindex: bool, quiet: bool) -> Iterator[Finding]:
    from rookery.cli.reach import is_home, reach
    from rookery.gateway.shapes import Finding

    if not is_home(home):
        yield Finding("home", "fail", f"There is no Rookery home at {home.path}; `rookery user add ID` makes one.")
        return
    yield from _home(home)
    yield from _disk(home)
    configuration = list(_configuration(home))
    yield from configuration
    try:
        runs = yield from _gateway(home)
        if not runs and any(finding.level == "fail" for finding in configuration):
            yield Finding("state", "warn", "Not looked at: the configuration has to be right first.")
            return
        with reach(home) as wire:
            yield from _state(wire, reindex=reindex, quiet=quiet)
    except (RookeryError, OSError) as error:
        detail = error.detail if isinstance(error, RookeryError) else str(error)
        yield Finding("state", "fail", f"The state cannot be looked at: {detail}")


def _home(home: Home) -> Generator[Finding]:
    from rookery.gateway.shapes import Finding

    loose: list[str] = []
    for path in (home.path, home.agents, home.logs, home.database, home.config, home.lock):
        try:
            found = path.stat()
        except OSError:
            continue
        if found.st_uid not in (os.geteuid(), 0):
            yield Finding("home", "fail", f"{path} belongs to another user of this machine; chown it.")
        if stat.S_IMODE(found.st_mode) & 0o077:
            loose.append(f"chmod {'700' if path.is_dir() else '600'} {path}")
    if loose:
        yield Finding("home", "warn", f"Other users of this machine can look in: {'; '.join(loose)}")
    else:
        yield Finding("home", "ok", f"{home.path} is this user's alone.")


def _disk(home: Home) -> Generator[Finding]:
    from rookery.gateway.shapes import Finding

    try:
        with tempfile.TemporaryFile(dir=home.path) as file:
            file.write(b"rookery")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        yield Finding("disk", "fail", f"{home.path} cannot be written: {error.strerror or error}.")
        return
    free = shutil.disk_usage(home.path).free
    if free >= _FREE_WANTED:
        yield Finding("disk", "ok", f"It can be written and has {_size(free)} free.")
    else:
        level = "warn" if free >= _FREE_NEEDED else "fail"
        yield Finding("disk", level, f"Only {_size(free)} free; nothing is accepted once it is full. Make room.")


def _configuration(home: Home) -> Generator[Finding]:
    from rookery.config import load, unavailable
    from rookery.gateway.shapes import Finding

    try:
        config = load(home.config, os.environ)
    except ConfigError as error:
        for line in error.detail.splitlines():
            yield Finding("configuration", "fail", line)
        return
    for line in unavailable(config):
        yield Finding("configuration", "warn", line)
    what = f"{home.config.name} is right." if home.config.exists() else "There is no file; the defaults hold."
    yield Finding("configuration", "ok", what)


def _gateway(home: Home) -> Generator[Finding, None, bool]:
    """Whether one runs is what the generator returns."""
    from rookery.cli.wire import connect
    from rookery.gateway.shapes import Finding, Status

    wire = connect(home)
    if wire is None:
        left = "; a socket is left of one that died, the next start clears it" if home.socket.exists() else ""
        yield Finding("gateway", "ok", f"None runs on this home{left}.")
        return False
    with wire:
        status = wire.call("status", None, Status)
    yield Finding("gateway", "ok", f"Process {status.pid} answers at {status.address}.")
    return True


def _state(wire: Wire, *, reindex: bool, quiet: bool) -> Generator[Finding]:
    from rookery.gateway.shapes import Agent, AgentNamed, Done, Finding

    for check in ("check.database", "check.audit", "check.configuration", "check.models", "check.sealed"):
        yield from wire.call(check, None, list[Finding])
    agents = wire.call("agent.list", None, list[Agent])
    for number, agent in enumerate(agents, 1):
        if not quiet:
            _progress(f"Looking at the transcripts of {agent.id} ({number} of {len(agents)}) …")
        findings = wire.call("check.brain", AgentNamed(agent_id=agent.id), list[Finding])
        _progress("")
        yield from findings
    if not reindex:
        return
    for number, agent in enumerate(agents, 1):
        if not quiet:
            note(f"Making the index of {agent.id} anew ({number} of {len(agents)}) …")
        done = wire.call("brain.reindex", AgentNamed(agent_id=agent.id), Done)
        yield Finding(f"index {agent.id}", "ok", done.detail)


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()


_COLOURS = {"ok": "32", "warn": "33", "fail": "31"}


def _print(finding: Finding) -> None:
    level = f"{finding.level:4}"
    if sys.stdout.isatty():
        level = f"\x1b[{_COLOURS[finding.level]}m{level}\x1b[0m"
    say(f"{level}  {finding.check}: {finding.detail}")


def _summary(failed: int, warned: int) -> str:
    if not failed and not warned:
        return "\nAll is well."
    return f"\n{failed} failed, {warned} to look at."


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= _FREE_WANTED else f"{count >> 20} MiB"
