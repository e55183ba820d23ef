"""What holds for every test: the real network is out of reach, and nothing is left out without being said."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

_LOCAL = {"127.0.0.1", "::1", "localhost"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all",
        action="store_true",
        help="run the tests marked 'whole' too; what they need and is missing is then a failure",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in as many processes as there are cores, at most four; a named part in this one."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    config.option.dist = "worksteal"
    return min(os.cpu_count() or 1, 4)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --all, leave out what PyPI alone cannot run, and say so at the end."""
    if config.getoption("--all"):
        return
    left_out = [item for item in items if item.get_closest_marker("whole")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("whole")]
        config.hook.pytest_deselected(items=left_out)
        config.stash[_LEFT_OUT] = len(left_out)


_LEFT_OUT = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Each process that runs a share of the tests tells the one that sums up what was left out."""
    told: dict[str, int] | None = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["left_out"] = session.config.stash.get(_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Called in the process that sums up, when another has ended."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash.get(_LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(f"{left_out} tests left out that need more than PyPI has; --all runs them.")


@pytest.fixture(autouse=True)
def no_home_of_mine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the home of whoever runs it, nor finds a key in the environment."""
    monkeypatch.delenv("ROOKERY_HOME", raising=False)
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_TOKEN"))]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_outside_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that would leave this machine fails at once, so that forgetting a fake is harmless."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        over_the_network = self.family in (socket.AF_INET, socket.AF_INET6)
        if over_the_network and str(address[0]) not in _LOCAL:
            raise AssertionError(f"A test tried to reach {address!r}; use a server on this machine.")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
