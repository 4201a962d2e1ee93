-- As in stats.sql. Who spoke in a turn, a branch of `each` or as a judge is told by the row itself.

-- name: stats_by_role
-- Steps that somebody speaks in, by the role reference.
WITH chosen AS (
    SELECT s.id
    FROM sessions s LEFT JOIN flow_templates f ON f.id = s.flow_template_id
    WHERE (CAST($1 AS TEXT) IS NULL OR CAST($1 AS TEXT) LIKE '%,' || s.status || ',%')
      AND (CAST($2 AS TEXT) IS NULL OR f.name = CAST($2 AS TEXT))
      AND s.updated_at < $3
      AND (CAST($4 AS TEXT) IS NULL OR CAST($4 AS TEXT) LIKE '%,' || s.id || ',%')
      AND s.id BETWEEN $5 AND $6
      AND (CAST($7 AS BIGINT) IS NULL
           OR s.id IN (SELECT b.session_id FROM batch_inputs b WHERE b.batch_id = CAST($7 AS BIGINT)))
), calls AS (
    SELECT log_id, count(*) AS calls,
           sum(CASE WHEN outcome = 'ok' THEN 0 ELSE 1 END) AS failed,
           sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
           sum(cost_usd) AS cost_usd, sum(duration_ms) AS duration_ms
    FROM model_calls
    GROUP BY log_id
), spoken AS (
    SELECT l.id, l.session_id,
           CASE WHEN p.speaker_role_ref IS NOT NULL THEN p.speaker_role_ref
                WHEN p.kind IN ('speak', 'if', 'loop_check')
                THEN coalesce(json_extract(l.result_data, '$.role'),
                              json_extract(l.result_data, '$.judges[0].role')) END AS name
    FROM chosen
    JOIN step_execution_logs l ON l.session_id = chosen.id
    JOIN flow_steps p ON p.id = l.step_id
)
SELECT spoken.name, count(DISTINCT spoken.session_id) AS sessions, count(*) AS steps,
       sum(calls.calls) AS calls, sum(calls.failed) AS failed,
       sum(calls.prompt_tokens) AS prompt_tokens,
       sum(calls.completion_tokens) AS completion_tokens, sum(calls.cost_usd) AS cost_usd,
       sum(calls.duration_ms) AS duration_ms
FROM spoken
LEFT JOIN calls ON calls.log_id = spoken.id
WHERE spoken.name IS NOT NULL
GROUP BY spoken.name
ORDER BY steps DESC, spoken.name;
