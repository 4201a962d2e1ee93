-- One row for each execution of a step: the table whose absence this project began with.
-- 21 columns, eleven indexes: see docs/decisions/0001-twenty-one-columns-eleven-indexes.md.
-- fingerprint sqlite: 752fa0967a1bf1c95296f4afc1da9247ce182a256eb58c76861e08c098754090
-- compatible: no

CREATE TABLE step_execution_logs (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    step_id INTEGER NOT NULL REFERENCES flow_steps (id),
    parent_log_id INTEGER REFERENCES step_execution_logs (id),
    execution_order INTEGER NOT NULL,
    round_index INTEGER DEFAULT 1,
    loop_iteration INTEGER DEFAULT 0,
    attempt_count INTEGER DEFAULT 1,
    status VARCHAR(20) DEFAULT 'pending',
    result_type VARCHAR(50),
    result_data TEXT,
    condition_evaluation BOOLEAN,
    loop_check_result BOOLEAN,
    error_message TEXT,
    duration_ms INTEGER,
    memory_usage_mb REAL,
    created_at DATETIME,
    started_at DATETIME,
    completed_at DATETIME,
    step_snapshot TEXT,
    context_snapshot TEXT
);
CREATE UNIQUE INDEX idx_step_logs_session_execution_order
    ON step_execution_logs (session_id, execution_order);
CREATE INDEX idx_step_logs_step_id ON step_execution_logs (step_id);
CREATE INDEX idx_step_logs_status ON step_execution_logs (status);
CREATE INDEX idx_step_logs_parent_log ON step_execution_logs (parent_log_id);
CREATE INDEX idx_step_logs_round_loop ON step_execution_logs (round_index, loop_iteration);
CREATE INDEX idx_step_logs_created_at ON step_execution_logs (created_at);
CREATE INDEX idx_step_logs_duration ON step_execution_logs (duration_ms);
CREATE INDEX idx_step_logs_result_type ON step_execution_logs (result_type);
CREATE INDEX idx_step_logs_session_status_execution
    ON step_execution_logs (session_id, status, execution_order);
CREATE INDEX idx_step_logs_session_step_count ON step_execution_logs (session_id, step_id);
CREATE INDEX idx_step_logs_session_step_iteration
    ON step_execution_logs (session_id, step_id, loop_iteration);
