-- Which node performs a session. The token only grows; a commit under an older one is refused.
-- fingerprint sqlite: ?
-- compatible: no

CREATE TABLE leases (
    session_id INTEGER PRIMARY KEY REFERENCES sessions (id),
    token INTEGER NOT NULL,
    node TEXT NOT NULL,
    expires_at DATETIME,
    request TEXT,
    CHECK (token > 0)
);
