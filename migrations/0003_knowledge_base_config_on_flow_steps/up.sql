-- Which knowledge bases a step searches (JSON). The underscore is the older system's.
-- fingerprint sqlite: ?
-- fingerprint postgres: ?
-- compatible: no

ALTER TABLE flow_steps ADD COLUMN _knowledge_base_config TEXT;
