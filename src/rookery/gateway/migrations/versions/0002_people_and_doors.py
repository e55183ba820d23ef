"""Passwords, tokens, devices, set-up codes, groups, idempotency keys; the audit trail is chained.

A revision is what databases out there were made by: it is never edited, and imports nothing that may change.
"""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("users", sa.Column("preferences", sa.Text(), server_default=sa.text("'{}'"), nullable=False))
    op.create_table(
        "passwords",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_passwords")),
    )
    op.create_table(
        "credentials",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"]),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credentials")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_credentials_secret_hash")),
    )
    op.create_index(op.f("ix_credentials_user_id"), "credentials", ["user_id"], unique=False)
    op.create_table(
        "setup_codes",
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_setup_codes")),
    )
    op.create_table(
        "spaces",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("chat_kind", sa.Text(), nullable=False),
        sa.Column("chat_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("own_agent", sa.Text(), nullable=True),
        sa.Column("sponsor", sa.Text(), nullable=False),
        sa.Column("admitted_by", sa.Text(), nullable=False),
        sa.Column("admitted_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"]),
        sa.ForeignKeyConstraint(["own_agent"], ["agents.id"]),
        sa.ForeignKeyConstraint(["sponsor"], ["users.id"]),
        sa.PrimaryKeyConstraint("channel", "account", "chat_kind", "chat_id", name=op.f("pk_spaces")),
    )
    op.create_table(
        "idempotency",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "route", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_used_at"), "idempotency", ["used_at"], unique=False)
    _chain_the_audit()
    if op.get_bind().dialect.name == "postgresql":
        _attachments()


def _attachments() -> None:
    """With SQLite they are files."""
    by_bytes = sa.Text(collation="C")
    op.create_table(
        "attachments",
        sa.Column("agent_id", by_bytes, nullable=False),
        sa.Column("id", by_bytes, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "id", name=op.f("pk_attachments")),
    )
    own = "agent_id = current_setting('rookery.agent', true)"
    op.execute("ALTER TABLE attachments ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE attachments FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_agent ON attachments USING ({own}) WITH CHECK ({own})")


def _chain_the_audit() -> None:
    """Rows of before get the hash they would have had."""
    op.add_column("audit", sa.Column("hash", sa.Text(), server_default=sa.text("''"), nullable=False))
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT seq, at, actor, on_behalf_of, action, object, decision FROM audit ORDER BY seq")
    ).all()
    before = ""
    for row in rows:
        fields = [before, row.at, row.actor, row.on_behalf_of, row.action, row.object, row.decision]
        before = hashlib.sha256(json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()
        connection.execute(
            sa.text("UPDATE audit SET hash = :hash WHERE seq = :seq"), {"hash": before, "seq": row.seq}
        )
    with op.batch_alter_table("audit") as table:
        table.alter_column("hash", server_default=None)
