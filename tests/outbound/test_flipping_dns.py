"""A real name server that changes its mind, real sockets, and nothing of ours replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.whole

_RESOLVING = "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n"
_ORDER = "hosts: files dns\n"
_ROOT = Path(__file__).parents[2]


def _attack(tmp_path: Path, *options: str) -> dict[str, Any]:
    """Run the attack in a network of its own, whose name server is ours; what it found."""
    (tmp_path / "resolv.conf").write_text(_RESOLVING)
    (tmp_path / "nsswitch.conf").write_text(_ORDER)
    script = " && ".join(
        [
            *(f"mount --bind {tmp_path / name} /etc/{name}" for name in ("resolv.conf", "nsswitch.conf")),
            f"exec {sys.executable} -m tests.outbound.flipping {' '.join(options)}",
        ]
    )
    ran = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-c", script],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_name_server_that_flips_never_gets_us_inside(tmp_path: Path) -> None:
    """Hundreds of lookups whose answer turns between public and private: no inner address accepts a connection."""
    found = _attack(tmp_path)
    assert found["reached bad"] == 0
    assert found["said bad"] >= 200, "the name server did flip"
    assert found["reached good"] >= 200
    assert found["steady"] == 12, "a name that is public with every answer is never refused"
    assert set(found["outcomes"]) == {"good", "blocked"}


def test_a_check_before_the_lookup_that_counts_is_caught(tmp_path: Path) -> None:
    """Checked, then looked up again and connected to: this server shows it."""
    assert _attack(tmp_path, "--mistaken")["reached bad"] > 0
