-- Which node performs a session. The token only grows; a commit under an older one is refused.
-- fingerprint postgres: eddc1b0c671ce3c11bc8cc1fb2444cf3423d29af838cf5289d24cbf521c8d252
-- compatible: no

CREATE TABLE leases (
    session_id BIGINT PRIMARY KEY REFERENCES sessions (id),
    token BIGINT NOT NULL,
    node TEXT NOT NULL,
    expires_at TIMESTAMPTZ,
    request TEXT,
    CHECK (token > 0)
);
