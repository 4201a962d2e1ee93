-- What a flow is about unless a session says otherwise. TEXT: the older system's VARCHAR(200) did
-- not hold what people wrote.
-- fingerprint sqlite: ?
-- fingerprint postgres: ?
-- compatible: no

ALTER TABLE flow_templates ADD COLUMN topic TEXT;
