"""On which processor the gateway's own threads run: all on one, for Python lets only one of them run at a time.

The event loop and the writers hand work to each other several times a turn. Where each sits on a processor of its
own, every such step wakes the other processor, which on a virtual machine costs more than the work itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor


def stay_on_one(pid: int) -> frozenset[int]:
    """Keep the calling thread, and those it starts from here on, on one of the processors it may use.

    Which one goes by the process's number, so that several gateways spread. Returns the processors it might use
    before; empty where there is nothing to choose from or the system knows no such thing.
    """
    if sys.platform != "linux":
        return frozenset()
    allowed = frozenset(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return frozenset()
    chosen = sorted(allowed)[pid % len(allowed)]
    try:
        os.sched_setaffinity(0, {chosen})
    except OSError:
        return frozenset()  # a sandbox may forbid it; nothing but speed depends on it
    return allowed


def spread_helpers(loop: asyncio.AbstractEventLoop, processors: Iterable[int]) -> None:
    """Let what is done beside the loop, such as hashing a password, use all these processors again."""
    wanted = frozenset(processors)
    if not wanted or sys.platform != "linux":
        return

    def spread() -> None:
        os.sched_setaffinity(0, wanted)

    loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="rookery-beside", initializer=spread))
