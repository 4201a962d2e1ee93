-- What a flow is about unless a session says otherwise. TEXT: the older system's VARCHAR(200) did
-- not hold what people wrote.
-- fingerprint sqlite: f0f6391da4edc49e82f0d72ba238a1e3b70baf854d4830cdf275be47c75cd1c5
-- fingerprint postgres: 961b7afd6aaf4f2d662e5c5b30510588e9a333ccbbd2c3bc41f1ff043ed29234
-- compatible: no

ALTER TABLE flow_templates ADD COLUMN topic TEXT;
