"""Saying whose rows a transaction may see, where the database itself holds people apart."""

from __future__ import annotations

from sqlalchemy import Connection, text

from rookery.ids import AgentId

SETTING = "rookery.agent"
"""The PostgreSQL setting that the row-level security policies compare `agent_id` with."""

_set_agent = text("SELECT set_config('rookery.agent', :agent_id, true)")


def as_agent(connection: Connection, agent_id: AgentId) -> None:
    """From here to the end of the transaction, content rows are those of `agent_id`.

    On PostgreSQL this is what row-level security goes by; without it a query sees no content at all. On
    SQLite the explicit condition of each statement stands alone and this does nothing.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_set_agent, {"agent_id": agent_id})
