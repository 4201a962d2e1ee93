-- A session performs a version of a flow: its seed, its result and why it stopped; its messages
-- have positions and may be versions of documents; the machine's state stands beside it.
-- fingerprint sqlite: c95094301eb6c327236bb9b59cf01bdc5f691420bece83b31608180cddfdb7b9
-- compatible: no

ALTER TABLE sessions ADD COLUMN flow_version_id INTEGER REFERENCES flow_versions (id);
ALTER TABLE sessions ADD COLUMN seed INTEGER;
ALTER TABLE sessions ADD COLUMN stop_reason VARCHAR(50);
ALTER TABLE sessions ADD COLUMN result TEXT;
CREATE INDEX idx_sessions_flow_version ON sessions (flow_version_id);

ALTER TABLE messages ADD COLUMN position INTEGER;
ALTER TABLE messages ADD COLUMN document TEXT;
ALTER TABLE messages ADD COLUMN document_version INTEGER;
-- Takes over from the index on session_id alone, which would cost a write a message for nothing.
-- waive unique-over-rows: position is new, and NULLs are different from each other
CREATE UNIQUE INDEX idx_messages_session_position ON messages (session_id, position);
DROP INDEX idx_messages_session;

-- A role reference is bound once in a session. Likewise instead of an index on session_id alone.
-- waive unique-over-rows: adoption renames the second of two alike in an older database
CREATE UNIQUE INDEX idx_session_roles_session_ref ON session_roles (session_id, role_ref);
DROP INDEX idx_session_roles_session;

CREATE TABLE machine_states (
    session_id INTEGER PRIMARY KEY REFERENCES sessions (id),
    state TEXT NOT NULL,
    updated_at DATETIME NOT NULL
);
