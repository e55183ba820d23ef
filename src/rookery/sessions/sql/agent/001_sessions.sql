-- The list of sessions. `indexed_bytes` is how far the transcript has been folded into its row.
CREATE TABLE sessions (
    session_id TEXT NOT NULL PRIMARY KEY,
    session_key TEXT NOT NULL,
    title TEXT,
    label TEXT,
    tags TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    archived_at INTEGER,
    archived_reason TEXT,
    channel_binding TEXT,
    entry_count INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    indexed_bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX ix_sessions_latest ON sessions (updated_at, session_id);
