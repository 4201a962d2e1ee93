-- Which node performs a session. The token only grows; a commit under an older one is refused.
-- fingerprint postgres: ?
-- compatible: no

CREATE TABLE leases (
    session_id BIGINT PRIMARY KEY REFERENCES sessions (id),
    token BIGINT NOT NULL,
    node TEXT NOT NULL,
    expires_at TIMESTAMPTZ,
    request TEXT,
    CHECK (token > 0)
);
