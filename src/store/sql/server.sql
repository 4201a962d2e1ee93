-- What the server keeps beside sessions: tokens, and the answers to repeated requests.

-- name: insert_api_token
INSERT INTO api_tokens (name, sha256, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)
RETURNING id;

-- name: select_api_token
SELECT * FROM api_tokens WHERE sha256 = $1;

-- name: select_api_tokens
SELECT * FROM api_tokens ORDER BY id;

-- name: revoke_api_token
UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL;

-- name: claim_idempotency_key
INSERT INTO idempotency_keys (caller, key, request_sha256, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (caller, key) DO NOTHING;

-- name: select_idempotency_key
SELECT * FROM idempotency_keys WHERE caller = $1 AND key = $2;

-- name: answer_idempotency_key
UPDATE idempotency_keys SET status = $3, content_type = $4, body = $5 WHERE caller = $1 AND key = $2;

-- name: drop_idempotency_key
DELETE FROM idempotency_keys WHERE caller = $1 AND key = $2;

-- name: drop_old_idempotency_keys
DELETE FROM idempotency_keys WHERE created_at < $1;

-- name: drop_unanswered_idempotency_keys
DELETE FROM idempotency_keys WHERE status IS NULL AND created_at < $1;
