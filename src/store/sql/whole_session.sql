-- A session put into the database whole: an import, a branch (whole_session.h).

-- name: insert_recorded_session
INSERT INTO sessions
    (topic, flow_template_id, flow_version_id, flow_snapshot, roles_snapshot, seed, status,
     current_step_id, current_round, executed_steps_count, error_reason, stop_reason, result,
     created_at, updated_at, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
RETURNING id;

-- name: insert_recorded_message
-- $7 is the position of the message that this one answers, or NULL.
INSERT INTO messages
    (session_id, speaker_session_role_id, target_session_role_id, content, content_summary, section,
     reply_to_message_id, round_index, created_at, position, document, document_version)
VALUES ($1, $2, $3, $4, $5, $6,
        (SELECT id FROM messages WHERE session_id = $1 AND position = CAST($7 AS BIGINT)),
        $8, $9, $10, $11, $12);

-- name: select_message_places
SELECT position, id FROM messages WHERE session_id = $1 ORDER BY position;
