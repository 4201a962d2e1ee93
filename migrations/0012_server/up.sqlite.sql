-- What the server keeps: the durable events of sessions, tokens, and answers to repeated requests.
-- fingerprint sqlite: c0d28b5c7feeacb4d6bfcedd392fe2f471621a26549c5903aec4935100caae01
-- compatible: no

CREATE TABLE session_events (
    id INTEGER PRIMARY KEY,
    session_id INTEGER REFERENCES sessions (id),
    last_number INTEGER NOT NULL,
    events TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    CHECK (last_number > 0)
);
CREATE UNIQUE INDEX idx_session_events_number ON session_events (session_id, last_number);

CREATE TABLE api_tokens (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    scopes VARCHAR(50) NOT NULL,
    created_at DATETIME NOT NULL,
    expires_at DATETIME,
    revoked_at DATETIME
);
CREATE UNIQUE INDEX idx_api_tokens_sha256 ON api_tokens (sha256);

CREATE TABLE idempotency_keys (
    id INTEGER PRIMARY KEY,
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    request_sha256 VARCHAR(64) NOT NULL,
    status INTEGER,
    content_type TEXT,
    body TEXT,
    created_at DATETIME NOT NULL
);
CREATE UNIQUE INDEX idx_idempotency_keys_key ON idempotency_keys (caller, key);
CREATE INDEX idx_idempotency_keys_created_at ON idempotency_keys (created_at);
