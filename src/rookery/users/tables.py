"""The tables of people, addresses and agents. None of them holds what anybody said."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Table, Text

from rookery.storage import Instant, metadata

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("id_folded", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

agents = Table(
    "agents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("id_folded", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    # Exactly one of the two: a person's own agent, or a shared one somebody answers and pays for.
    Column("owner", Text, ForeignKey("users.id"), nullable=True, index=True),
    Column("sponsor", Text, ForeignKey("users.id"), nullable=True),
    Column("persona", Text, nullable=False),
    Column("model", Text, nullable=True),
    Column("configured", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)

# `account` is '' for an address that holds on every account of its channel; `~` cannot begin an account.
identities = Table(
    "identities",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False, index=True),
    Column("linked_at", Instant, nullable=False),
)

key_grants = Table(
    "key_grants",
    metadata,
    Column("agent_id", Text, ForeignKey("agents.id"), primary_key=True),
    Column("shared_key", Text, primary_key=True),
    Column("granted_at", Instant, nullable=False),
)
