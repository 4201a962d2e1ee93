-- How a role of the library likes to be performed (JSON: model, temperature ...).
-- fingerprint sqlite: ?
-- fingerprint postgres: ?
-- compatible: yes

ALTER TABLE roles ADD COLUMN settings TEXT;
