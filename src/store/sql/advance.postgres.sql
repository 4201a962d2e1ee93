-- The fence: a session is advanced only by the holder of its lease's present token. FOR SHARE holds
-- the lease row until the commit, and re-reads it after waiting for another node's claim: a plain
-- EXISTS would be evaluated on the old snapshot and let a fenced node through.

-- name: advance_session
WITH fence AS (SELECT 1 FROM leases WHERE session_id = $1 AND token = $2 FOR SHARE)
UPDATE sessions
SET status = $3, current_step_id = $4, current_round = $5, executed_steps_count = $6,
    error_reason = $7, stop_reason = $8, result = $9, ended_at = $10, updated_at = $11
WHERE id = $1 AND EXISTS (SELECT 1 FROM fence);

-- name: claim_lease
-- The server's clock decides, not the nodes': from $3 and $4 only the length of the lease is taken.
INSERT INTO leases (session_id, token, node, expires_at)
VALUES ($1, 1, $2,
        clock_timestamp() + (CAST($4 AS TIMESTAMPTZ) - CAST($3 AS TIMESTAMPTZ)))
ON CONFLICT (session_id) DO UPDATE
SET token = leases.token + 1, node = excluded.node, expires_at = excluded.expires_at,
    request = NULL
WHERE leases.node = '' OR leases.expires_at < clock_timestamp() OR leases.node = $5
RETURNING token;

-- name: renew_leases
UPDATE leases SET expires_at = clock_timestamp() + CAST($2 AS INTERVAL) WHERE node = $1;

-- name: search_messages
SELECT m.session_id, m.position, m.created_at, m.content, r.role_ref, m.id
FROM messages m LEFT JOIN session_roles r ON r.id = m.speaker_session_role_id
WHERE m.content ILIKE '%' || $1 || '%' ESCAPE '\'
  AND coalesce(m.position, 1) > 0
  AND m.id < $3 AND m.id > $4
ORDER BY m.id DESC
LIMIT $2;
