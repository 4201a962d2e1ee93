-- The step execution log. A row is known by its session and execution order; ids never leave the
-- database before they are durable, so that a whole commit can be sent in one piece.

-- name: open_step
INSERT INTO step_execution_logs
    (session_id, step_id, parent_log_id, execution_order, round_index, loop_iteration,
     attempt_count, status, result_type, result_data, condition_evaluation, loop_check_result,
     error_message, duration_ms, memory_usage_mb, created_at, started_at, completed_at,
     step_snapshot, context_snapshot)
VALUES
    ($1, $2,
     (SELECT id FROM step_execution_logs WHERE session_id = $1 AND execution_order = $3),
     $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20);

-- name: close_step
-- $14 is the position of the message that the step said (or NULL): its id becomes the first member
-- of result_data.
UPDATE step_execution_logs
SET attempt_count = $3, status = $4, result_type = $5,
    result_data = CASE WHEN CAST($14 AS BIGINT) IS NULL THEN $6
        ELSE '{"message_id":' ||
             (SELECT id FROM messages WHERE session_id = $1 AND position = CAST($14 AS BIGINT)) ||
             ',' || substr($6, 2) END,
    condition_evaluation = $7, loop_check_result = $8, error_message = $9, duration_ms = $10,
    memory_usage_mb = $11, completed_at = $12, started_at = coalesce(started_at, $13)
WHERE session_id = $1 AND execution_order = $2;

-- name: change_step
-- A person's time begins anew when they are asked again; a model's counts from its first attempt.
UPDATE step_execution_logs
SET status = $3, attempt_count = $4,
    started_at =
        coalesce(CASE WHEN CAST($3 AS VARCHAR(20)) = 'waiting' THEN NULL ELSE started_at END, $5),
    completed_at = NULL, result_type = NULL, error_message = NULL
WHERE session_id = $1 AND execution_order = $2;

-- name: select_log
SELECT * FROM step_execution_logs
WHERE session_id = $1 AND execution_order > $2
ORDER BY execution_order
LIMIT $3;

-- name: select_step_row
SELECT * FROM step_execution_logs WHERE session_id = $1 AND execution_order = $2;

-- name: delete_log
DELETE FROM step_execution_logs WHERE session_id = $1;

-- name: count_log_by_status
SELECT status, count(*) FROM step_execution_logs WHERE session_id = $1 GROUP BY status;

-- name: record_model_call
INSERT INTO model_calls
    (log_id, attempt, outcome, profile, provider, model, error_message, http_status, request_id,
     finish_reason, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, cost_usd,
     first_token_ms, duration_ms, started_at)
VALUES
    ((SELECT id FROM step_execution_logs WHERE session_id = $1 AND execution_order = $2),
     $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19);

-- name: select_model_calls
SELECT l.execution_order, c.*
FROM step_execution_logs l JOIN model_calls c ON c.log_id = l.id
WHERE l.session_id = $1
ORDER BY c.id;

-- name: select_step_model_calls
SELECT l.execution_order, c.*
FROM step_execution_logs l JOIN model_calls c ON c.log_id = l.id
WHERE l.session_id = $1 AND l.execution_order = $2
ORDER BY c.id;

-- name: sum_usage
SELECT count(*) AS calls, coalesce(sum(c.prompt_tokens), 0) AS prompt_tokens,
       coalesce(sum(c.completion_tokens), 0) AS completion_tokens, sum(c.cost_usd) AS cost_usd
FROM step_execution_logs l JOIN model_calls c ON c.log_id = l.id
WHERE l.session_id = $1;

-- name: delete_model_calls
DELETE FROM model_calls
WHERE log_id IN (SELECT id FROM step_execution_logs WHERE session_id = $1);
