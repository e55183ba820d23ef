"""Making it hard to read secrets out of this process: no core dump, no look into its memory or environment.

On Linux. Elsewhere there is nothing of this to be done, and nothing is.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path

_PR_SET_DUMPABLE = 4
_ENVIRONMENT_BEGINS = 47
"""Which field of /proc/self/stat behind the name says where the environment begins; the next, where it ends."""


def harden() -> None:
    """To be called before a secret is in memory. Other processes of this user can no longer look in, and a crash
    leaves no core; programs that are started from here are as they always are, but leave no core either."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def wipe(name: str) -> None:
    """Overwrite a variable in the memory where the process was handed its environment, so that /proc shows it no
    more. Taking it out of `os.environ` only forgets where it lies."""
    if sys.platform != "linux":
        return
    import ctypes

    begin = f"{name}=".encode()
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        at, end = int(fields[_ENVIRONMENT_BEGINS]), int(fields[_ENVIRONMENT_BEGINS + 1])
        if at:
            for variable in ctypes.string_at(at, end - at).split(b"\0"):
                if variable.startswith(begin):
                    ctypes.memset(at + len(begin), 0, len(variable) - len(begin))
                at += len(variable) + 1


def taken(name: str) -> str | None:
    """The variable, which nobody finds in this process or a child of it from here on; None when there is none."""
    value = os.environ.get(name)
    if value is not None:
        wipe(name)
        del os.environ[name]
    return value
