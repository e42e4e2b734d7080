"""Small SQL texts that no rule may bother, by what they have in common: data, no test."""

from __future__ import annotations

# As in tests/rules/corpus.py: a line that is indented twice goes on with the text before it.
HARMLESS = """
comments and nothing
    SELECT 1; -- DROP TABLE x;
    SELECT E'\\'; DROP TABLE shop_order; --'
    SELECT $$; DROP TABLE shop_order; $$
    SELECT 1 AS "DROP TABLE shop_order"
    -- nothing at all
    /* DROP TABLE shop_order */
    ;
    SELECT 1
    SELECT 'DROP TABLE shop_order; DELETE FROM shop_order'
    SELECT count(*) FROM shop_order WHERE total IS NULL
    SELECT setval('numbers', (SELECT max(id) FROM shop_order))
    SELECT pg_advisory_xact_lock(5)
    SELECT now(), current_user, upper('x') || 'y'
new tables
    CREATE TEMP TABLE t AS SELECT id FROM shop_order; DELETE FROM t
    SELECT id INTO TEMP t FROM shop_order; CREATE INDEX ON t (id); UPDATE t SET id = 1
    CREATE TABLE IF NOT EXISTS fresh (id int); CREATE INDEX ON fresh (id); DROP TABLE fresh
    CREATE TEMP TABLE shop_order (id int); DROP TABLE shop_order
    CREATE SCHEMA audit; DROP SCHEMA audit
    CREATE TABLE fresh (id serial PRIMARY KEY, o bigint REFERENCES shop_order (id))
    create unlogged table if not exists "Fresh" ("id" int)
    CREATE TEMP TABLE fresh (id int); INSERT INTO fresh SELECT id FROM shop_order
    CREATE TABLE fresh AS SELECT * FROM shop_order
    CREATE TABLE fresh (id int); CREATE INDEX i ON fresh (id); DROP INDEX i
    CREATE TABLE fresh (id int); ALTER TABLE fresh ADD CONSTRAINT k CHECK (id > 0)
    CREATE TABLE fresh (id int); ALTER TABLE fresh ALTER id TYPE bigint; DROP TABLE fresh
    CREATE TABLE fresh (id int); UPDATE fresh SET id = 1; TRUNCATE fresh
    CREATE TABLE fresh (id int); ALTER TABLE fresh RENAME id TO pk; ALTER TABLE fresh RENAME TO f
    CREATE TABLE audit.fresh (id int); CREATE UNIQUE INDEX ON audit.fresh (id)
    CREATE TABLE public.fresh (id int); CREATE INDEX ON fresh (id)
    CREATE TABLE part PARTITION OF shop_order FOR VALUES FROM (1) TO (2)
    CREATE TABLE part (id int); ALTER TABLE shop_order ATTACH PARTITION part FOR VALUES IN (1)
    CREATE TABLE fresh (LIKE shop_order INCLUDING ALL)
    CREATE TABLE hist (o int, s int); ALTER TABLE hist ADD FOREIGN KEY (o) REFERENCES shop_order;
        ALTER TABLE hist ADD CHECK (s > 0)
    CREATE TABLE fresh (id bigint PRIMARY KEY); ALTER TABLE shop_order ADD COLUMN fresh_id bigint;
        ALTER TABLE shop_order ADD CONSTRAINT k FOREIGN KEY (fresh_id) REFERENCES fresh NOT VALID
    SELECT * INTO fresh FROM shop_order; CREATE INDEX ON fresh (id)
instant
    ALTER TABLE shop_order ADD COLUMN x text DEFAULT current_setting('app.x')
    ALTER TABLE shop_order ADD x date DEFAULT CURRENT_DATE + 1
    ALTER TABLE shop_order ADD x jsonb DEFAULT jsonb_build_object('a', now())
    ALTER TABLE shop_order ADD x int DEFAULT (1 + 2) * length('abc')
    ALTER TABLE shop_order ALTER number TYPE varchar
    ALTER TABLE shop_order CLUSTER ON i
    ALTER TABLE shop_order ALTER total SET COMPRESSION lz4
    ALTER TABLE shop_order INHERIT parent
    ALTER TABLE shop_order ADD COLUMN x int
    alter table only "shop_order" add "x" varchar(20) not null default 'x'
    ALTER TABLE shop_order ADD x timestamptz NOT NULL DEFAULT now()
    ALTER TABLE shop_order ADD x timestamptz DEFAULT CURRENT_TIMESTAMP
    ALTER TABLE shop_order ADD x jsonb NOT NULL DEFAULT '{}'::jsonb, ADD y text
    ALTER TABLE shop_order ADD x int[] DEFAULT ARRAY[1, 2]
    ALTER TABLE shop_order ADD x bigint REFERENCES shop_shop (id)
    ALTER TABLE shop_order ADD x int GENERATED ALWAYS AS (total + 1) VIRTUAL
    ALTER TABLE shop_order ADD x citext
    ALTER TABLE shop_order ALTER total SET DEFAULT 5
    ALTER TABLE shop_order ALTER note DROP DEFAULT
    ALTER TABLE shop_order ALTER total DROP NOT NULL
    ALTER TABLE shop_order ALTER number TYPE varchar(30)
    ALTER TABLE shop_order ALTER number TYPE text
    ALTER TABLE shop_order ALTER number TYPE character varying (20)
    ALTER TABLE shop_order ALTER price TYPE numeric(10, 2)
    ALTER TABLE shop_order ALTER total SET STATISTICS 500
    ALTER TABLE shop_order ALTER note SET STORAGE EXTERNAL
    ALTER TABLE shop_order SET (fillfactor = 70, autovacuum_enabled = false)
    ALTER TABLE shop_order ADD CONSTRAINT k CHECK (total > 0) NOT VALID
    ALTER TABLE shop_order ADD CONSTRAINT f FOREIGN KEY (shop_id) REFERENCES shop_shop NOT VALID
    ALTER TABLE shop_order VALIDATE CONSTRAINT k
    ALTER TABLE shop_order ADD CONSTRAINT u UNIQUE USING INDEX i
    ALTER TABLE shop_order DROP CONSTRAINT k
    ALTER TABLE shop_order RENAME CONSTRAINT k TO l
    ALTER TABLE shop_order DISABLE TRIGGER t; ALTER TABLE shop_order ENABLE TRIGGER t
    ALTER TABLE shop_order REPLICA IDENTITY FULL
    ALTER INDEX i RENAME TO j
    ALTER DOMAIN d ADD CONSTRAINT k CHECK (value > 0) NOT VALID
    ALTER DOMAIN d DROP CONSTRAINT k
    ALTER TABLE shop_order ALTER CONSTRAINT f NOT ENFORCED
    ALTER TABLE shop_order ALTER CONSTRAINT f DEFERRABLE INITIALLY DEFERRED
    ALTER TABLE shop_order ADD CONSTRAINT k CHECK (total > 0) NOT ENFORCED
    ALTER TABLE shop_order ADD FOREIGN KEY (shop_id) REFERENCES shop_shop NOT ENFORCED
    SET LOCAL lock_timeout = '100ms'; ALTER TABLE shop_order ADD x int
    SET LOCAL statement_timeout = '5s'; SELECT 1
    SET statement_timeout = 0; SELECT 1; RESET statement_timeout
    SET LOCAL search_path = audit
    SET LOCAL session_replication_role = origin
    SET CONSTRAINTS ALL IMMEDIATE
    SELECT set_config('app.user', 'x', true)
one table after the other
    ALTER TABLE shop_order ADD x int; ALTER TABLE shop_order ADD y int
    ALTER TABLE shop_order ADD CONSTRAINT a FOREIGN KEY (shop_id) REFERENCES shop_shop NOT VALID;
        ALTER TABLE shop_order ADD CONSTRAINT b FOREIGN KEY (total) REFERENCES shop_shop NOT VALID
    CREATE TABLE a (o bigint REFERENCES shop_order (id), s bigint REFERENCES shop_shop (id))
    LOCK TABLE shop_order, shop_shop
    LOCK TABLE shop_order IN ROW EXCLUSIVE MODE; LOCK TABLE shop_shop IN ACCESS SHARE MODE
    ALTER TABLE shop_order ADD x int; UPDATE shop_shop SET name = 'a' WHERE id = 5
    ALTER TABLE shop_order ADD x int; COMMENT ON TABLE shop_shop IS 'x'
    CREATE TABLE fresh (id int); ALTER TABLE shop_order ADD x int; CREATE INDEX ON fresh (id)
concurrently
    CREATE INDEX CONCURRENTLY i ON shop_order (total)
    create unique index concurrently if not exists "i" on "shop_order" ("number")
    DROP INDEX CONCURRENTLY IF EXISTS i
    REINDEX INDEX CONCURRENTLY i
    REINDEX (CONCURRENTLY) TABLE shop_order
    REFRESH MATERIALIZED VIEW CONCURRENTLY totals
    VACUUM shop_order
    VACUUM (ANALYZE) shop_order
    ANALYZE shop_order
few rows
    UPDATE shop_order SET total = 0 WHERE id BETWEEN 5001 AND 15001
    UPDATE shop_order SET total = 0 WHERE id IN (SELECT id FROM shop_order LIMIT 10000)
    DELETE FROM shop_order WHERE id IN (SELECT id FROM shop_order WHERE total = 1 LIMIT 10)
    INSERT INTO shop_shop SELECT * FROM shop_order LIMIT 10
    SELECT * FROM shop_order LIMIT 10 FOR UPDATE SKIP LOCKED
    INSERT INTO shop_order (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET total = 1
    COPY (SELECT * FROM shop_order) TO '/tmp/x'
    COPY shop_order (total) FROM STDIN
    EXPLAIN (ANALYZE) SELECT 1 FROM shop_order WHERE id IN (SELECT id FROM shop_shop)
    UPDATE shop_order SET total = 0 WHERE id = 5
    update shop_order set total = 0 where "shop_order"."id" in (1, 2, 3) and total is null
    UPDATE shop_order SET total = 0 WHERE id = ANY (ARRAY[1, 2])
    UPDATE shop_order SET total = 0 WHERE id BETWEEN 1 AND 1000
    UPDATE shop_order SET total = 0 WHERE number = 'a' AND customer_id = 5
    UPDATE shop_order SET total = 0 WHERE id IN (SELECT id FROM shop_order LIMIT 100)
    UPDATE shop_order SET total = 0 WHERE id = (SELECT max(id) FROM shop_order)
    WITH b AS (SELECT id FROM shop_order LIMIT 100) UPDATE shop_order SET total = 0
        WHERE id IN (SELECT id FROM b)
    with "b" as materialized (select id from shop_order where total is null order by id limit 100
        for update skip locked) update shop_order o set total = 0 from b where o.id = b.id
    WITH b AS (SELECT id FROM shop_order LIMIT 100), c AS (SELECT id FROM b WHERE id > 5)
        DELETE FROM shop_order USING c WHERE c.id = shop_order.id
    WITH b AS (SELECT id FROM shop_order WHERE id BETWEEN 1 AND 100) DELETE FROM shop_order
        WHERE id IN (SELECT id FROM b)
    WITH gone AS (DELETE FROM shop_order WHERE id IN (SELECT id FROM shop_order LIMIT 100)
        RETURNING *) INSERT INTO kept_table SELECT * FROM gone
    UPDATE shop_order SET total = 0 FROM (SELECT id FROM shop_order LIMIT 100) b
        WHERE shop_order.id = b.id
    UPDATE shop_order o SET total = v.n FROM (VALUES (1, 5), (2, 6)) AS v (id, n) WHERE o.id = v.id
    UPDATE shop_order SET total = 0 WHERE ctid = ANY (ARRAY(SELECT ctid FROM shop_order LIMIT 100))
    UPDATE shop_order SET total = 0 WHERE (number, customer_id) IN (('a', 1), ('b', 2))
    UPDATE shop_order SET total = 0 WHERE id IN (SELECT id FROM shop_order FETCH FIRST 10 ROWS ONLY)
    UPDATE shop_order SET total = 0 WHERE id IN (SELECT id FROM shop_order LIMIT 10 * 100)
    UPDATE shop_order SET total = 0 WHERE id >= 1 AND id < 1000
    update shop_order set total = 0 where 5 < "id" and total is null and shop_order.id <= 5005
    UPDATE shop_order SET total = 0 WHERE (id > 5 AND id <= 1000000) AND id < 1000
    DELETE FROM shop_order o WHERE o.id >= 1::bigint AND o.id < 1 + 5 * 100
    SELECT id FROM shop_order WHERE id >= 1 AND id < 1000 FOR UPDATE
    UPDATE shop_order SET total = 0 WHERE id = 1 OR id = 2 OR id IN (3, 4)
    DO $$ DECLARE n int := 5; BEGIN UPDATE shop_order SET total = 0 WHERE id >= n AND id < n + 10;
        END $$
    DO $$ DECLARE n int := 5; BEGIN LOOP DELETE FROM shop_order WHERE id IN (SELECT id FROM
        shop_order LIMIT n); EXIT WHEN NOT FOUND; COMMIT; END LOOP; END $$
    INSERT INTO shop_shop (id) SELECT generate_series(1, 100)
    INSERT INTO shop_shop (id) SELECT 1 FROM generate_series(1, 50) a, generate_series(1, 50) b
    INSERT INTO shop_shop (id) SELECT g FROM generate_series(1, 100000000) g LIMIT 10
    INSERT INTO shop_shop (name) SELECT 'a' WHERE NOT EXISTS (SELECT 1 FROM shop_shop)
    INSERT INTO shop_shop SELECT * FROM (SELECT * FROM shop_order LIMIT 10) s
    INSERT INTO shop_shop (id) VALUES ((SELECT max(id) FROM shop_order))
    DELETE FROM shop_order WHERE 5 = id
    DELETE FROM django_migrations WHERE app = 'old'
    UPDATE django_content_type SET app_label = 'shop' WHERE app_label = 'old'
    INSERT INTO shop_shop (name) VALUES ('a'), ('b')
    INSERT INTO shop_shop (name) SELECT 'a' ON CONFLICT DO NOTHING
    INSERT INTO shop_shop (name) SELECT g::text FROM generate_series(1, 9) g
    INSERT INTO shop_shop (name) SELECT * FROM (VALUES ('a')) v
    SELECT 1 FROM shop_order WHERE id = 5 FOR UPDATE
around tables
    ALTER ROLE app SET statement_timeout = '1s'
    ALTER ROLE app LOGIN CREATEDB
    CREATE ROLE app; ALTER ROLE app PASSWORD 'x'
    GRANT app TO joe
    ALTER DOMAIN d RENAME CONSTRAINT a TO b
    ALTER DOMAIN d SET DEFAULT 5
    CREATE FOREIGN TABLE f (a int) SERVER s
    ALTER FOREIGN TABLE f ADD COLUMN x int
    ALTER TABLE shop_order ENABLE ALWAYS TRIGGER t
    CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1; SELECT f()
    CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END; SELECT f()
    COMMENT ON INDEX i IS 'x'
    ALTER INDEX i ATTACH PARTITION j
    ALTER FUNCTION f() SET search_path = x
    VALUES (1)
    LISTEN x
    COMMENT ON TABLE shop_order IS 'x'
    comment on column "shop_order"."total" is 'x'
    GRANT SELECT, INSERT ON shop_order TO app
    GRANT USAGE ON SCHEMA public TO app
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app
    CREATE EXTENSION IF NOT EXISTS citext
    CREATE SCHEMA IF NOT EXISTS audit
    CREATE SEQUENCE numbers OWNED BY shop_order.id
    ALTER SEQUENCE numbers RESTART WITH 5
    CREATE TYPE mood AS ENUM ('ok')
    ALTER TYPE mood ADD VALUE IF NOT EXISTS 'sad'
    CREATE DOMAIN d AS int CHECK (value > 0)
    CREATE VIEW orders AS SELECT * FROM shop_order
    CREATE OR REPLACE VIEW orders AS SELECT id FROM shop_order
    DROP VIEW IF EXISTS orders; CREATE VIEW orders AS SELECT id FROM shop_order
    DROP FUNCTION IF EXISTS f(); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'
    CREATE MATERIALIZED VIEW totals AS SELECT sum(total) FROM shop_order
    CREATE STATISTICS s ON total, note FROM shop_order
    CREATE POLICY p ON shop_order USING (true)
    EXPLAIN DELETE FROM shop_order
    DROP TRIGGER IF EXISTS t ON shop_order
    CREATE TRIGGER t BEFORE INSERT ON shop_order FOR EACH ROW EXECUTE FUNCTION f()
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.x := 1; RETURN NEW; END $$
    CREATE FUNCTION f(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN n := n + 1; RETURN n; END $$
    CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM shop_order'
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT f()
    CREATE FUNCTION f() RETURNS text LANGUAGE plpython3u AS 'return 1'
    BEGIN; ALTER TABLE shop_order ADD x int; COMMIT
blocks
    DO $$ BEGIN CREATE TYPE mood AS ENUM ('ok'); EXCEPTION WHEN duplicate_object THEN NULL; END $$
    DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'app') THEN
        CREATE ROLE app; END IF; END $$
    DO $$ DECLARE n int := 5; BEGIN UPDATE shop_order SET total = 0 WHERE id = n; END $$
    DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO app', current_database()); END $$
    DO $$ BEGIN RAISE NOTICE 'DROP TABLE shop_order'; END $$
    DO $$ BEGIN EXECUTE 'CREATE TABLE fresh (id int)'; UPDATE fresh SET id = 1; END $$
"""
