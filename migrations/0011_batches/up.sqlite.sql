-- A run of one flow version over many inputs: each input is tied to its session, and to the line of
-- its result.
-- fingerprint sqlite: 4aa8f0b35e907ce3058abed4f05d3cf63a5d1b4e6937629e61644f5195e9a28c
-- compatible: no

CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    identity VARCHAR(64) NOT NULL,
    name TEXT NOT NULL,
    flow_version_id INTEGER NOT NULL REFERENCES flow_versions (id),
    created_at DATETIME NOT NULL
);
CREATE UNIQUE INDEX idx_batches_identity ON batches (identity);
CREATE INDEX idx_batches_flow_version ON batches (flow_version_id);

CREATE TABLE batch_inputs (
    id INTEGER PRIMARY KEY,
    batch_id INTEGER NOT NULL REFERENCES batches (id),
    input_id TEXT NOT NULL,
    input_sha256 VARCHAR(64) NOT NULL,
    session_id INTEGER REFERENCES sessions (id),
    line INTEGER,
    created_at DATETIME NOT NULL,
    CHECK (line > 0)
);
CREATE UNIQUE INDEX idx_batch_inputs_input ON batch_inputs (batch_id, input_id);
CREATE UNIQUE INDEX idx_batch_inputs_line ON batch_inputs (batch_id, line) WHERE line IS NOT NULL;
CREATE UNIQUE INDEX idx_batch_inputs_session
    ON batch_inputs (session_id) WHERE session_id IS NOT NULL;
