-- The six tables that the older system began with, with the columns it had then.
-- fingerprint sqlite: f2929734ceb22c81ce473a39ddee62254286d49cc2ef3f4266974ee134309427
-- compatible: no

CREATE TABLE roles (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    prompt TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
);
CREATE UNIQUE INDEX idx_roles_name ON roles (name);

CREATE TABLE flow_templates (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    type TEXT,
    description TEXT,
    version TEXT,
    is_active BOOLEAN NOT NULL,
    termination_config TEXT,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
);

CREATE TABLE flow_steps (
    id INTEGER PRIMARY KEY,
    flow_template_id INTEGER NOT NULL REFERENCES flow_templates (id),
    "order" INTEGER NOT NULL,
    speaker_role_ref TEXT,
    target_role_ref TEXT,
    task_type TEXT,
    context_scope TEXT,
    context_param TEXT,
    logic_config TEXT,
    next_step_id INTEGER REFERENCES flow_steps (id),
    description TEXT
);
CREATE INDEX idx_flow_steps_template ON flow_steps (flow_template_id);
CREATE INDEX idx_flow_steps_next_step ON flow_steps (next_step_id) WHERE next_step_id IS NOT NULL;

-- AUTOINCREMENT: the number of a deleted session is not given to another.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER,
    topic TEXT,
    flow_template_id INTEGER REFERENCES flow_templates (id),
    flow_snapshot TEXT,
    roles_snapshot TEXT,
    status VARCHAR(20) NOT NULL,
    current_step_id INTEGER REFERENCES flow_steps (id),
    current_round INTEGER NOT NULL,
    executed_steps_count INTEGER NOT NULL,
    error_reason TEXT,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL,
    ended_at DATETIME
);
CREATE INDEX idx_sessions_flow_template ON sessions (flow_template_id);
CREATE INDEX idx_sessions_current_step ON sessions (current_step_id)
    WHERE current_step_id IS NOT NULL;
CREATE INDEX idx_sessions_status ON sessions (status);
CREATE INDEX idx_sessions_created_at ON sessions (created_at);

CREATE TABLE session_roles (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    role_ref TEXT NOT NULL,
    role_id INTEGER REFERENCES roles (id),
    created_at DATETIME NOT NULL
);
CREATE INDEX idx_session_roles_session ON session_roles (session_id);
CREATE INDEX idx_session_roles_role ON session_roles (role_id) WHERE role_id IS NOT NULL;

CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    speaker_session_role_id INTEGER REFERENCES session_roles (id),
    target_session_role_id INTEGER REFERENCES session_roles (id),
    reply_to_message_id INTEGER REFERENCES messages (id),
    content TEXT NOT NULL,
    content_summary TEXT,
    round_index INTEGER NOT NULL,
    section TEXT,
    created_at DATETIME NOT NULL
);
CREATE INDEX idx_messages_session ON messages (session_id);
CREATE INDEX idx_messages_speaker ON messages (speaker_session_role_id);
CREATE INDEX idx_messages_target ON messages (target_session_role_id)
    WHERE target_session_role_id IS NOT NULL;
CREATE INDEX idx_messages_reply_to ON messages (reply_to_message_id)
    WHERE reply_to_message_id IS NOT NULL;
