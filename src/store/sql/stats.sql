-- What sessions took, grouped in four ways with the same columns. $1 to $7 say which sessions: see
-- session.sql. Tokens, cost and duration are those of the calls to models, failed ones included.

-- name: stats_by_flow
WITH chosen AS (
    SELECT s.id, coalesce(f.name, '') AS name
    FROM sessions s LEFT JOIN flow_templates f ON f.id = s.flow_template_id
    WHERE (CAST($1 AS TEXT) IS NULL OR CAST($1 AS TEXT) LIKE '%,' || s.status || ',%')
      AND (CAST($2 AS TEXT) IS NULL OR f.name = CAST($2 AS TEXT))
      AND s.updated_at < $3
      AND (CAST($4 AS TEXT) IS NULL OR CAST($4 AS TEXT) LIKE '%,' || s.id || ',%')
      AND s.id BETWEEN $5 AND $6
      AND (CAST($7 AS BIGINT) IS NULL
           OR s.id IN (SELECT b.session_id FROM batch_inputs b WHERE b.batch_id = CAST($7 AS BIGINT)))
), steps AS (
    SELECT session_id, count(*) AS steps
    FROM step_execution_logs
    WHERE session_id IN (SELECT id FROM chosen)
    GROUP BY session_id
), calls AS (
    SELECT l.session_id, count(*) AS calls,
           sum(CASE WHEN c.outcome = 'ok' THEN 0 ELSE 1 END) AS failed,
           sum(c.prompt_tokens) AS prompt_tokens, sum(c.completion_tokens) AS completion_tokens,
           sum(c.cost_usd) AS cost_usd, sum(c.duration_ms) AS duration_ms
    FROM model_calls c JOIN step_execution_logs l ON l.id = c.log_id
    WHERE l.session_id IN (SELECT id FROM chosen)
    GROUP BY l.session_id
)
SELECT chosen.name, count(*) AS sessions, sum(steps.steps) AS steps, sum(calls.calls) AS calls,
       sum(calls.failed) AS failed, sum(calls.prompt_tokens) AS prompt_tokens,
       sum(calls.completion_tokens) AS completion_tokens, sum(calls.cost_usd) AS cost_usd,
       sum(calls.duration_ms) AS duration_ms
FROM chosen
LEFT JOIN steps ON steps.session_id = chosen.id
LEFT JOIN calls ON calls.session_id = chosen.id
GROUP BY chosen.name
ORDER BY sessions DESC, chosen.name;

-- name: stats_by_status
WITH chosen AS (
    SELECT s.id, s.status AS name
    FROM sessions s LEFT JOIN flow_templates f ON f.id = s.flow_template_id
    WHERE (CAST($1 AS TEXT) IS NULL OR CAST($1 AS TEXT) LIKE '%,' || s.status || ',%')
      AND (CAST($2 AS TEXT) IS NULL OR f.name = CAST($2 AS TEXT))
      AND s.updated_at < $3
      AND (CAST($4 AS TEXT) IS NULL OR CAST($4 AS TEXT) LIKE '%,' || s.id || ',%')
      AND s.id BETWEEN $5 AND $6
      AND (CAST($7 AS BIGINT) IS NULL
           OR s.id IN (SELECT b.session_id FROM batch_inputs b WHERE b.batch_id = CAST($7 AS BIGINT)))
), steps AS (
    SELECT session_id, count(*) AS steps
    FROM step_execution_logs
    WHERE session_id IN (SELECT id FROM chosen)
    GROUP BY session_id
), calls AS (
    SELECT l.session_id, count(*) AS calls,
           sum(CASE WHEN c.outcome = 'ok' THEN 0 ELSE 1 END) AS failed,
           sum(c.prompt_tokens) AS prompt_tokens, sum(c.completion_tokens) AS completion_tokens,
           sum(c.cost_usd) AS cost_usd, sum(c.duration_ms) AS duration_ms
    FROM model_calls c JOIN step_execution_logs l ON l.id = c.log_id
    WHERE l.session_id IN (SELECT id FROM chosen)
    GROUP BY l.session_id
)
SELECT chosen.name, count(*) AS sessions, sum(steps.steps) AS steps, sum(calls.calls) AS calls,
       sum(calls.failed) AS failed, sum(calls.prompt_tokens) AS prompt_tokens,
       sum(calls.completion_tokens) AS completion_tokens, sum(calls.cost_usd) AS cost_usd,
       sum(calls.duration_ms) AS duration_ms
FROM chosen
LEFT JOIN steps ON steps.session_id = chosen.id
LEFT JOIN calls ON calls.session_id = chosen.id
GROUP BY chosen.name
ORDER BY sessions DESC, chosen.name;

-- name: stats_by_model
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
)
SELECT c.provider || '/' || c.model AS name, count(DISTINCT l.session_id) AS sessions,
       count(DISTINCT c.log_id) AS steps, count(*) AS calls,
       sum(CASE WHEN c.outcome = 'ok' THEN 0 ELSE 1 END) AS failed,
       sum(c.prompt_tokens) AS prompt_tokens, sum(c.completion_tokens) AS completion_tokens,
       sum(c.cost_usd) AS cost_usd, sum(c.duration_ms) AS duration_ms
FROM chosen
JOIN step_execution_logs l ON l.session_id = chosen.id
JOIN model_calls c ON c.log_id = l.id
GROUP BY c.provider, c.model
ORDER BY calls DESC, name;
