-- Version 2: documents.words, counted by a program (awk). All of it or nothing, and one at a time.
BEGIN;
SELECT pg_advisory_xact_lock(2) \g /dev/null
SELECT EXISTS (SELECT FROM schema_migrations WHERE version = 2) AS done \gset
\if :done
  \echo 'version 2 is there already'
  \quit
\endif

ALTER TABLE documents ADD COLUMN words integer;
-- psql holds the whole result in its memory before it gives any of it away.
SELECT id, body FROM documents
  \g (format=unaligned tuples_only=on fieldsep=' ') |awk '{ print $1 "," NF - 1 }' > /tmp/words.csv
CREATE TEMPORARY TABLE counted (id bigint, words integer) ON COMMIT DROP;
\copy counted FROM /tmp/words.csv (FORMAT csv)
UPDATE documents SET words = counted.words FROM counted WHERE counted.id = documents.id;
ALTER TABLE documents ALTER COLUMN words SET NOT NULL;

INSERT INTO schema_migrations (version, applied_by) VALUES (2, :'execution');
INSERT INTO migration_log (execution, what) VALUES (:'execution', 'applied');
COMMIT;
\echo 'version 2 is applied'
