"""The shared keys that agents were granted, with what is sealed of them: good for the moment it was read at."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, select

from rookery.ids import AgentId
from rookery.storage.prepared import Prepared
from rookery.users import tables


class Grant(Struct, frozen=True):
    """A shared key that an agent may use. `provider` and `sealed` are None for one that the store has no key of:
    then it is the configuration's, or gone."""

    name: str
    provider: str | None = None
    sealed: str | None = None


_g, _s = tables.key_grants.c, tables.shared_keys.c
_granted = Prepared(
    select(_g.shared_key, _s.provider, _s.sealed)
    .select_from(tables.key_grants.outerjoin(tables.shared_keys, _s.name == _g.shared_key))
    .where(_g.agent_id == bindparam("id"))
    .order_by(_g.granted_at, _g.shared_key)
)


def grants_of(connection: Connection, id: AgentId) -> tuple[Grant, ...]:
    """The shared keys an agent may use, in the order in which they were granted."""
    return tuple(Grant(row.shared_key, row.provider, row.sealed) for row in _granted.all(connection, {"id": id}))


def stored_keys(connection: Connection) -> dict[str, str]:
    """The shared keys that the store has, by name, each with its provider."""
    return {row.name: row.provider for row in connection.execute(select(_s.name, _s.provider))}


def granted_to(connection: Connection, shared_key: str) -> tuple[AgentId, ...]:
    """The agents that may use a shared key, by id."""
    query = select(_g.agent_id).where(_g.shared_key == shared_key).order_by(_g.agent_id)
    return tuple(AgentId(row.agent_id) for row in connection.execute(query))


def ungrant_all(connection: Connection, shared_key: str) -> tuple[AgentId, ...]:
    """Take a shared key back from everybody; returns who had it."""
    had = granted_to(connection, shared_key)
    connection.execute(delete(tables.key_grants).where(_g.shared_key == shared_key))
    return had
