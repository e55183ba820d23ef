"""A process that holds secrets leaves none in a core dump, in its environment, or to who looks in."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

SECRET = base64.b64encode(b"Kanarie-master-key-of-32-bytes!!").decode()

_LOOKS = """
import ctypes, json, os, resource, subprocess, sys
from rookery.gateway.hardening import harden
from rookery.gateway.master_key import EnvironmentKey
harden()
key = EnvironmentKey.taken().read()
said = {
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "key": len(key.current),
    "mine": sorted(os.environ),
    "child": subprocess.run(["env"], capture_output=True, text=True).stdout,
    "mode": os.stat("/proc/self/mem").st_uid,
    "files": len(os.listdir("/proc/self/fd")),
    "status": "VmRSS" in open("/proc/self/status").read(),
    "other": os.environ["OTHER"],
}
print(json.dumps(said), flush=True)
sys.stdin.read()
"""


def test_nobody_finds_the_master_key_around_the_process():
    """Neither in its own environment as /proc shows it, nor in a child's; and no core is written."""
    environment = {"PATH": os.environ["PATH"], "ROOKERY_MASTER_KEY": SECRET, "OTHER": "kept", "PYTHONPATH": "src"}
    with subprocess.Popen(
        [sys.executable, "-c", _LOOKS],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        said = json.loads(process.stdout.readline())
        shown = _environment_of(process.pid)
        process.stdin.close()
    assert said["dumpable"] == 0
    assert said["core"] == [0, 0]
    assert said["key"] == 32
    assert said["other"] == "kept"
    assert said["mode"] == 0
    assert said["files"]
    assert said["status"]
    assert SECRET not in json.dumps(said)
    assert not any("MASTER_KEY" in name for name in said["mine"])
    assert SECRET.encode() not in shown
    assert b"OTHER=kept" in shown or not shown


def _environment_of(pid: int) -> bytes:
    """As much as may be seen."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:
        return b""
