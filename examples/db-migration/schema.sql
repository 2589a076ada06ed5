CREATE TABLE documents (id bigint PRIMARY KEY, body text NOT NULL);
CREATE TABLE schema_migrations (version integer PRIMARY KEY, applied_by text NOT NULL);
INSERT INTO schema_migrations VALUES (1, 'schema.sql');
-- What each run did, also of those that came to nothing.
CREATE TABLE migration_log (at timestamptz NOT NULL DEFAULT now(), execution text NOT NULL, what text NOT NULL);

-- 24,000 texts of 4 kB: more than fits into 64 MiB.
INSERT INTO documents
  SELECT i, repeat(repeat(md5(i::text), 6) || ' ', 20 + i % 7) FROM generate_series(1, 24000) AS i;
