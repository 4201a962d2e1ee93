ALTER TABLE roles DROP COLUMN settings;
