"""The home directory: for one user, and for one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rookery.errors import Conflict
from rookery.gateway.home import Home


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_home_is_its_owner_s_alone(tmp_path: Path) -> None:
    """Also under a generous umask, with parents that were not there; twice is harmless."""
    home = Home(tmp_path / "some" / "home")
    before = os.umask(0)
    try:
        home.prepare()
        home.prepare()
        with home.locked():
            pass
    finally:
        os.umask(before)
    assert [mode(path) for path in (home.path, home.agents, home.logs, home.path / "share")] == [0o700] * 4
    assert mode(home.lock) == 0o600


def test_a_home_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    """The second is told which home and what to do; afterwards it is free again."""
    home = Home(tmp_path)
    with home.locked(), pytest.raises(Conflict, match=f"{tmp_path} is in use by another process"), home.locked():
        pass
    with home.locked():
        pass


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    """However that ends: killed, it leaves nothing that would keep the next one out."""
    script = (
        "import sys, time; from pathlib import Path; from rookery.gateway.home import Home\n"
        "with Home(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Conflict), Home(tmp_path).locked():
            pass
    finally:
        other.kill()
        other.wait()
        if other.stdout is not None:
            other.stdout.close()
    with Home(tmp_path).locked():
        pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nobody makes us open another file by putting a link where the lock should be."""
    (tmp_path / "elsewhere").touch()
    (tmp_path / "gateway.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), Home(tmp_path).locked():
        pass
