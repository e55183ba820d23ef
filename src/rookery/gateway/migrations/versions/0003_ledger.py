"""The ledger of model calls; what a session cost.

A revision is what databases out there were made by: it is never edited, and imports nothing that may change.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("turn_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("key_name", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("projected_input", sa.BigInteger(), nullable=False),
        sa.Column("projected_output", sa.BigInteger(), nullable=False),
        sa.Column("projected_nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("nano_usd", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.Boolean(), nullable=False),
        sa.Column("price_version", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("waited_ms", sa.Integer(), nullable=False),
        sa.Column("first_token_ms", sa.Integer(), nullable=True),
        sa.Column("ms", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_ledger")),
    )
    op.create_index(op.f("ix_ledger_turn_id"), "ledger", ["turn_id"], unique=False)
    op.create_index(op.f("ix_ledger_user_id_started_at"), "ledger", ["user_id", "started_at"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        _session_costs()


def _session_costs() -> None:
    """With SQLite they are in each brain's own index. What was used before prices were kept has no known cost."""
    op.add_column("sessions", sa.Column("cost_nano_usd", sa.BigInteger(), nullable=True))
    # Row-level security binds the owner of the table too; for this one statement it does not.
    op.execute("ALTER TABLE sessions NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE sessions SET cost_nano_usd = 0 WHERE input_tokens = 0 AND output_tokens = 0")
    op.execute("ALTER TABLE sessions FORCE ROW LEVEL SECURITY")
