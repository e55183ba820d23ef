"""The tables of people, how they come in, their addresses and agents. None of them holds what anybody said."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Table, Text, text

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
    # How the page looks to them, as one JSON object; the page's own business.
    Column("preferences", Text, nullable=False, server_default=text("'{}'")),
    # Kinds of channel they may use, as a JSON list of words; NULL is all of them.
    Column("permissions", Text, nullable=True),
    # Whether the people file describes them.
    Column("from_file", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Instant, nullable=False),
)

# A person without a row here cannot log in by password.
passwords = Table(
    "passwords",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("hash", Text, nullable=False),
    Column("must_change", Boolean, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

# What stands for a user in a request: a token, or a device they logged in on. Only the secret's hash is kept.
credentials = Table(
    "credentials",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_hash", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("used_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=True),
)

setup_codes = Table(
    "setup_codes",
    metadata,
    Column("code_hash", Text, primary_key=True),
    Column("expires_at", Instant, nullable=False),
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
    # What a friend is to their person, in a word or two; and who they are, a JSON object as in the people file.
    Column("relation", Text, nullable=True),
    Column("who", Text, nullable=True),
    # A JSON list of names; NULL is whatever the configuration says for everybody.
    Column("skills", Text, nullable=True),
    Column("model", Text, nullable=True),
    Column("configured", Boolean, nullable=False),
    Column("from_file", Boolean, nullable=False, server_default=text("false")),
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
    # Whether the people file linked it, and may unlink it.
    Column("from_file", Boolean, nullable=False, server_default=text("false")),
)

# A group chat that was let in; its agent is its own, or the shared one named for it. `account` is '' for every
# account of the channel. A row stays when its group is removed: let in again, it finds the brain that was its own.
spaces = Table(
    "spaces",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("chat_kind", Text, primary_key=True),
    Column("chat_id", Text, primary_key=True),
    Column("agent_id", Text, ForeignKey("agents.id"), nullable=False),
    Column("own_agent", Text, ForeignKey("agents.id"), nullable=True),
    Column("sponsor", Text, ForeignKey("users.id"), nullable=False),
    Column("admitted_by", Text, nullable=False),
    Column("admitted_at", Instant, nullable=False),
    Column("removed_at", Instant, nullable=True),
)

key_grants = Table(
    "key_grants",
    metadata,
    Column("agent_id", Text, ForeignKey("agents.id"), primary_key=True),
    Column("shared_key", Text, primary_key=True),
    Column("granted_at", Instant, nullable=False),
)

# Keys that the operator shares out by grant, sealed with the master key; the secret is nowhere else.
shared_keys = Table(
    "shared_keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("last_four", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("added_at", Instant, nullable=False),
)

# Which of their own agents a person chose for a chat, with /talk; without a row it is `main`.
chat_agents = Table(
    "chat_agents",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("chat_id", Text, primary_key=True),
    # '' outside threads.
    Column("thread_id", Text, primary_key=True),
    # NULL once that agent is gone, until the next message of this chat was told so.
    Column("agent_id", Text, ForeignKey("agents.id", ondelete="SET NULL"), nullable=True, index=True),
    Column("chosen_at", Instant, nullable=False),
)

# What a person may spend; NULL is no limit of that kind. Amounts are integer nano-dollars.
budgets = Table(
    "budgets",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("per_day_nano_usd", BigInteger, nullable=True),
    Column("per_month_nano_usd", BigInteger, nullable=True),
    Column("per_day_tokens", BigInteger, nullable=True),
)

# What the people file said of a person when it was last applied, as far as its next version needs to know: a JSON
# object of the rights it gave, the hash of the password hash it held, and the friends whose text was copied.
described = Table(
    "described",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("says", Text, nullable=False),
)

# The people file that was applied last at a start or reload, by the hash of what stood in it.
people_files = Table(
    "people_files",
    metadata,
    Column("path", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("applied_at", Instant, nullable=False),
)
