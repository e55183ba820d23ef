"""The same commands on a home whose state is in PostgreSQL."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.cli.command import Rookery, running
from tests.support.databases import fresh_database
from tests.support.postgres import Postgres


@pytest.fixture
def postgres() -> Generator[Postgres]:
    with fresh_database() as database:
        yield database


@pytest.fixture
def served(rookery: Rookery, postgres: Postgres) -> Rookery:
    """A home that points to a served database, as the application's role."""
    rookery.configure(f'database: {{ url: "{_plain(postgres.app_url)}" }}')
    return rookery


def test_people_talk_and_the_operator_looks(served: Rookery) -> None:
    """Sessions are listed, shown and exported alike, whatever database holds them."""
    assert served("user", "add", "alice").status == 0
    assert served("user", "add", "bob").status == 0
    assert served("chat", "--user", "alice", "my locker code is 4711").status == 0
    assert served("chat", "--user", "alice", "what is my locker code?").out == "Your locker code is 4711.\n"
    served("session", "new", "--user", "alice", "--title", "Trip to Rome")
    titles = {session["title"] for session in served("session", "list", "--user", "alice", "--json").json}
    assert titles == {None, "Trip to Rome"}
    assert "4711" in served("session", "show", "main", "--user", "alice").out
    assert served("session", "export", "main", "--user", "alice").out.count("\n") == 5
    served("session", "show", "agent:alice:main", "--user", "bob").refused_with("'bob' has no session")
    assert "The operator looked: session.show" in served("chat", "--user", "alice", "/status").out
    assert served("status", "--json").json["database"] == "postgresql"


def test_doctor_checks_the_role(served: Rookery) -> None:
    """Row-level security, the schema and every brain are looked at there, too."""
    served("user", "add", "alice")
    with running(served.home):
        ran = served("doctor", "--reindex")
    assert ran.status == 0, ran
    assert "Row-level security binds the application's role." in ran.out


def test_a_role_that_owns_the_tables_is_refused(rookery: Rookery, postgres: Postgres) -> None:
    """The owner could lift the security that keeps people apart."""
    rookery.configure(f'database: {{ url: "{_plain(postgres.owner_url)}" }}')
    rookery("user", "add", "alice").refused_with("owns table", "database.ownerUrl")


def test_a_database_that_is_away(rookery: Rookery) -> None:
    """One clear line, without the password."""
    rookery.configure('database: { url: "postgresql://rookery:secret-word@127.0.0.1:1/rookery" }')
    ran = rookery("user", "list")
    assert ran.status == 1
    assert ran.err.count("\n") == 1
    assert "secret-word" not in ran.err


def _plain(url: str) -> str:
    return url.replace("postgresql+asyncpg://", "postgresql://")
