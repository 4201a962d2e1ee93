DROP TABLE idempotency_keys;
DROP TABLE api_tokens;
DROP TABLE session_events;
