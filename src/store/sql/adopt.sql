-- What the adoption of an older database asks for and changes (src/adopt).

-- name: select_adopted_templates
SELECT * FROM flow_templates ORDER BY id;

-- name: select_adopted_steps
SELECT * FROM flow_steps WHERE flow_template_id = $1 ORDER BY "order", id;

-- name: adopt_flow_step
UPDATE flow_steps SET flow_version_id = $2, "order" = $3, kind = $4, name = $5, spec = $6
WHERE id = $1
RETURNING id;

-- name: insert_adopted_flow_step
INSERT INTO flow_steps (flow_template_id, flow_version_id, "order", kind, name, spec)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id;

-- name: insert_lost_flow_template
INSERT INTO flow_templates (id, name, description, is_active, created_at, updated_at)
VALUES ($1, $2, $3, FALSE, $4, $4)
RETURNING id;

-- name: select_old_flow_description
SELECT value FROM adopted_leftovers
WHERE table_name = 'flow_templates' AND column_name = 'description' AND row_id = $1;

-- name: select_role_ref
SELECT role_ref FROM session_roles WHERE id = $1;

-- name: count_flow_steps_of_id
SELECT count(*) FROM flow_steps WHERE id = $1;

-- name: rename_session_role
UPDATE session_roles SET role_ref = $2 WHERE id = $1;

-- name: insert_adopted_session_role
INSERT INTO session_roles (session_id, role_ref, role_id, created_at)
VALUES ($1, $2, $3, $4)
RETURNING id;

-- name: set_message_speaker
UPDATE messages SET speaker_session_role_id = $2 WHERE id = $1;

-- name: renumber_log_row
UPDATE step_execution_logs SET execution_order = $2 WHERE id = $1;

-- name: complete_log_row
UPDATE step_execution_logs SET status = 'completed' WHERE id = $1;

-- name: insert_reconstructed_log_row
INSERT INTO step_execution_logs
    (session_id, step_id, execution_order, round_index, loop_iteration, attempt_count, status,
     result_type, result_data, condition_evaluation, loop_check_result, error_message, created_at,
     started_at, completed_at, step_snapshot)
VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: adopt_session
UPDATE sessions SET status = $2, current_step_id = $3, current_round = $4,
    executed_steps_count = $5, error_reason = $6, stop_reason = $7, ended_at = $8,
    flow_version_id = $9, flow_snapshot = $10, roles_snapshot = $11, seed = $1
WHERE id = $1;

-- name: number_messages
UPDATE messages SET position = p.n
FROM (SELECT id, row_number() OVER (PARTITION BY session_id ORDER BY id) AS n FROM messages) p
WHERE p.id = messages.id;

-- name: select_session_ids
SELECT id FROM sessions ORDER BY id;

-- name: list_adopted_notes
SELECT kind, table_name, row_id, column_name, words FROM adopted_notes ORDER BY id;

-- name: count_adopted_leftovers
SELECT count(*) FROM adopted_leftovers;
