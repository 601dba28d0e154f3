-- The database that the archives here are made of: small, with what is awkward to read.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE SCHEMA shop;
COMMENT ON SCHEMA shop IS 'a comment with ''quotes''; and a semicolon';
CREATE TYPE shop.mood AS ENUM ('sad', 'ok', 'happy');
CREATE FUNCTION shop.twice(i integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT i * 2; $$;

-- Several chunks in every compression, and values that look like the end of the data.
CREATE TABLE shop.customers (id integer PRIMARY KEY, name text NOT NULL, mood shop.mood DEFAULT 'ok', note text);
INSERT INTO shop.customers
SELECT i, md5(i::text), CASE i % 3 WHEN 0 THEN 'sad'::shop.mood WHEN 1 THEN 'happy' END,
       CASE i % 7 WHEN 0 THEN E'two\nlines' WHEN 1 THEN E'\\.' WHEN 2 THEN E'tab\there \\N' WHEN 3 THEN ''
                  WHEN 4 THEN 'it''s; "x" -- $$ /*' WHEN 5 THEN U&'\00fc\20ac\+01F600' END
  FROM generate_series(1, 400) AS i;

CREATE TABLE shop.orders (id serial PRIMARY KEY, customer integer NOT NULL REFERENCES shop.customers, twice integer GENERATED ALWAYS AS (id * 2) STORED, placed date);
INSERT INTO shop.orders (customer, placed) SELECT i % 400 + 1, date '2024-02-29' + i FROM generate_series(1, 100) AS i;
CREATE INDEX orders_customer ON shop.orders (customer, shop.twice(id));

CREATE TABLE shop.no_columns ();
INSERT INTO shop.no_columns DEFAULT VALUES;
INSERT INTO shop.no_columns DEFAULT VALUES;
INSERT INTO shop.no_columns DEFAULT VALUES;
CREATE TABLE shop.empty (a text, b bytea);
CREATE TABLE shop.wide (a text, b bytea);
INSERT INTO shop.wide VALUES (repeat('0123456789', 1500), decode(repeat('00ff5c2e0a', 500), 'hex'));
CREATE TABLE shop."odd ""name"", it's;
two lines" ("a column" text);
INSERT INTO shop."odd ""name"", it's;
two lines" VALUES (E'\\.'), (NULL), ('');

CREATE VIEW shop.happy AS SELECT id, name FROM shop.customers WHERE mood = 'happy';
CREATE MATERIALIZED VIEW shop.counts AS SELECT mood, count(*) FROM shop.customers GROUP BY mood;
CREATE TABLE shop.parted (k integer, v text) PARTITION BY RANGE (k);
CREATE TABLE shop.parted_low PARTITION OF shop.parted FOR VALUES FROM (0) TO (100);
INSERT INTO shop.parted VALUES (1, 'low');
GRANT SELECT ON shop.customers TO PUBLIC;

-- An empty one, one of several chunks, one whose oid does not fit into a signed int.
SELECT lo_create(16001);
SELECT lo_from_bytea(16002, decode((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) AS i), 'hex'));
SELECT lo_from_bytea(4000000000, 'small');
