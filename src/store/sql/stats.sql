-- What sessions took. $1 to $7 say which sessions: see session.sql. The rows are summed by who reads
-- them (store/stats.h): one pass for all groups, that can be left between two sessions.

-- name: first_session_from
SELECT min(id) FROM sessions WHERE id >= $1;

-- name: stats_rows
-- A row for each call, and one for each row of the log that made none, in the order of an index of
-- the log. What a step said is wanted only where it alone tells who spoke (a turn, a branch of
-- `each`, a judge); elsewhere the log itself is not read, only that index.
SELECT s.id, coalesce(f.name, '') AS flow, s.status, l.id AS log_id, p.speaker_role_ref,
       CASE WHEN p.speaker_role_ref IS NULL AND p.kind IN ('speak', 'if', 'loop_check')
            THEN l.result_data END AS result_data,
       c.provider, c.model, c.outcome, c.prompt_tokens, c.completion_tokens, c.cost_usd,
       c.duration_ms
FROM sessions s
LEFT JOIN flow_templates f ON f.id = s.flow_template_id
LEFT JOIN step_execution_logs l ON l.session_id = s.id
LEFT JOIN flow_steps p ON p.id = l.step_id
LEFT JOIN model_calls c ON c.log_id = l.id
-- use: where_chosen
-- use: and_has_status
-- use: and_has_flow
ORDER BY s.id, l.step_id, l.id;
