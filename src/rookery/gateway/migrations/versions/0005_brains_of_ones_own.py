"""People's permissions, friends, keys, pairing, linking: what makes a brain one's own.

A revision is what databases out there were made by: it is never edited, and imports nothing that may change.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "guest_days",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("commands", sa.Integer(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "channel", "account", "sender", name=op.f("pk_guest_days")),
    )
    op.create_table(
        "key_states",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("hinted", sa.Boolean(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "provider", "name", name=op.f("pk_key_states")),
    )
    op.create_table(
        "link_codes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("chat_kind", sa.Text(), nullable=False),
        sa.Column("chat_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=True),
        sa.Column("sender_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("claimed_channel", sa.Text(), nullable=True),
        sa.Column("claimed_account", sa.Text(), nullable=True),
        sa.Column("claimed_chat_kind", sa.Text(), nullable=True),
        sa.Column("claimed_chat_id", sa.Text(), nullable=True),
        sa.Column("claimed_thread_id", sa.Text(), nullable=True),
        sa.Column("claimed_sender_id", sa.Text(), nullable=True),
        sa.Column("claimed_message_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_codes")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_link_codes_code_hash")),
    )
    op.create_index(op.f("ix_link_codes_user_id"), "link_codes", ["user_id"], unique=False)
    op.create_table(
        "link_guesses",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "account", "sender", name=op.f("pk_link_guesses")),
    )
    op.create_table(
        "pairings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("chat_kind", sa.Text(), nullable=False),
        sa.Column("chat_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=True),
        sa.Column("sender_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pairings")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_pairings_code_hash")),
    )
    op.create_index("ix_pairings_account", "pairings", ["channel", "account", "state"], unique=False)
    op.create_table(
        "shared_keys",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("last_four", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_shared_keys")),
    )
    op.create_table(
        "budgets",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("per_day_nano_usd", sa.BigInteger(), nullable=True),
        sa.Column("per_month_nano_usd", sa.BigInteger(), nullable=True),
        sa.Column("per_day_tokens", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_budgets")),
    )
    op.create_table(
        "chat_agents",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("chat_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("chosen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint(
            "user_id", "channel", "account", "chat_id", "thread_id", name=op.f("pk_chat_agents")
        ),
    )
    op.create_index(op.f("ix_chat_agents_agent_id"), "chat_agents", ["agent_id"], unique=False)
    op.create_table(
        "described",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_described")),
    )
    op.create_table(
        "people_files",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_people_files")),
    )
    op.add_column(
        "identities", sa.Column("from_file", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_table(
        "erasures",
        sa.Column("tombstone", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("agents", sa.Text(), nullable=False),
        sa.Column("addresses", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), nullable=False),
        sa.Column("swept", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tombstone", name=op.f("pk_erasures")),
        sa.UniqueConstraint("user_id", name=op.f("uq_erasures_user_id")),
    )
    op.add_column("audit", sa.Column("redacted", sa.Text(), nullable=True))
    op.add_column("agents", sa.Column("relation", sa.Text(), nullable=True))
    op.add_column("agents", sa.Column("who", sa.Text(), nullable=True))
    op.add_column("agents", sa.Column("skills", sa.Text(), nullable=True))
    op.add_column("agents", sa.Column("from_file", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("users", sa.Column("permissions", sa.Text(), nullable=True))
    op.add_column("users", sa.Column("from_file", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    if op.get_bind().dialect.name == "postgresql":
        _content()


def _content() -> None:
    """With SQLite they are files."""
    by_bytes = sa.Text(collation="C")
    op.create_table(
        "auth_profiles",
        sa.Column("agent_id", by_bytes, nullable=False),
        sa.Column("provider", by_bytes, nullable=False),
        sa.Column("name", by_bytes, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("last_four", sa.Text(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "provider", "name", name=op.f("pk_auth_profiles")),
    )
    op.create_table(
        "workspace_files",
        sa.Column("agent_id", by_bytes, nullable=False),
        sa.Column("path", by_bytes, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "path", name=op.f("pk_workspace_files")),
    )
    own = "agent_id = current_setting('rookery.agent', true)"
    for table in ("auth_profiles", "workspace_files"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_agent ON {table} USING ({own}) WITH CHECK ({own})")
