-- name: select_role
SELECT * FROM roles WHERE name = $1;

-- name: list_roles
SELECT * FROM roles ORDER BY name;

-- name: upsert_role
INSERT INTO roles (name, prompt, settings, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (name) DO UPDATE
SET prompt = excluded.prompt, settings = excluded.settings, updated_at = excluded.updated_at;

-- name: untie_role
UPDATE session_roles SET role_id = NULL WHERE role_id = (SELECT id FROM roles WHERE name = $1);

-- name: delete_role
DELETE FROM roles WHERE name = $1;
