"""Small SQL texts, each with what the rules must say about it: data, no test."""

from __future__ import annotations

# One entry: the rules that must speak, in any order ("" for none), then the texts. The tables are
# those of tests/rules/asking.py; shop_order is full and busy.
DANGEROUS = """
E141 create-index
    CREATE INDEX i ON shop_order (total)
    create index on "shop_order" using btree ("total")
    CREATE UNIQUE INDEX i ON public.shop_order (number) WHERE total > 0
    /* concurrently */ CREATE INDEX i ON shop_order (total) -- CONCURRENTLY
    CREATE INDEX IF NOT EXISTS i
        ON   shop_order
        (lower(number), total DESC) INCLUDE (note)
    CREATE INDEX i ON nobody_knows_this (x)
    CREATE INDEX "concurrently" ON shop_order (total)
    CREATE INDEX i ON audit.log (x)
E141 drop-index
    DROP INDEX i
    drop index if exists "i" cascade
    DROP INDEX i, j
E141 reindex
    REINDEX TABLE shop_order
    REINDEX INDEX i
    reindex (verbose) table shop_order
    REINDEX (CONCURRENTLY false) TABLE shop_order
E141 checked at once
    ALTER TABLE shop_order ADD CONSTRAINT k CHECK (total > 0)
    alter table shop_order add check (total > 0)
    ALTER TABLE ONLY "shop_order" ADD CONSTRAINT f FOREIGN KEY (shop_id) REFERENCES shop_shop (id)
    ALTER TABLE shop_order ADD CONSTRAINT u UNIQUE (number)
    ALTER TABLE shop_order ADD PRIMARY KEY (id)
    ALTER TABLE shop_order ADD CONSTRAINT p PRIMARY KEY USING INDEX i
    ALTER TABLE shop_order ADD CONSTRAINT x EXCLUDE USING gist (total WITH =)
    ALTER TABLE shop_order ALTER COLUMN total SET NOT NULL
    alter table shop_order alter "total" set not null
    ALTER TABLE shop_order ADD CONSTRAINT n NOT NULL total
    ALTER TABLE shop_order ADD COLUMN x int UNIQUE
    ALTER TABLE shop_order ADD COLUMN x int CHECK (x > 0)
    ALTER TABLE shop_order ADD COLUMN x int DEFAULT 1 REFERENCES shop_shop (id)
    ALTER TABLE shop_order ADD COLUMN y int, ADD CONSTRAINT k CHECK (y > 0)
    ALTER TABLE shop_order ATTACH PARTITION shop_old FOR VALUES FROM (1) TO (2)
    ALTER DOMAIN d ADD CONSTRAINT k CHECK (value > 0)
    ALTER DOMAIN d SET NOT NULL
    ALTER DOMAIN d VALIDATE CONSTRAINT k
E142 rewrites
    ALTER TABLE shop_order ALTER COLUMN total TYPE bigint
    alter table shop_order alter total set data type bigint using total::bigint
    ALTER TABLE shop_order ALTER number TYPE varchar(10)
    ALTER TABLE shop_order ALTER number TYPE varchar(40) COLLATE "C"
    ALTER TABLE shop_order ALTER price TYPE numeric(12, 4)
    ALTER TABLE nobody_knows_this ALTER x TYPE text
    ALTER TABLE shop_order ADD COLUMN x uuid DEFAULT gen_random_uuid()
    ALTER TABLE shop_order ADD x timestamptz DEFAULT clock_timestamp()
    ALTER TABLE shop_order ADD x int DEFAULT my_own()
    ALTER TABLE shop_order ADD x float DEFAULT (random() * 5)
    ALTER TABLE shop_order ADD x serial
    ALTER TABLE shop_order ADD x bigint GENERATED ALWAYS AS IDENTITY
    ALTER TABLE shop_order ADD x int GENERATED ALWAYS AS (total + 1) STORED
    ALTER TABLE shop_order ALTER x SET EXPRESSION AS (total + 2)
    CREATE DOMAIN d AS int CHECK (value > 0); ALTER TABLE shop_order ADD x d
    ALTER TABLE shop_order SET UNLOGGED
    ALTER TABLE shop_order SET TABLESPACE fast
    ALTER TABLE shop_order SET ACCESS METHOD heap
    CLUSTER shop_order USING i
    REFRESH MATERIALIZED VIEW totals
E143 drops
    DROP TABLE shop_order
    drop table if exists "shop_order" cascade
    DROP TABLE public.shop_order, nobody_knows_this
    ALTER TABLE shop_order DROP COLUMN note
    alter table if exists shop_order drop if exists note cascade
    DROP VIEW orders
    DROP MATERIALIZED VIEW totals
    DROP SEQUENCE numbers
    DROP TYPE mood
    DROP FUNCTION total(int)
    DROP SCHEMA audit CASCADE
    DROP EXTENSION citext
    ALTER TABLE shop_order DETACH PARTITION shop_old
    CREATE TABLE fresh (id int); DROP TABLE shop_order
E144 renames
    ALTER TABLE shop_order RENAME TO orders
    alter table shop_order rename "total" to amount
    ALTER TABLE shop_order RENAME COLUMN total TO amount
    ALTER TABLE shop_order SET SCHEMA audit
    ALTER VIEW orders RENAME TO o
    ALTER SEQUENCE numbers RENAME TO n
    ALTER TYPE mood RENAME TO feeling
    ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'
    ALTER SCHEMA audit RENAME TO a
    CREATE TABLE fresh (id int); ALTER TABLE shop_order RENAME TO old; ALTER TABLE fresh RENAME TO x
E145 empties
    TRUNCATE shop_order
    truncate table only "shop_order" restart identity cascade
    TRUNCATE fresh, shop_order
E146 writes
    UPDATE shop_order SET total = 0
    update "shop_order" set "total" = 0 where "total" is null
    UPDATE shop_order SET total = 0 WHERE id > 5
    UPDATE shop_order SET total = 0 WHERE id = 5 OR total IS NULL
    UPDATE shop_order SET total = 0 WHERE id IN (SELECT id FROM shop_order WHERE total IS NULL)
    UPDATE shop_order SET total = 0 WHERE number = 'a'
    UPDATE shop_order o SET total = c.id FROM shop_customer c WHERE c.id = o.customer_id
    UPDATE shop_order SET total = 0 WHERE NOT id = 5
    DELETE FROM shop_order
    delete from shop_order where total = 0
    DELETE FROM shop_order USING shop_customer c WHERE c.id = customer_id
    INSERT INTO shop_order (total) SELECT id FROM shop_customer
    WITH gone AS (DELETE FROM shop_order RETURNING id) SELECT 1
    MERGE INTO shop_order o USING shop_shop s ON s.id = o.shop_id WHEN MATCHED THEN DELETE
    SELECT 1 FROM shop_order FOR UPDATE
    DO $$ BEGIN UPDATE shop_order SET total = 0; END $$
    DO $x$ DECLARE r record; BEGIN FOR r IN SELECT id FROM shop_order LOOP
        UPDATE shop_order SET total = 0 WHERE id = r.id; END LOOP; END $x$
    CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM shop_order'; SELECT f()
    CREATE PROCEDURE f(n int) LANGUAGE plpgsql AS $$ BEGIN n := 1; DELETE FROM shop_order; END $$;
        CALL f(2)
    EXPLAIN ANALYZE DELETE FROM shop_order
    EXPLAIN (ANALYZE true) DELETE FROM shop_order
E147 timeouts
    SET lock_timeout = '50ms'
    set session statement_timeout to 0
    SET search_path = audit
    SET ROLE admin
    SET session_replication_role = replica
    SELECT set_config('statement_timeout', '0', false)
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE
    SET statement_timeout = '5s'; RESET lock_timeout
    SET LOCAL lock_timeout = '5s'; ALTER TABLE shop_order ADD x int
    SET LOCAL lock_timeout = 0; ALTER TABLE shop_order ADD x int
    SET lock_timeout = 3000; ALTER TABLE shop_order ADD x int; RESET lock_timeout
    SET lock_timeout = '1min'; ALTER TABLE shop_order ADD x int; RESET ALL
E148 transactions
    COMMIT
    BEGIN
    ROLLBACK; BEGIN
    CREATE INDEX CONCURRENTLY i ON shop_order (total); SELECT 1
    DROP INDEX CONCURRENTLY i; DROP INDEX CONCURRENTLY j
    VACUUM shop_order; ANALYZE shop_order
    SELECT 1; DO $$ BEGIN COMMIT; END $$
E142 E148 full
    VACUUM FULL shop_order; SELECT 1
    SELECT 1; VACUUM (FULL, ANALYZE) shop_order
E149 held
    ALTER TABLE shop_order ADD CONSTRAINT k CHECK (total > 0) NOT VALID;
        ALTER TABLE shop_order VALIDATE CONSTRAINT k
    ALTER TABLE shop_order ADD x int; CREATE TABLE y AS SELECT * FROM shop_order
    ALTER TABLE shop_order ADD x int, VALIDATE CONSTRAINT k
    LOCK TABLE shop_order; COPY shop_order TO '/tmp/x'
E150 incompatible
    ALTER TABLE shop_order ADD x int NOT NULL
    alter table shop_order add column "x" text not null default null
    ALTER TABLE shop_order ALTER status DROP DEFAULT
    ALTER TABLE shop_order ALTER nobody_knows_it DROP DEFAULT
    ALTER TABLE shop_order DISABLE TRIGGER USER
    ALTER TABLE shop_order ENABLE ROW LEVEL SECURITY
    ALTER TABLE shop_order OWNER TO somebody
    REVOKE SELECT ON shop_order FROM app
    CREATE RULE r AS ON INSERT TO shop_order DO INSTEAD NOTHING
    DROP POLICY p ON shop_order
    ALTER TABLE shop_order DISABLE RULE r
E151 two tables
    ALTER TABLE shop_order ADD CONSTRAINT a FOREIGN KEY (shop_id) REFERENCES shop_shop NOT VALID;
        ALTER TABLE shop_order ADD CONSTRAINT b FOREIGN KEY (customer_id) REFERENCES shop_customer
        NOT VALID
    ALTER TABLE shop_order ADD x int; ALTER TABLE shop_shop ADD x int
    alter table "shop_order" add x int; create trigger t before insert on "shop_shop"
        for each row execute function f()
    CREATE TABLE a (o bigint REFERENCES shop_order (id));
        CREATE TABLE b (o bigint REFERENCES shop_shop (id))
    DO $$ BEGIN ALTER TABLE shop_order ADD x int; ALTER TABLE kept_table ADD x int; END $$
    LOCK TABLE shop_order; LOCK TABLE shop_shop IN SHARE MODE
    CREATE TRIGGER t BEFORE INSERT ON shop_order FOR EACH ROW EXECUTE FUNCTION f();
        COMMENT ON TABLE shop_shop IS 'x'; ALTER TABLE shop_shop ADD x int
    CREATE TABLE hist (o int, s int); ALTER TABLE hist ADD FOREIGN KEY (o) REFERENCES shop_order;
        ALTER TABLE hist ADD FOREIGN KEY (s) REFERENCES shop_shop
    CREATE TABLE hist (o bigint); ALTER TABLE hist ADD s bigint REFERENCES shop_shop;
        ALTER TABLE hist ADD FOREIGN KEY (o) REFERENCES shop_order NOT VALID
E119 cannot be judged
    SELEC 1
    ALTER TABEL shop_order ADD x int
    UPDATE shop_order SET total = 0 WHERE (id = 1
    SELECT my_own(5)
    SELECT audit.my_own(id) FROM shop_shop
    CALL my_own()
    SELECT pg_terminate_backend(5)
    DO $$ BEGIN PERFORM my_own(); END $$
    DO $$ BEGIN EXECUTE my_own_text; END $$
    DO $$ BEGIN EXECUTE format('DROP %s', x); END $$
    DO LANGUAGE plpython3u $$ pass $$
    PREPARE TRANSACTION 'x'
    COPY shop_order FROM PROGRAM 'cat'
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELEC 1'
    DROP OWNED BY app
E143 E119 blocks
    DO $$ BEGIN EXECUTE 'DROP TABLE shop_order'; EXECUTE x; END $$
E143 blocks
    DO $$ BEGIN IF true THEN EXECUTE 'DROP TABLE shop_order'; END IF; END $$
    DO $$ DECLARE t text := 'x'; BEGIN EXECUTE format('DROP TABLE %I', t); END $$
    DO $$ BEGIN EXECUTE 'ALTER TABLE ' || quote_ident(current_user) || ' DROP COLUMN x'; END $$
    DO $$ DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT 1' LOOP DROP TABLE shop_order; END LOOP;
        END $$
"""

HARMLESS = """
comments and nothing
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
    SET LOCAL lock_timeout = '100ms'; ALTER TABLE shop_order ADD x int
    SET LOCAL statement_timeout = '5s'; SELECT 1
    SET statement_timeout = 0; SELECT 1; RESET statement_timeout
    SET LOCAL search_path = audit
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
    UPDATE shop_order SET total = 0 WHERE id = 5
    update shop_order set total = 0 where "shop_order"."id" in (1, 2, 3) and total is null
    UPDATE shop_order SET total = 0 WHERE id = ANY (ARRAY[1, 2])
    UPDATE shop_order SET total = 0 WHERE id BETWEEN 1 AND 1000
    UPDATE shop_order SET total = 0 WHERE number = 'a' AND customer_id = 5
    UPDATE shop_order SET total = 0 WHERE id IN (SELECT id FROM shop_order LIMIT 100)
    UPDATE shop_order SET total = 0 WHERE id = (SELECT max(id) FROM shop_order)
    DELETE FROM shop_order WHERE 5 = id
    DELETE FROM django_migrations WHERE app = 'old'
    UPDATE django_content_type SET app_label = 'shop' WHERE app_label = 'old'
    INSERT INTO shop_shop (name) VALUES ('a'), ('b')
    INSERT INTO shop_shop (name) SELECT 'a' ON CONFLICT DO NOTHING
    INSERT INTO shop_shop (name) SELECT g::text FROM generate_series(1, 9) g
    INSERT INTO shop_shop (name) SELECT * FROM (VALUES ('a')) v
    SELECT 1 FROM shop_order WHERE id = 5 FOR UPDATE
around tables
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


def _entries(text: str) -> list[tuple[str, str]]:
    """Shape: [(head, SQL)]; a line that is indented twice goes on with the text before it."""
    found: list[tuple[str, str]] = []
    head = ""
    for line in text.strip("\n").splitlines():
        if line.startswith("        "):
            found[-1] = (head, f"{found[-1][1]}\n{line.strip()}")
        elif line.startswith("    "):
            found.append((head, line.strip()))
        else:
            head = line
    return found


def _rules(head: str) -> set[str]:
    return {word for word in head.split() if word[0] == "E" and word[1:].isdigit()}


DANGEROUS_SQL = [(sql, _rules(head)) for head, sql in _entries(DANGEROUS)]
HARMLESS_SQL = [sql for _, sql in _entries(HARMLESS)]
