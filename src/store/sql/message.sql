-- name: insert_message
INSERT INTO messages
    (session_id, speaker_session_role_id, target_session_role_id, content, round_index, created_at,
     position, document, document_version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: place_message
UPDATE messages SET position = $3 WHERE session_id = $1 AND position = $2;

-- name: select_unplaced_messages
-- What branches said that are not joined yet.
SELECT * FROM messages WHERE session_id = $1 AND position < 0 ORDER BY position DESC;

-- name: select_messages
SELECT * FROM messages
WHERE session_id = $1 AND position > $2
ORDER BY position
LIMIT $3;

-- name: select_messages_between
SELECT * FROM messages
WHERE session_id = $1 AND position BETWEEN $2 AND $3
ORDER BY position;

-- name: select_document_versions
SELECT * FROM messages
WHERE session_id = $1 AND document = $2 AND position > 0
ORDER BY document_version;

-- name: list_documents
SELECT document, max(document_version) AS versions, max(created_at) AS updated_at
FROM messages
WHERE session_id = $1 AND document IS NOT NULL AND position > 0
GROUP BY document
ORDER BY document;

-- name: newest_message_below
SELECT coalesce(max(id), 0) FROM messages WHERE id < $1;

-- name: delete_messages
DELETE FROM messages WHERE session_id = $1;
