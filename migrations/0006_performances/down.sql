DROP TABLE machine_states;

CREATE INDEX idx_session_roles_session ON session_roles (session_id);
DROP INDEX idx_session_roles_session_ref;

CREATE INDEX idx_messages_session ON messages (session_id);
DROP INDEX idx_messages_session_position;
ALTER TABLE messages DROP COLUMN document_version;
ALTER TABLE messages DROP COLUMN document;
ALTER TABLE messages DROP COLUMN position;

DROP INDEX idx_sessions_flow_version;
ALTER TABLE sessions DROP COLUMN result;
ALTER TABLE sessions DROP COLUMN stop_reason;
ALTER TABLE sessions DROP COLUMN seed;
ALTER TABLE sessions DROP COLUMN flow_version_id;
