ALTER TABLE flow_steps DROP COLUMN _knowledge_base_config;
