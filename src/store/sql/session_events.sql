-- The durable events of sessions: one row for each commit that announced something.

-- name: insert_session_events
INSERT INTO session_events (session_id, last_number, events, created_at) VALUES ($1, $2, $3, $4);

-- name: last_event_number
SELECT coalesce(max(last_number), 0) FROM session_events WHERE session_id = $1;

-- name: select_session_events
-- Rows that hold an event above $2.
SELECT * FROM session_events
WHERE session_id = $1 AND last_number > $2
ORDER BY last_number
LIMIT $3;

-- name: select_events_after
SELECT * FROM session_events WHERE id > $1 AND session_id IS NOT NULL ORDER BY id LIMIT $2;

-- name: select_events_between
SELECT * FROM session_events WHERE id BETWEEN $1 AND $2 AND session_id IS NOT NULL ORDER BY id;

-- name: last_events_id
SELECT coalesce(max(id), 0) FROM session_events;

-- name: select_results_between
SELECT execution_order, result_data FROM step_execution_logs
WHERE session_id = $1 AND execution_order BETWEEN $2 AND $3;

-- name: select_contents_between
SELECT id, content FROM messages WHERE session_id = $1 AND id BETWEEN $2 AND $3;

-- name: keep_newest_events_id
-- Before a session goes: the newest row of all stays without its session, so that SQLite gives its
-- id to no other.
UPDATE session_events SET session_id = NULL, events = '[]'
WHERE session_id = $1 AND id = (SELECT max(id) FROM session_events);

-- name: delete_session_events
DELETE FROM session_events WHERE session_id = $1;
