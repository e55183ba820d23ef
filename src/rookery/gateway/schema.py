"""The gateway's database schema: made whole when there is none, migrated when it is older, refused when newer.

Alembic is imported only when something is to be migrated.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, MetaData, Table, inspect, text

from rookery.errors import ConfigError
from rookery.gateway import tables as gateway_tables
from rookery.sessions import tables as session_tables
from rookery.storage import metadata
from rookery.storage.scope import SETTING
from rookery.usage import ledger as usage_tables
from rookery.users import tables as user_tables

HEAD = "0005"
"""The revision that `metadata` describes; the last file in `migrations/versions`."""

MIGRATIONS = Path(__file__).parent / "migrations"

# Importing them is what puts the tables on `metadata`.
_DECLARED = (gateway_tables.turns, user_tables.users, usage_tables.ledger)


def content_tables() -> list[Table]:
    """The tables that hold what people said; on PostgreSQL each is behind forced row-level security."""
    named = [session_tables.content_metadata.tables[name] for name in session_tables.CONTENT_TABLES]
    return [*gateway_tables.CONTENT_TABLES, *named]


def prepare(connection: Connection) -> None:
    """Bring the schema to `HEAD`, as the role that owns it. Raises `ConfigError` for a newer one."""
    found = version(connection)
    if found == HEAD:
        return
    if found is None:
        create(connection)
    else:
        migrate(connection, found)


def require_current(connection: Connection) -> None:
    """Raises `ConfigError` unless the schema is at `HEAD`; for a role that may not change it."""
    found = version(connection)
    if found != HEAD:
        have = "no schema yet" if found is None else f"schema {found}"
        raise ConfigError(
            f"The database has {have}, this version needs {HEAD}. Set database.ownerUrl to a role that owns the "
            "schema and start once; it is needed only for changes of the schema."
        )


def version(connection: Connection) -> str | None:
    """The schema's revision; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def create(connection: Connection) -> None:
    """Make the whole schema in an empty database."""
    if connection.dialect.name == "postgresql":
        gateway_tables.make_partial_on_postgresql()
    for part in _metadata_for(connection):
        part.create_all(connection)
    if connection.dialect.name == "postgresql":
        secure(connection, [table.name for table in content_tables()])
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def migrate(connection: Connection, found: str, target: str = HEAD) -> None:
    """Run the migrations from `found` to `target`. Raises `ConfigError` when `found` is not one of ours."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["connection"] = connection
    try:
        ScriptDirectory.from_config(settings).get_revision(found)
    except CommandError as error:
        raise ConfigError(
            f"The database has schema {found!r}, which this version ({HEAD}) does not know: a newer Rookery made "
            "it. Use that version, or restore a backup."
        ) from error
    command.upgrade(settings, target)


def secure(connection: Connection, tables: list[str]) -> None:
    """Put tables behind forced row-level security: a transaction sees its agent's rows, and no more."""
    own = f"agent_id = current_setting('{SETTING}', true)"
    for table in tables:
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY own_agent ON {table} USING ({own}) WITH CHECK ({own})",
        ):
            connection.execute(text(statement))


def grant(connection: Connection, role: str) -> None:
    """Let the application's role use, not change, what is there."""
    quoted = connection.dialect.identifier_preparer.quote(role)
    for statement in (
        f"GRANT USAGE ON SCHEMA public TO {quoted}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quoted}",
        f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {quoted}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {quoted}",
    ):
        connection.execute(text(statement))


def check_role(connection: Connection) -> None:
    """Raises `ConfigError` when row-level security would not bind the role of this connection.

    What a role is a member of counts as its own: it can act as that with one `SET ROLE`.
    """
    role = connection.execute(text("SELECT current_user")).scalar_one()
    past = connection.execute(
        text(
            "SELECT rolname FROM pg_roles WHERE (rolsuper OR rolbypassrls) "
            "AND pg_has_role(current_user, oid, 'MEMBER') ORDER BY rolname <> current_user LIMIT 1"
        )
    ).scalar()
    if past is not None:
        raise ConfigError(
            f"database.url connects as {role!r}, {_acting(role, past)} PostgreSQL lets past row-level security. "
            "Use a role made with NOSUPERUSER NOBYPASSRLS, and keep the other for database.ownerUrl."
        )
    owned = connection.execute(
        text(
            "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public' "
            "AND pg_has_role(current_user, tableowner, 'MEMBER') ORDER BY tableowner <> current_user LIMIT 1"
        )
    ).one_or_none()
    if owned is not None:
        raise ConfigError(
            f"database.url connects as {role!r}, {_acting(role, owned.tableowner)} owns table {owned.tablename!r} "
            "and could lift its row-level security. Use another role there, and keep the owner for "
            "database.ownerUrl."
        )


def _acting(role: str, other: str) -> str:
    return "which" if role == other else f"a member of {other!r}, which"


def _metadata_for(connection: Connection) -> list[MetaData]:
    """What belongs into this database: with SQLite, the content of brains is in their directories."""
    if connection.dialect.name == "postgresql":
        return [metadata, session_tables.content_metadata]
    return [metadata]
