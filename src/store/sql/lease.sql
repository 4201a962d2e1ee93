-- name: select_lease
SELECT * FROM leases WHERE session_id = $1;

-- name: release_lease
UPDATE leases SET node = '', expires_at = NULL, request = NULL
WHERE session_id = $1 AND token = $2;

-- name: request_of_holder
UPDATE leases SET request = $2 WHERE session_id = $1 AND node <> '';

-- name: select_requests
SELECT session_id, token, request FROM leases WHERE node = $1 AND request IS NOT NULL;

-- name: clear_request
UPDATE leases SET request = NULL WHERE session_id = $1 AND token = $2;

-- name: delete_lease
DELETE FROM leases WHERE session_id = $1;
