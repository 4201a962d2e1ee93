-- Batches: which session an input has, and which line of the output its result is.

-- name: insert_batch
INSERT INTO batches (identity, name, flow_version_id, created_at)
VALUES ($1, $2, $3, $4)
ON CONFLICT (identity) DO NOTHING;

-- name: select_batch
SELECT * FROM batches WHERE identity = $1;

-- name: select_batch_by_id
SELECT * FROM batches WHERE id = $1;

-- name: select_batch_input
SELECT b.*, s.status AS session_status
FROM batch_inputs b LEFT JOIN sessions s ON s.id = b.session_id
WHERE b.batch_id = $1 AND b.input_id = $2;

-- name: select_batch_of_session
SELECT batch_id FROM batch_inputs WHERE session_id = $1;

-- name: tie_batch_input
-- An input whose session was deleted gets another one.
INSERT INTO batch_inputs (batch_id, input_id, input_sha256, session_id, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (batch_id, input_id) DO UPDATE SET session_id = excluded.session_id
WHERE batch_inputs.session_id IS NULL AND batch_inputs.line IS NULL;

-- name: untie_batch_input
UPDATE batch_inputs SET session_id = NULL WHERE session_id = $1;

-- name: assign_batch_line
UPDATE batch_inputs
SET line = (SELECT coalesce(max(o.line), 0) + 1
            FROM batch_inputs o
            WHERE o.batch_id = $1 AND o.line IS NOT NULL)  -- or the index could not be used
WHERE batch_id = $1 AND session_id = $2 AND line IS NULL
  AND EXISTS (SELECT 1 FROM sessions s WHERE s.id = $2 AND s.status = 'finished');

-- name: count_batch_lines
SELECT coalesce(max(line), 0) AS lines
FROM batch_inputs
WHERE batch_id = $1 AND line IS NOT NULL;

-- name: select_batch_lines
SELECT * FROM batch_inputs
WHERE batch_id = $1 AND line >= $2
ORDER BY line
LIMIT $3;

-- name: select_batch_open_inputs
-- Those without a result, in the order in which they were begun.
SELECT b.id, b.input_id, b.session_id, s.status, s.stop_reason, s.error_reason
FROM batch_inputs b JOIN sessions s ON s.id = b.session_id
WHERE b.batch_id = $1 AND b.line IS NULL AND b.id > $2
ORDER BY b.id
LIMIT $3;

-- name: sum_batch_usage
SELECT count(*) AS calls, coalesce(sum(c.prompt_tokens), 0) AS prompt_tokens,
       coalesce(sum(c.completion_tokens), 0) AS completion_tokens, sum(c.cost_usd) AS cost_usd
FROM batch_inputs b
JOIN step_execution_logs l ON l.session_id = b.session_id
JOIN model_calls c ON c.log_id = l.id
WHERE b.batch_id = $1;
