-- How a role of the library likes to be performed (JSON: model, temperature ...).
-- fingerprint sqlite: ae43dcdcb60149f7f4bbb98d9f93cb275426c2147d9df6e500dfd96424c0dfa4
-- fingerprint postgres: dbe2e4bb4553257005b099561ef13a9b7b5da7a66ac644e91307878ad77c190b
-- compatible: yes

ALTER TABLE roles ADD COLUMN settings TEXT;
