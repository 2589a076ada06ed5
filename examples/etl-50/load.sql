-- All of a share or nothing, and a second time changes nothing: whoever loads it again, after a connection that broke
-- with the answer to the COMMIT in it, or by a re-run, writes the same rows over themselves.
BEGIN;
CREATE TEMPORARY TABLE share (id bigint, customer text, cents bigint) ON COMMIT DROP;
\copy share FROM /tmp/share.csv (FORMAT csv)
INSERT INTO orders (id, customer, cents, loaded_by)
  SELECT id, customer, cents, :'execution' FROM share
  ON CONFLICT (id) DO UPDATE
    SET customer = excluded.customer, cents = excluded.cents, loaded_by = excluded.loaded_by;
COMMIT;
