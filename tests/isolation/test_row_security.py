"""PostgreSQL holds brains apart by itself: a query that forgot to say whose rows it wants gets none."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, func, select, text
from sqlalchemy.exc import DBAPIError

from rookery.errors import ConfigError
from rookery.gateway import schema
from rookery.ids import AgentId, UserId
from rookery.policy import Member, principal
from rookery.sessions.profiles import Profile
from rookery.storage import as_agent
from rookery.storage.postgres import PostgresDatabase
from tests.isolation.trials import in_memory
from tests.support.databases import fresh_database
from tests.support.house import TestHouse
from tests.support.postgres import APP, OWNER, Postgres, shared_server

WITHOUT_CONTENT = frozenset(
    {
        "users",
        "passwords",
        "credentials",
        "setup_codes",
        "agents",
        "spaces",
        "identities",
        "key_grants",
        "shared_keys",
        "key_states",
        "chat_agents",
        "budgets",
        "described",
        "people_files",
        "pairings",
        "link_codes",
        "link_guesses",
        "erasures",
        "guest_days",
        "seen",
        "places",
        "turns",
        "ledger",
        "approvals",
        "outbox",
        "idempotency",
        "audit",
        "alembic_version",
    }
)
"""Tables that hold ids, times and states, which the gateway reads across people. A new table belongs here or
under row-level security; nobody said a word that is in one of these."""

CONTENT = [table.name for table in schema.content_tables()]


@pytest.fixture
def postgres() -> Generator[Postgres]:
    with fresh_database() as database:
        yield database


@pytest.fixture
async def app(postgres: Postgres) -> AsyncGenerator[PostgresDatabase]:
    """The gateway's own role, on a single connection, so that whatever outlives a transaction is met again;
    Alice and Bob have talked, and each has rows in every table that holds content."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as home:
        async with TestHouse(Path(home), postgres=postgres) as house:
            for person in ("alice", "bob"):
                await house.person(person, telegram=person)
                await house.telegram.says(person, f"{person}-secret")
                await _keeps_a_file(house, person)
            await house.idle()
    database = PostgresDatabase(postgres.app_url, connections=1)
    yield database
    await database.close()


def test_every_table_is_under_row_security_or_known_to_hold_no_content(postgres: Postgres) -> None:
    """A table that somebody adds later has to be put on one side."""
    there = shared_server().run(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=postgres.name
    )
    assert set(there.split()) == WITHOUT_CONTENT | set(CONTENT)
    assert WITHOUT_CONTENT.isdisjoint(CONTENT)


@pytest.mark.parametrize("name", CONTENT)
def test_row_security_is_forced_and_holds_for_reading_and_writing(postgres: Postgres, name: str) -> None:
    """For the owner too, for every command, and with the agent in every unique key, which else would tell."""
    flags = f"SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = '{name}'"
    policies = f"SELECT cmd, permissive, qual = with_check, roles FROM pg_policies WHERE tablename = '{name}'"
    unique = (
        "SELECT bool_and('agent_id' = ANY (ARRAY(SELECT attname::text FROM pg_attribute "
        "WHERE attrelid = indrelid AND attnum = ANY (indkey)))) "
        f"FROM pg_index WHERE indisunique AND indrelid = '{name}'::regclass"
    )
    run = shared_server().run
    assert run(flags, database=postgres.name) == "t|t"
    assert run(policies, database=postgres.name) == "ALL|PERMISSIVE|t|{public}"
    assert run(unique, database=postgres.name) == "t"


@pytest.mark.parametrize("table", schema.content_tables(), ids=str)
async def test_an_open_query_sees_no_row_and_an_agent_s_query_its_own(app: PostgresDatabase, table: Table) -> None:
    """No condition is written here: what holds the rows back is the database."""

    def agents(connection: Connection, agent: str | None) -> dict[str, int]:
        if agent is not None:
            as_agent(connection, AgentId(agent))
        query = select(table.c.agent_id, func.count()).group_by(table.c.agent_id)
        return {row[0]: row[1] for row in connection.execute(query)}

    assert await app.read(lambda connection: agents(connection, None)) == {}
    assert list(await app.read(lambda connection: agents(connection, "alice"))) == ["alice"]
    assert list(await app.read(lambda connection: agents(connection, "bob"))) == ["bob"]
    for nobody in ("", "ALICE", "alice ", "alic", "%"):
        assert await app.read(lambda connection, nobody=nobody: agents(connection, nobody)) == {}


@pytest.mark.parametrize("table", schema.content_tables(), ids=str)
async def test_no_row_can_be_written_for_another_agent(app: PostgresDatabase, table: Table) -> None:
    """A copy of one's own row under another's name is refused, new or changed; others' rows are out of reach."""
    copied = [column.name for column in table.columns if column.name != "position"]
    columns = ", ".join(copied)
    values = ", ".join("'bob'" if name == "agent_id" else name for name in copied)
    for forged in (
        f"INSERT INTO {table.name} ({columns}) SELECT {values} FROM {table.name}",
        f"UPDATE {table.name} SET agent_id = 'bob'",
    ):
        with pytest.raises(DBAPIError, match="row-level security"):
            await app.write(_as("alice", forged))
    for nothing in (
        f"UPDATE {table.name} SET agent_id = agent_id WHERE agent_id = 'bob'",
        f"DELETE FROM {table.name} WHERE agent_id = 'bob'",
    ):
        assert (await app.write(_as("alice", nothing))).rowcount == 0
        assert (await app.write(_as(None, nothing))).rowcount == 0


async def test_whose_rows_a_transaction_sees_ends_with_it(app: PostgresDatabase) -> None:
    """The next transaction on the same connection begins as nobody, after a commit and after a failure."""
    count = f"SELECT count(*) FROM {CONTENT[0]}"
    connection_of = "SELECT pg_backend_pid()"
    assert (await app.write(_as("alice", count, fetch=True))) > 0
    first = await app.read(_as(None, connection_of, fetch=True))
    assert await app.read(_as(None, count, fetch=True)) == 0
    with pytest.raises(DBAPIError):
        await app.write(_as("alice", "SELECT 1/0"))
    assert await app.read(_as(None, count, fetch=True)) == 0
    assert await app.read(_as(None, connection_of, fetch=True)) == first


@pytest.mark.parametrize(
    "statement",
    [
        f"ALTER TABLE {CONTENT[0]} DISABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {CONTENT[0]} NO FORCE ROW LEVEL SECURITY",
        f"DROP POLICY own_agent ON {CONTENT[0]}",
        f"CREATE POLICY all_agents ON {CONTENT[0]} USING (true)",
        f"ALTER TABLE {CONTENT[0]} OWNER TO {APP}",
        f"TRUNCATE {CONTENT[0]}",
        f"DROP TABLE {CONTENT[0]}",
        f"SET ROLE {OWNER}",
        "SET SESSION AUTHORIZATION postgres",
        f"ALTER ROLE {APP} BYPASSRLS",
        "UPDATE alembic_version SET version_num = '0000'",
        f"SET LOCAL row_security = off; SELECT * FROM {CONTENT[0]}",
    ],
)
async def test_the_gateway_s_role_cannot_lift_what_holds_it(app: PostgresDatabase, statement: str) -> None:
    """Not even a gateway that was taken over."""

    def work(connection: Connection) -> None:
        for one in statement.split("; "):
            connection.execute(text(one))

    with pytest.raises(DBAPIError):
        await app.write(work)


@pytest.mark.parametrize(
    ("attributes", "after", "why"),
    [
        ("SUPERUSER", "", "which PostgreSQL lets past row-level security"),
        ("BYPASSRLS", "", "which PostgreSQL lets past row-level security"),
        ("", "GRANT postgres TO {role}", "a member of 'postgres', which PostgreSQL lets past row-level security"),
        ("", f"GRANT {OWNER} TO {{role}}", f"a member of '{OWNER}', which owns table"),
        ("", "ALTER TABLE turns OWNER TO {role}", "which owns table 'turns'"),
        ("NOINHERIT", f"GRANT {OWNER} TO {{role}}", f"a member of '{OWNER}', which owns table"),
    ],
)
async def test_a_role_that_row_security_does_not_bind_is_refused(
    postgres: Postgres, attributes: str, after: str, why: str
) -> None:
    """The start fails with what is wrong with the role, and what to use instead."""
    role = f"some_{postgres.name}"
    server = shared_server()
    server.run(f"CREATE ROLE {role} LOGIN {attributes}; {after.format(role=role)}", database=postgres.name)
    database = PostgresDatabase(postgres.app_url.replace(f"//{APP}@", f"//{role}@"))
    try:
        with pytest.raises(ConfigError, match=f"^database.url connects as '{role}', {why}.*ownerUrl"):
            await database.read(schema.check_role)
    finally:
        await database.close()
        server.run(f"REASSIGN OWNED BY {role} TO {OWNER}; DROP ROLE {role}", database=postgres.name)


async def test_the_gateway_s_role_and_only_a_plain_one_is_taken(postgres: Postgres) -> None:
    """The role that the tests run as is no exception to what is tested."""
    database = PostgresDatabase(postgres.app_url)
    await database.read(schema.check_role)
    await database.close()
    owner = PostgresDatabase(postgres.owner_url)
    with pytest.raises(ConfigError, match="which owns table"):
        await owner.read(schema.check_role)
    await owner.close()


async def _keeps_a_file(house: TestHouse, person: str) -> None:
    async with house.gateway.brains.use(AgentId(person)) as brain:
        by = principal(Member(UserId(person)))
        await brain.attachments.add("a.txt", None, b"secret", added_by=by, created_at=house.clock.now())
        key = Profile("openai", "default", "v1.sealed", "", house.clock.now())
        await brain.profiles.change(lambda _: [key])
        await brain.workspace.write("notes.md", b"secret")


def _as(agent: str | None, statement: str, *, fetch: bool = False) -> Callable[[Connection], Any]:
    """One statement in a transaction of an agent's, or of nobody's."""

    def work(connection: Connection) -> Any:
        if agent is not None:
            as_agent(connection, AgentId(agent))
        result = connection.execute(text(statement))
        return result.scalar_one() if fetch else result

    return work
