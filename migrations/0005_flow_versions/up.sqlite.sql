-- A flow keeps its versions as they were written; a step belongs to one of them and holds its whole
-- instruction in `spec`. A template's name now names a flow on the command line: it is unique.
-- fingerprint sqlite: 629dd64ab32d94d2c24f5af2865f3dbdccfd13bf08db2fcde15b0f548ead0793
-- compatible: no

CREATE TABLE flow_versions (
    id INTEGER PRIMARY KEY,
    flow_template_id INTEGER NOT NULL REFERENCES flow_templates (id),
    number INTEGER NOT NULL,
    source_format VARCHAR(10) NOT NULL,
    source TEXT NOT NULL,
    source_sha256 VARCHAR(64) NOT NULL,
    created_at DATETIME NOT NULL,
    CHECK (number > 0)
);
CREATE UNIQUE INDEX idx_flow_versions_template_number ON flow_versions (flow_template_id, number);

-- waive unique-over-rows: adoption gives an older template a name of its own, adopted-ID
CREATE UNIQUE INDEX idx_flow_templates_name ON flow_templates (name);

ALTER TABLE flow_steps ADD COLUMN flow_version_id INTEGER REFERENCES flow_versions (id);
ALTER TABLE flow_steps ADD COLUMN kind VARCHAR(20);
ALTER TABLE flow_steps ADD COLUMN name TEXT;
ALTER TABLE flow_steps ADD COLUMN spec TEXT;
-- waive unique-over-rows: flow_version_id is new, so that the index begins empty
CREATE UNIQUE INDEX idx_flow_steps_version_order ON flow_steps (flow_version_id, "order")
    WHERE flow_version_id IS NOT NULL;
