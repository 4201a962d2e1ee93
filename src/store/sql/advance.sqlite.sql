-- The fence: a session is advanced only by the holder of its lease's present token. Writers take
-- turns on SQLite, so reading the token inside the transaction is enough.

-- name: advance_session
UPDATE sessions
SET status = $3, current_step_id = $4, current_round = $5, executed_steps_count = $6,
    error_reason = $7, stop_reason = $8, result = $9, ended_at = $10, updated_at = $11
WHERE id = $1 AND EXISTS (SELECT 1 FROM leases WHERE session_id = $1 AND token = $2);

-- name: claim_lease
-- $3 is the present time, $4 the end of the lease, $5 a node known to be dead (or NULL).
INSERT INTO leases (session_id, token, node, expires_at) VALUES ($1, 1, $2, $4)
ON CONFLICT (session_id) DO UPDATE
SET token = leases.token + 1, node = excluded.node, expires_at = excluded.expires_at,
    request = NULL
WHERE leases.node = '' OR leases.expires_at < $3 OR leases.node = $5
RETURNING token;

-- name: renew_leases
UPDATE leases SET expires_at = $2 WHERE node = $1;

-- name: search_messages
SELECT m.session_id, m.position, m.created_at, m.content, r.role_ref, m.id
FROM messages m LEFT JOIN session_roles r ON r.id = m.speaker_session_role_id
WHERE m.content LIKE '%' || $1 || '%' ESCAPE '\'
  AND coalesce(m.position, 1) > 0
  AND m.id < $3 AND m.id > $4
ORDER BY m.id DESC
LIMIT $2;
