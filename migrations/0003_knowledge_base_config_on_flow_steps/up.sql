-- Which knowledge bases a step searches (JSON). The underscore is the older system's.
-- fingerprint sqlite: 5c8c02b48321ca7d3eafacd76aed63d5ddd80ed08add92f8947bb6337c66d507
-- fingerprint postgres: 4dba6d6af19f4800a7f9d8e74e13761a42910fd8a1ebf7f07c05fa58f3756d18
-- compatible: no

ALTER TABLE flow_steps ADD COLUMN _knowledge_base_config TEXT;
