"""Which processors the threads of a running gateway may use, as Linux tells it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rookery.web import processor

EVERY = frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else frozenset[int]()


@contextmanager
def running(home: Path, setting: str) -> Generator[int]:
    """The process of a gateway that is up, by its number, after work beside the loop: a login."""
    home.mkdir()
    (home / "rookery.yaml").write_text(f"gateway: {{ processors: {setting} }}\n")
    command = [sys.executable, "-m", "rookery", "--home", str(home), "up", "--port", "0"]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert up.stdout is not None
        address = up.stdout.readline().split()[-1]
        body = json.dumps({"username": "nobody", "password": "wrong"}).encode()
        request = urllib.request.Request(f"{address}/api/login", body, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=20)
        yield up.pid
    finally:
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=20)


def allowed(pid: int) -> dict[int, frozenset[int]]:
    """The processors that each thread of a process may use."""
    threads = [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    return {thread: frozenset(os.sched_getaffinity(thread)) for thread in threads}


def test_loop_and_writers_share_one_processor_and_what_takes_long_has_all(tmp_path: Path) -> None:
    """With `one`, the default, no step between them wakes a processor; hashing passwords does not hold them up."""
    with running(tmp_path / "home", "one") as pid:
        threads = allowed(pid)
    loop = threads[pid]
    assert len(loop) == 1
    together = [thread for thread, where in threads.items() if where == loop]
    assert len(together) > 4, "the loop, the database's writer, and four that write files"
    assert set(threads.values()) == {loop, EVERY}


def test_the_operator_can_leave_it_to_the_system(tmp_path: Path) -> None:
    """With `all` every thread may run anywhere."""
    with running(tmp_path / "home", "all") as pid:
        assert set(allowed(pid).values()) == {EVERY}


async def test_what_runs_beside_the_loop_gets_every_processor_back() -> None:
    """Its threads are made by one that stays on one processor, and do not inherit that."""
    before = os.sched_getaffinity(0)
    try:
        beside = processor.stay_on_one(os.getpid())
        assert len(os.sched_getaffinity(0)) == 1
        processor.spread_helpers(asyncio.get_running_loop(), beside)
        assert await asyncio.to_thread(os.sched_getaffinity, 0) == set(beside or before)
    finally:
        os.sched_setaffinity(0, before)
