-- A session performs a version of a flow: its seed, its result and why it stopped; its messages
-- have positions and may be versions of documents; the machine's state stands beside it.
-- fingerprint postgres: 8588e7995d0fa361e97a2853a4c56c624f36322f336e19c31a55f83e28f0f2df
-- compatible: no

ALTER TABLE sessions ADD COLUMN flow_version_id BIGINT REFERENCES flow_versions (id);
ALTER TABLE sessions ADD COLUMN seed BIGINT;
ALTER TABLE sessions ADD COLUMN stop_reason VARCHAR(50);
ALTER TABLE sessions ADD COLUMN result TEXT;
-- waive index-not-concurrent: no release had this table with rows on PostgreSQL
CREATE INDEX idx_sessions_flow_version ON sessions (flow_version_id);

ALTER TABLE messages ADD COLUMN position BIGINT;
ALTER TABLE messages ADD COLUMN document TEXT;
ALTER TABLE messages ADD COLUMN document_version BIGINT;
-- Takes over from the index on session_id alone, which would cost a write a message for nothing.
-- waive unique-over-rows: position is new, and NULLs are different from each other
-- waive index-not-concurrent: no release had this table with rows on PostgreSQL
CREATE UNIQUE INDEX idx_messages_session_position ON messages (session_id, position);
DROP INDEX idx_messages_session;

-- A role reference is bound once in a session. Likewise instead of an index on session_id alone.
-- waive unique-over-rows: adoption renames the second of two alike in an older database
-- waive index-not-concurrent: no release had this table with rows on PostgreSQL
CREATE UNIQUE INDEX idx_session_roles_session_ref ON session_roles (session_id, role_ref);
DROP INDEX idx_session_roles_session;

CREATE TABLE machine_states (
    session_id BIGINT PRIMARY KEY REFERENCES sessions (id),
    state TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
