-- One row for each attempt at a call to a model: what it was, what it cost, how it failed.
-- fingerprint sqlite: 4cf7b958da26f3a26b61f79fa0fbfd5578402075dfb00d5f22427796781c458c
-- compatible: no

CREATE TABLE model_calls (
    id INTEGER PRIMARY KEY,
    log_id INTEGER NOT NULL REFERENCES step_execution_logs (id),
    attempt INTEGER NOT NULL,
    outcome VARCHAR(50) NOT NULL,
    profile TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    error_message TEXT,
    http_status INTEGER,
    request_id TEXT,
    finish_reason TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cached_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost_usd REAL,
    first_token_ms INTEGER,
    duration_ms INTEGER,
    started_at DATETIME NOT NULL
);
CREATE INDEX idx_model_calls_log ON model_calls (log_id);
