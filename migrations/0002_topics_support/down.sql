ALTER TABLE flow_templates DROP COLUMN topic;
