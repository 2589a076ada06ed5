CREATE TABLE orders (
  id bigint PRIMARY KEY,
  customer text NOT NULL,
  cents bigint NOT NULL,
  -- The execution that wrote the row last.
  loaded_by text NOT NULL
);
