"""The gateway's own tables: what was seen, what waits, what is to be sent, and which session lives where.

What people said stands apart, in the `*_bodies` tables, so that PostgreSQL can hold it behind row-level
security while the queues stay readable to the gateway.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, text

from rookery.storage import Instant, metadata
from rookery.storage.columns import Sequence64

seen = Table(
    "seen",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("turn_id", Text, nullable=True),
    Column("seen_at", Instant, nullable=False, index=True),
)

places = Table(
    "places",
    metadata,
    Column("session_key", Text, primary_key=True),
    Column("agent_id", Text, nullable=False, index=True),
    Column("session_id", Text, nullable=False, index=True),
    Column("opened_key", Text, nullable=False),
    Column("moved_at", Instant, nullable=False),
)


def _route_columns() -> list[Column[str]]:
    return [
        Column("channel", Text, nullable=False),
        Column("account", Text, nullable=False),
        Column("chat_kind", Text, nullable=False),
        Column("chat_id", Text, nullable=False),
        Column("thread_id", Text, nullable=True),
        Column("sender_id", Text, nullable=False),
        Column("message_id", Text, nullable=False),
    ]


turns = Table(
    "turns",
    metadata,
    # The order of acceptance. A lane runs its turns by it.
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("turn_id", Text, nullable=False, unique=True),
    Column("agent_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("session_key", Text, nullable=False),
    Column("opened_key", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("collectable", Boolean, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Column("answered_by", Text, nullable=True),
    Column("error", Text, nullable=True),
    Column("input_tokens", Integer, nullable=False, server_default=text("0")),
    Column("output_tokens", Integer, nullable=False, server_default=text("0")),
    Column("accepted_at", Instant, nullable=False),
    Column("finished_at", Instant, nullable=True),
    *_route_columns(),
)
_unfinished = Index(
    "ix_turns_unfinished", turns.c.session_id, turns.c.seq, sqlite_where=turns.c.finished_at.is_(None)
)
Index("ix_turns_session", turns.c.session_id)

turn_bodies = Table(
    "turn_bodies",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("turn_id", Text, primary_key=True),
    Column("body", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("delivery_id", Text, nullable=False, unique=True),
    Column("turn_id", Text, nullable=False, index=True),
    Column("agent_id", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("speaker", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("network_id", Text, nullable=True),
    Column("problem", Text, nullable=True),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=True),
    *_route_columns(),
)
_waiting = Index("ix_outbox_waiting", outbox.c.seq, sqlite_where=outbox.c.ended_at.is_(None))

outbox_bodies = Table(
    "outbox_bodies",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("delivery_id", Text, primary_key=True),
    Column("text", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("on_behalf_of", Text, nullable=True, index=True),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("decision", Text, nullable=False),
    # Each row's hash covers the row and the hash before it, so that no row can be changed or taken out unseen.
    Column("hash", Text, nullable=False),
    # By which erasures it lost its names, their tombstones parted by spaces; its hash is that of the row before.
    Column("redacted", Text, nullable=True),
)

# People, and friends, who are being erased: from here on nothing of theirs is taken in, and the erasure is gone on
# with until it is done. The row goes with its end.
erasures = Table(
    "erasures",
    metadata,
    # What stands for them afterwards where a sum has to stay true.
    Column("tombstone", Text, primary_key=True),
    # NULL where one of a person's friends goes alone.
    Column("user_id", Text, nullable=True, unique=True),
    # JSON lists: the agents that go, and their own addresses.
    Column("agents", Text, nullable=False),
    Column("addresses", Text, nullable=False),
    Column("names", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("begun_at", Instant, nullable=False),
    # Whether their rows are gone, and only the files are left to be cleared of them.
    Column("swept", Boolean, nullable=False),
)

# What an `Idempotency-Key` was used for, so that the same request again does nothing and gets the same answer.
idempotency = Table(
    "idempotency",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("used_at", Instant, nullable=False, index=True),
)

# Tool calls that wait, or waited, for a person's yes. The words and arguments stand in the transcript.
approvals = Table(
    "approvals",
    metadata,
    Column("turn_id", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("agent_id", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("entry_id", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("tool", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("answered_by", Text, nullable=True),
    Column("answered_at", Instant, nullable=True),
    UniqueConstraint("turn_id", "entry_id", "place"),
    UniqueConstraint("agent_id", "principal", "n"),
)

# Strangers, and groups, that asked to be let in: where from, and the hash of their code. Nothing they said.
pairings = Table(
    "pairings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("code_hash", Text, nullable=True, unique=True),
    Column("state", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("decided_by", Text, nullable=True),
    Column("decided_at", Instant, nullable=True),
    # For whom it was approved.
    Column("user_id", Text, nullable=True),
    *_route_columns(),
)
Index("ix_pairings_account", pairings.c.channel, pairings.c.account, pairings.c.state)

# A person joining another address of theirs: the code, who claimed it from where, and who has said yes.
link_codes = Table(
    "link_codes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False, index=True),
    # NULL once it ended.
    Column("code_hash", Text, nullable=True, unique=True),
    Column("state", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    *_route_columns(),
    # The route of the chat in which the code was typed; NULL until then.
    *(Column(f"claimed_{column.name}", Text, nullable=True) for column in _route_columns()),
)

# Addresses from which wrong codes were typed lately, so that nobody goes on guessing.
link_guesses = Table(
    "link_guesses",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("wrong", Integer, nullable=False),
    Column("since", Instant, nullable=False),
)

# How much a guest of a shared agent wrote on one day, the sponsor's.
guest_days = Table(
    "guest_days",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("day", Text, nullable=False),
    Column("messages", Integer, nullable=False),
    Column("commands", Integer, nullable=False),
    Column("told", Boolean, nullable=False),
)

# What failed of a key and until when it is left alone; no secret. `agent_id` is '' for a shared key.
key_states = Table(
    "key_states",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    # Whether the provider said itself how long; and sixteen bits by which a key that was changed is noticed.
    Column("hinted", Boolean, nullable=False),
    Column("mark", Text, nullable=False),
)

CONTENT_TABLES = (turn_bodies, outbox_bodies)
"""The tables that hold what people said; on PostgreSQL each is behind forced row-level security."""


def make_partial_on_postgresql() -> None:
    """Say to PostgreSQL too which indexes are partial; said in the tables it would be imported by every start."""
    _unfinished.dialect_options["postgresql"]["where"] = turns.c.finished_at.is_(None)
    _waiting.dialect_options["postgresql"]["where"] = outbox.c.ended_at.is_(None)
