"""Makes a blocking call of ours in the event loop an error."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from blockbuster import blockbuster_ctx


@contextmanager
def nothing_blocks() -> Generator[None]:
    """While this is open, code of `rookery` that waits for a disk or a socket in the event loop fails."""
    with blockbuster_ctx("rookery") as guard:
        for function in guard.functions.values():
            # The log writes a few lines to a local file at once, rather than hand each line to a thread.
            function.can_block_in("rookery/gateway/log.py", {"flush", "close"})
            # The driver looks for a password file whenever it opens a connection; there is no other way to it.
            function.can_block_in("asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args"})
            # Before the loop has anybody to serve: a start makes directories, migrates, looks at its file.
            function.can_block_in("rookery/gateway/home.py", {"prepare", "locked"})
            function.can_block_in("rookery/gateway/schema.py", {"migrate"})
            function.can_block_in("rookery/gateway/reload.py", {"__init__"})
        yield
