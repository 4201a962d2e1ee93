-- name: select_flow_template
SELECT * FROM flow_templates WHERE name = $1;

-- name: select_flow_template_by_id
SELECT * FROM flow_templates WHERE id = $1;

-- name: insert_flow_template
INSERT INTO flow_templates (name, type, description, is_active, created_at, updated_at, topic)
VALUES ($1, $5, $2, TRUE, $3, $3, $4)
RETURNING id;

-- name: update_flow_template
UPDATE flow_templates SET description = $2, topic = $3, updated_at = $4, type = $5 WHERE id = $1;

-- name: list_flow_templates
SELECT f.id, f.name, f.description, f.updated_at,
       (SELECT max(number) FROM flow_versions v WHERE v.flow_template_id = f.id) AS latest,
       (SELECT count(*) FROM sessions s WHERE s.flow_template_id = f.id) AS sessions
FROM flow_templates f
ORDER BY f.name;

-- name: select_latest_flow_version
SELECT * FROM flow_versions WHERE flow_template_id = $1 ORDER BY number DESC LIMIT 1;

-- name: select_flow_version
SELECT * FROM flow_versions WHERE flow_template_id = $1 AND number = $2;

-- name: select_flow_version_by_id
SELECT * FROM flow_versions WHERE id = $1;

-- name: list_flow_versions
SELECT * FROM flow_versions WHERE flow_template_id = $1 ORDER BY number;

-- name: insert_flow_version
INSERT INTO flow_versions
    (flow_template_id, number, source_format, source, source_sha256, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id;

-- name: insert_flow_step
INSERT INTO flow_steps
    (flow_template_id, "order", speaker_role_ref, target_role_ref, task_type, context_scope,
     context_param, logic_config, description, flow_version_id, kind, name, spec)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: select_flow_steps
SELECT * FROM flow_steps WHERE flow_version_id = $1 ORDER BY "order";

-- name: count_flow_uses
SELECT (SELECT count(*) FROM sessions WHERE flow_template_id = $1) +
       (SELECT count(*) FROM batches b JOIN flow_versions v ON v.id = b.flow_version_id
        WHERE v.flow_template_id = $1);

-- name: unchain_flow_steps
UPDATE flow_steps SET next_step_id = NULL WHERE flow_template_id = $1;

-- name: delete_flow_steps
DELETE FROM flow_steps WHERE flow_template_id = $1;

-- name: delete_flow_versions
DELETE FROM flow_versions WHERE flow_template_id = $1;

-- name: delete_flow_template
DELETE FROM flow_templates WHERE id = $1;
