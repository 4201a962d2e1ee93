-- Which node performs a session. The token only grows; a commit under an older one is refused.
-- fingerprint sqlite: 54ab8a9be71d5051a892af2818920c4b8954b64847b5eea490674b305e8247c5
-- compatible: no

CREATE TABLE leases (
    session_id INTEGER PRIMARY KEY REFERENCES sessions (id),
    token INTEGER NOT NULL,
    node TEXT NOT NULL,
    expires_at DATETIME,
    request TEXT,
    CHECK (token > 0)
);
