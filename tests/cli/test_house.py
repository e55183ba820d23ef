"""`rookery status`, `config`, `doctor`, and what holds for every command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, cast

import pytest

from rookery.gateway.home import Home
from tests.cli.command import ADDRESS, Rookery, running


def test_status_without_a_gateway(rookery: Rookery) -> None:
    """It says so, and what is there."""
    rookery("user", "add", "alice")
    ran = rookery("status")
    assert ran.status == 0
    assert "Not running; `rookery up` starts it." in ran.out
    assert "People: 1" in ran.out
    found = rookery("status", "--json").json
    assert (found["running"], found["users"], found["database"], found["pid"]) == (False, 1, "sqlite", None)


def test_status_of_a_running_gateway(rookery: Rookery) -> None:
    """Where it answers, since when, and what waits."""
    rookery("user", "add", "alice")
    with running(rookery.home):
        found = rookery("status", "--json").json
        assert (found["running"], found["address"], found["pid"]) == (True, ADDRESS, os.getpid())
        assert (found["waiting"], found["answering"], found["outbox"], found["deadLetters"]) == (0, 0, 0, 0)
        assert ADDRESS in rookery("status").out


def test_config_check_names_every_problem(rookery: Rookery) -> None:
    """All problems at once, each with its line, and status 1."""
    rookery.configure("models:\n  defualt: x\ngateway:\n  port: high\n")
    ran = rookery("config", "check")
    assert ran.status == 1
    assert "rookery.yaml:2: models.defualt" in ran.err
    assert "rookery.yaml:4: gateway.port" in ran.err
    assert rookery("status").status == 1


def test_config_check_of_a_right_file(rookery: Rookery) -> None:
    """A right file, and none at all, are right; what has no effect yet is noted."""
    assert "everything has its default" in rookery("config", "check").out
    rookery.configure("budgets: { default: { perDayUsd: 2 } }")
    ran = rookery("config", "check")
    assert ran.status == 0
    assert "is right" in ran.out
    assert "Note: budgets" in ran.err


def test_config_check_says_what_a_start_would_refuse(rookery: Rookery) -> None:
    """Two bindings for one place, each right by itself. A model for whose provider there is no key is noted."""
    binding = "{ agentId: helpdesk, match: { channel: webhook } }"
    rookery.configure(
        f"agents: {{ list: [{{ id: helpdesk, sponsor: alice }}] }}\nbindings: [{binding}, {binding}]\n"
    )
    rookery("config", "check").refused_with("bind")
    rookery.configure("models: { default: anthropic/claude-x, fallbacks: [offline/demo] }")
    ran = rookery("config", "check")
    assert ran.status == 0
    assert "Note: models.default is 'anthropic/claude-x', but models.sharedKeys has no key for" in ran.err
    assert ran.err.count("\n") == 1


def test_config_show_and_schema(rookery: Rookery) -> None:
    """What holds, as YAML or JSON, and the schema for editors; neither needs a home."""
    from ruamel.yaml import YAML

    shown = cast("Any", YAML(typ="safe")).load(rookery("config", "show").out)
    assert shown == rookery("config", "show", "--json").json
    assert shown["gateway"]["port"] == 8484
    assert rookery("config", "schema").json["title"] == "rookery.yaml"
    assert not rookery.home.path.exists()


def test_config_reload(rookery: Rookery) -> None:
    """A running gateway takes the file up, or says why not and keeps the old one."""
    rookery("user", "add", "alice")
    rookery("config", "reload").refused_with("No gateway runs")
    with running(rookery.home):
        rookery.configure("agents: { list: [ { id: helpdesk, sponsor: alice } ] }")
        assert rookery("config", "reload").out == "The configuration is in force.\n"
        assert "helpdesk" in rookery("agent", "list").out
        rookery.configure("agents: { list: [ { id: helpdesk, sponsor: carl } ] }")
        rookery("config", "reload").refused_with("'carl'", "rookery user add")
        assert "helpdesk" in rookery("agent", "list").out


def test_doctor_finds_all_well(house: Rookery) -> None:
    """Every check says what it saw."""
    house("chat", "--user", "alice", "hello")
    ran = house("doctor")
    assert ran.status == 0, ran
    assert ran.out.endswith("All is well.\n")
    checks = {finding["check"] for finding in house("doctor", "--json").json}
    assert {"home", "disk", "configuration", "gateway", "schema", "database", "keys", "brain alice"} <= checks


def test_doctor_names_what_is_wrong_with_the_remedy(rookery: Rookery) -> None:
    """Loose permissions, a model server that is away, a torn transcript."""
    rookery("user", "add", "alice")
    rookery("chat", "--user", "alice", "hello")
    rookery.configure('models: { providers: { local: { api: openai, baseUrl: "http://127.0.0.1:9/v1" } } }')
    rookery.home.database.chmod(0o644)
    [transcript] = (rookery.home.agents / "alice" / "sessions").glob("*.jsonl")
    transcript.write_bytes(transcript.read_bytes() + b"not json\n")
    ran = rookery("doctor")
    assert f"chmod 600 {rookery.home.database}" in ran.out
    assert "http://127.0.0.1:9/v1 cannot be reached" in ran.out
    assert "fail  brain alice" in ran.out
    assert ran.status == 1


def test_doctor_with_a_configuration_that_does_not_load(rookery: Rookery) -> None:
    """Each line of the file is a finding; the state is not opened with a wrong file."""
    rookery("user", "add", "alice")
    rookery.configure("models:\n  defualt: x\n")
    ran = rookery("doctor")
    assert ran.status == 1
    assert ran.out.count("models.defualt") == 1
    assert "has to be right first" in ran.out


def test_doctor_rebuilds_the_index(house: Rookery) -> None:
    """An index that is lost is made anew from the transcripts, and nothing is missing."""
    house("chat", "--user", "alice", "hello")
    before = house("session", "list", "--agent", "alice", "--json").json
    ran = house("doctor", "--reindex")
    assert ran.status == 0
    assert "The index of alice was made anew." in ran.out
    assert house("session", "list", "--agent", "alice", "--json").json == before


def test_doctor_without_a_home(rookery: Rookery) -> None:
    """Nothing there is a finding, too."""
    ran = rookery("doctor")
    assert ran.status == 1
    assert "There is no Rookery home" in ran.out
    assert not rookery.home.path.exists()


def test_home_may_stand_anywhere(rookery: Rookery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the command, behind it, between a group and its command, or in the environment."""
    home = str(rookery.home.path)
    rookery("user", "add", "alice")
    for arguments in (
        ("--home", home, "user", "list", "--json"),
        ("user", "--home", home, "list", "--json"),
        ("user", "list", "--json", "--home", home),
        ("--home", "/nowhere", "user", "list", "--json", "--home", home),
    ):
        assert [user["id"] for user in rookery.anywhere(*arguments).json] == ["alice"]
    monkeypatch.setenv("ROOKERY_HOME", home)
    assert rookery.anywhere("user", "list", "--json").json[0]["id"] == "alice"
    assert rookery.anywhere("--home", "/nowhere", "user", "list").status == 1


def test_a_home_that_cannot_be_one(rookery: Rookery, tmp_path: Path) -> None:
    """A file in its place is one clear line, not a trace."""
    (tmp_path / "file").write_text("")
    ran = rookery.anywhere("--home", str(tmp_path / "file"), "user", "add", "alice")
    assert ran.status == 1
    assert ran.err.count("\n") == 1
    assert str(tmp_path / "file") in ran.err


def test_a_home_that_something_else_holds(rookery: Rookery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command waits for a gateway that is just starting, and then says that the home is in use."""
    monkeypatch.setattr("rookery.cli.reach.STARTING_SECONDS", 0.1)
    rookery("user", "add", "alice")
    with rookery.home.locked():
        rookery("user", "list").refused_with(str(rookery.home.path), "in use")


def test_help_and_version(rookery: Rookery) -> None:
    """Every command explains itself; wrong usage is status 2."""
    from rookery import __version__

    assert rookery.anywhere("--version").out == f"rookery {__version__}\n"
    assert rookery.anywhere("nonsense").status == 2
    assert rookery.anywhere("user", "add").status == 2
    assert rookery.anywhere("user", "list", "--nonsense").status == 2
    listed = rookery.anywhere("--help")
    assert listed.status == 0
    for command in ("up", "chat", "demo", "status", "doctor"):
        assert f"  {command} " in listed.out
        assert rookery.anywhere(command, "--help").status == 0
    for group, commands in {
        "user": ("add", "list"),
        "identity": ("link", "unlink", "list"),
        "agent": ("list", "add", "set"),
        "key": ("grant", "ungrant", "list"),
        "session": ("list", "show", "new", "export"),
        "config": ("schema", "check", "show", "reload"),
    }.items():
        shown = rookery.anywhere(group, "--help").out
        for command in commands:
            assert f"  {command} " in shown
            assert "--home" in rookery.anywhere(group, command, "--help").out or command == "schema"


def _modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_command_line_starts_light() -> None:
    """What is heavy is imported by the command that needs it."""
    assert not _modules_after("import rookery.cli") & {"typer", "msgspec", "asyncio"}
    heavy = {"sqlalchemy", "aiohttp", "rich", "pydantic", "asyncio", "uvicorn", "alembic", "ruamel.yaml"}
    assert not _modules_after("import rookery.cli.app") & heavy


def test_the_gateway_starts_light() -> None:
    """Nothing of the command line, and nothing that only some gateways need, is imported by the start."""
    later = {"fastapi", "argon2", "zxcvbn", "markdown_it", "nh3", "pygments", "prometheus_client", "filetype"}
    others = {"typer", "rich", "alembic", "asyncpg"}
    assert not _modules_after("import rookery.web.serve") & (later | others)


def test_up_in_a_process_of_its_own(tmp_path: Path) -> None:
    """It says where it answers and what comes next, takes commands, and ends with SIGTERM and status 0."""
    home = Home(tmp_path / "home")
    start = [sys.executable, "-m", "rookery", "--home", str(home.path)]
    up = subprocess.Popen([*start, "up", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert up.stdout is not None
        first = up.stdout.readline()
        address = first.split()[-1]
        assert "is running at http://127.0.0.1:" in first
        assert str(home.path) in up.stdout.readline()
        said = "".join(up.stdout.readline() for _ in range(8))
        assert f"{address}/setup#" in said
        assert "rookery user add you" in said
        with urllib.request.urlopen(f"{address}/readyz", timeout=10) as ready:
            assert ready.status == 200
        found = json.loads(subprocess.check_output([*start, "status", "--json"]))
        assert (found["running"], found["address"], found["pid"]) == (True, address, up.pid)
        again = subprocess.run([*start, "up", "--port", "0"], capture_output=True, text=True, check=False)
        assert again.returncode == 1
        assert "in use" in again.stderr
    finally:
        up.send_signal(signal.SIGTERM)
        _, err = up.communicate(timeout=20)
    assert up.returncode == 0
    assert err == ""
    assert not home.socket.exists()
