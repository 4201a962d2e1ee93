-- Sessions, their casts and their machine's state.

-- name: insert_session
INSERT INTO sessions (topic, flow_template_id, flow_version_id, flow_snapshot, roles_snapshot, seed,
                      status, current_round, executed_steps_count, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, 'not_started', 1, 0, $7, $7)
RETURNING id;

-- name: insert_session_role
INSERT INTO session_roles (session_id, role_ref, role_id, created_at)
VALUES ($1, $2, $3, $4);

-- name: select_session
SELECT * FROM sessions WHERE id = $1;

-- Which sessions is asked in the same way by all of these, and in stats.sql (session_filter.h gives
-- the parameters): $1 and $4 are lists, ",finished,failed," and ",3,7,", or NULL; so may the flow $2
-- be; $3 is a time, $5 and $6 the lowest and the highest id.

-- part: where_chosen
WHERE s.updated_at < $3
  AND (CAST($4 AS TEXT) IS NULL OR CAST($4 AS TEXT) LIKE '%,' || s.id || ',%')
  AND s.id BETWEEN $5 AND $6
  AND (CAST($7 AS BIGINT) IS NULL
       OR s.id IN (SELECT b.session_id FROM batch_inputs b WHERE b.batch_id = CAST($7 AS BIGINT)))

-- part: and_has_status
  AND (CAST($1 AS TEXT) IS NULL OR CAST($1 AS TEXT) LIKE '%,' || s.status || ',%')

-- part: and_has_flow
  AND (CAST($2 AS TEXT) IS NULL OR f.name = CAST($2 AS TEXT))

-- part: listed_session
SELECT s.id, s.topic, s.status, s.stop_reason, s.current_round, s.executed_steps_count,
       s.created_at, s.updated_at, s.ended_at, f.name AS flow, v.number AS flow_version,
       (SELECT max(position) FROM messages m WHERE m.session_id = s.id) AS messages
FROM sessions s
LEFT JOIN flow_templates f ON f.id = s.flow_template_id
LEFT JOIN flow_versions v ON v.id = s.flow_version_id

-- part: and_is_on_page
  AND (CAST($9 AS TEXT) IS NULL
       OR lower(s.topic) LIKE '%' || lower(CAST($9 AS TEXT)) || '%' ESCAPE '\')
  AND s.created_at >= $10 AND s.created_at < $11
ORDER BY s.id DESC
LIMIT $8;

-- name: list_sessions
-- Newest first.
-- use: listed_session
-- use: where_chosen
-- use: and_has_status
-- use: and_has_flow
-- use: and_is_on_page

-- name: list_sessions_of_status
-- The same, of the one status $1: by its index, whose entries are in the order of ids. A status
-- that few sessions have is not looked for in all of them.
-- use: listed_session
-- use: where_chosen
-- use: and_has_flow
  AND s.status = CAST($1 AS TEXT)
-- use: and_is_on_page

-- name: list_sessions_of_flow
-- The same, of the flow $2, by its index.
-- use: listed_session
-- use: where_chosen
-- use: and_has_status
  AND s.flow_template_id = (SELECT id FROM flow_templates WHERE name = CAST($2 AS TEXT))
-- use: and_is_on_page

-- name: count_sessions
SELECT count(*)
FROM sessions s
LEFT JOIN flow_templates f ON f.id = s.flow_template_id
-- use: where_chosen
-- use: and_has_status
-- use: and_has_flow

-- name: count_sessions_by_status
-- Nearly all sessions of a large database are finished: those are the ones that are left of all
-- (the last row, without a status). SQLite counts those without a look at each, if count(*) is all
-- that a SELECT asks for.
SELECT status, count(*) FROM sessions
WHERE status IN ('not_started', 'running', 'waiting', 'paused', 'failed', 'terminated')
GROUP BY status
UNION ALL
SELECT '', (SELECT count(*) FROM sessions);

-- name: newest_session_below
SELECT coalesce(max(id), 0) FROM sessions WHERE id < $1;

-- name: sessions_created_between
-- By the index of created_at alone.
SELECT min(id), max(id) FROM sessions WHERE created_at >= $1 AND created_at < $2;

-- name: select_left_sessions
-- Those that should be under way, also where a process died or a server stopped. A batch's are the
-- batch's to go on with.
SELECT s.id FROM sessions s
WHERE (s.status = 'running' OR (s.status = 'paused' AND s.stop_reason = 'shutdown'))
  AND NOT EXISTS (SELECT 1 FROM batch_inputs b WHERE b.session_id = s.id)
ORDER BY s.id
LIMIT $1;

-- name: select_claimed_sessions
-- Those that somebody claimed and has not begun, or died before. Looks at every lease there was.
SELECT s.id FROM leases l JOIN sessions s ON s.id = l.session_id
WHERE l.node <> '' AND s.status = 'not_started'
  AND NOT EXISTS (SELECT 1 FROM batch_inputs b WHERE b.session_id = s.id)
ORDER BY s.id
LIMIT $1;

-- name: select_waiting_sessions
SELECT s.id FROM sessions s WHERE s.status = 'waiting' ORDER BY s.id LIMIT $1;

-- name: select_session_roles
SELECT * FROM session_roles WHERE session_id = $1 ORDER BY id;

-- name: select_machine_state
SELECT * FROM machine_states WHERE session_id = $1;

-- name: store_machine_state
INSERT INTO machine_states (session_id, state, updated_at) VALUES ($1, $2, $3)
ON CONFLICT (session_id) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at;

-- name: delete_machine_state
DELETE FROM machine_states WHERE session_id = $1;

-- name: delete_session_roles
DELETE FROM session_roles WHERE session_id = $1;

-- name: delete_session
DELETE FROM sessions WHERE id = $1;
