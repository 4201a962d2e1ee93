DROP INDEX idx_flow_steps_version_order;
ALTER TABLE flow_steps DROP COLUMN spec;
ALTER TABLE flow_steps DROP COLUMN name;
ALTER TABLE flow_steps DROP COLUMN kind;
ALTER TABLE flow_steps DROP COLUMN flow_version_id;
DROP INDEX idx_flow_templates_name;
DROP TABLE flow_versions;
