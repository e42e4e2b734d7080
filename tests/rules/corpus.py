"""Small SQL texts, each with what the rules must say about it: data, no test."""

from __future__ import annotations

from tests.rules.corpus_harmless import HARMLESS

# One entry: the rules that must speak, in any order ("" for none), then the texts. The tables are
# those of tests/rules/asking.py; shop_order is full and busy.
DANGEROUS = """
E141 create-index
    CREATE TABLE IF NOT EXISTS shop_order (id int); CREATE INDEX i ON shop_order (total)
    CREATE TABLE IF NOT EXISTS shop_order AS SELECT 1; CREATE INDEX i ON shop_order (total)
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
    ALTER TABLE shop_order ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (total)
    ALTER TABLE shop_order ADD EXCLUDE (total WITH =)
    DO $$ BEGIN EXECUTE $q$ALTER TABLE shop_order ALTER total SET NOT NULL$q$; END $$
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
    ALTER TABLE shop_order ADD x int GENERATED ALWAYS AS (total + 1) VIRTUAL NOT NULL
    alter table shop_order add x int not null generated always as (total + 1) virtual
    ALTER TABLE shop_order ADD x int GENERATED ALWAYS AS (total + 1) VIRTUAL CHECK (x > 0)
    ALTER TABLE shop_order ALTER CONSTRAINT f ENFORCED
E142 rewrites
    ALTER TABLE shop_order ADD COLUMN x int DEFAULT nextval('s')
    ALTER TABLE shop_order ADD x text DEFAULT gen_random_uuid()::text
    ALTER TABLE shop_order ALTER number TYPE char(20)
    ALTER TABLE shop_order ALTER price TYPE numeric(10, 2), ALTER total TYPE bigint
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
    CREATE TABLE IF NOT EXISTS shop_order (id int); DROP TABLE shop_order
    ALTER TABLE U&"shop\\005Forder" DROP COLUMN note
    /* nested /* comment */ still */ DROP TABLE shop_order
    CREATE TABLE audit.shop_order (id int); DROP TABLE shop_order
    ALTER TABLE shop_order DROP CONSTRAINT shop_order_pkey CASCADE
    DROP AGGREGATE f(int)
    DROP OPERATOR + (int, int)
    DROP CAST (int AS text)
    DROP DOMAIN d
    DROP FOREIGN TABLE f
    DROP PUBLICATION p
    DROP SERVER s CASCADE
    ALTER TABLE ONLY shop_order ADD a int NULL, ADD b int NOT NULL DEFAULT 1, DROP note
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
    ALTER MATERIALIZED VIEW m RENAME COLUMN a TO b
    ALTER VIEW v SET SCHEMA x
    ALTER DOMAIN d RENAME TO e
    ALTER EXTENSION postgis SET SCHEMA x
    ALTER PROCEDURE f() RENAME TO g
    ALTER DATABASE shop RENAME TO s
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
E146 bounds for show
    WITH b AS (SELECT id FROM shop_order) UPDATE shop_order SET total = 1
        WHERE id IN (SELECT id FROM b)
    WITH b AS (SELECT id FROM shop_order LIMIT ALL) UPDATE shop_order SET total = 1
        WHERE id IN (SELECT id FROM b)
    WITH b AS (SELECT id FROM shop_order LIMIT 1000000) DELETE FROM shop_order
        WHERE id IN (SELECT id FROM b)
    WITH b AS (SELECT id FROM shop_order LIMIT 10) UPDATE shop_order SET total = 1
        WHERE id IN (SELECT o.id FROM b JOIN shop_order o ON true)
    WITH b AS (SELECT id FROM shop_order LIMIT 10) UPDATE shop_order SET total = 1
        FROM b WHERE b.id = 5
    WITH b AS (SELECT id FROM shop_order LIMIT 10) UPDATE shop_order SET total = 1
        FROM b WHERE shop_order.customer_id = b.id
    WITH b AS (SELECT id FROM shop_order) DELETE FROM shop_order o USING b WHERE o.id = b.id
    UPDATE shop_order SET total = 1 WHERE id IN (SELECT id FROM shop_order LIMIT (SELECT 10))
    UPDATE shop_order SET total = 1 WHERE id IN (SELECT id FROM shop_order LIMIT 1e9)
    UPDATE shop_order SET total = 1 WHERE id IN (SELECT id FROM shop_order LIMIT 100 * 10000)
    UPDATE shop_order SET total = 1 WHERE id IN (SELECT id FROM shop_order LIMIT 0xFFFFFFFFFF)
    UPDATE shop_order SET total = 1 WHERE id IN
        (SELECT id FROM shop_order ORDER BY total FETCH FIRST 10 ROWS WITH TIES)
    UPDATE shop_order SET total = 1 WHERE id = ANY (ARRAY(SELECT id FROM shop_order))
    UPDATE shop_order SET total = 1 WHERE id > ANY (SELECT id FROM shop_order LIMIT 1)
    UPDATE shop_order o SET total = 1 WHERE id IN
        (SELECT max(id) FROM shop_shop s WHERE s.id = o.shop_id LIMIT 1)
    DELETE FROM shop_order o WHERE o.id = (SELECT min(p.id) FROM shop_order p
        WHERE p.number = o.number)
    UPDATE shop_order SET total = 1 FROM shop_shop s WHERE s.id = 5
    UPDATE shop_order SET total = 1 WHERE id >= 5
    UPDATE shop_order SET total = 1 WHERE id < 1000
    UPDATE shop_order SET total = 1 WHERE id >= 1 AND id < 10000000
    UPDATE shop_order SET total = 1 WHERE id >= 1 AND total < 100
    UPDATE shop_order SET total = 1 WHERE id >= 1 AND id > 100
    UPDATE shop_order SET total = 1 WHERE total >= 1 AND total < 100
    UPDATE shop_order SET total = 1 WHERE id >= 1 OR id < 100
    UPDATE shop_order SET total = 1 WHERE id >= 1 AND id <= total
    UPDATE shop_order SET total = 1 WHERE id BETWEEN 1 AND (SELECT max(id) FROM shop_order)
    UPDATE shop_order SET total = 1 WHERE id >= 1 AND id <= (SELECT max(id) FROM shop_order)
    UPDATE nobody_knows_this SET a = 1 WHERE uuid BETWEEN '0' AND 'f'
    UPDATE shop_order SET total = 1 WHERE id = 5 OR number = 'a'
    DO $$ DECLARE n int := 5; BEGIN UPDATE shop_order SET total = 0 WHERE id >= n; END $$
    INSERT INTO shop_shop (name) SELECT g::text FROM generate_series(1, 100000000) g
    INSERT INTO shop_shop (id) SELECT generate_series(1, 1e8::bigint)
    INSERT INTO shop_shop (id) SELECT generate_series(-1000000, 0, 5)
    INSERT INTO shop_shop (id) SELECT generate_series(1, 1000 * 1000)
    INSERT INTO shop_shop (id) SELECT 1 FROM generate_series(1, 5000) a, generate_series(1, 5000) b
    INSERT INTO shop_shop (id) WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n
        WHERE i < 100000000) SELECT i FROM n
    WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100000000)
        INSERT INTO shop_shop (id) SELECT i FROM n
    WITH b AS (SELECT * FROM shop_order) INSERT INTO shop_shop SELECT * FROM b
    INSERT INTO shop_shop (id) SELECT unnest(ARRAY(SELECT id FROM shop_order))
    INSERT INTO shop_shop SELECT * FROM shop_order UNION ALL SELECT * FROM shop_order LIMIT NULL
E146 writes
    COPY (DELETE FROM shop_order RETURNING *) TO STDOUT
    COPY (UPDATE shop_order SET total = 1 RETURNING id) TO '/tmp/x'
    SELECT * FROM shop_order WHERE id IN (SELECT id FROM shop_shop FOR UPDATE)
    SELECT * FROM (SELECT id FROM shop_order FOR SHARE) s
    CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC DELETE FROM shop_order; SELECT 1;
            END; SELECT f()
    UPDATE shop_order SET total = 1 WHERE id BETWEEN 1 AND 100000000000
    UPDATE shop_order SET total = 1 WHERE id BETWEEN -1000000 AND 1000000
    UPDATE shop_order SET total = 1 WHERE id IN (SELECT id FROM shop_order LIMIT ALL)
    UPDATE shop_order SET total = 1 WHERE id IN (SELECT id FROM shop_order LIMIT 100000000)
    INSERT INTO shop_shop SELECT * FROM shop_order LIMIT 10000000
    SELECT 1 FROM shop_order LIMIT 1000000 FOR UPDATE
    DELETE FROM django_migrations
    UPDATE django_content_type SET app_label = 'x'
    UPDATE shop_order SET total = 1 WHERE true
    UPDATE shop_order SET total = 1 WHERE id = id
    UPDATE shop_order SET total = 1 WHERE id IS NOT NULL
    UPDATE shop_order SET total = 1 WHERE id <> 5
    UPDATE shop_order SET total = 1 WHERE EXISTS (SELECT 1)
    UPDATE shop_order SET total = 1 WHERE CURRENT OF c
    UPDATE ONLY shop_order SET total = 1
    DELETE FROM shop_order a USING shop_order b WHERE a.id < b.id
    WITH a AS (WITH b AS (DELETE FROM shop_order RETURNING id) SELECT * FROM b) SELECT 1
    WITH RECURSIVE x AS (SELECT 1) UPDATE shop_order SET total = 1
    WITH x AS (INSERT INTO shop_shop SELECT * FROM shop_order RETURNING *) SELECT 1
    INSERT INTO shop_order (total) TABLE shop_shop
    DO $$ BEGIN EXECUTE 'UPDATE shop_order SET total = $1' USING 5; END $$
    DO $$ DECLARE x int; BEGIN DELETE FROM shop_order RETURNING id INTO x; END $$
    DO $$ BEGIN WHILE true LOOP DELETE FROM shop_order WHERE id IN (SELECT id FROM shop_order
            LIMIT 10); END LOOP; END $$
    DELETE FROM pg_attribute WHERE attrelid = 1
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
E147 E150 no triggers
    SET session_replication_role = replica
    SET session_replication_role TO 'replica'; DELETE FROM shop_order WHERE id = 5
    SELECT set_config('session_replication_role', 'replica', false)
E150 no triggers
    SET LOCAL session_replication_role = replica; DELETE FROM shop_order WHERE id = 5
    SET session_replication_role = replica; DELETE FROM shop_order WHERE id = 5;
        RESET session_replication_role
    set local "session_replication_role" to 'REPLICA'
    SELECT set_config('session_replication_role', 'replica', true)
    DO $$ BEGIN SET LOCAL session_replication_role = replica; END $$
    ALTER ROLE app SET session_replication_role = replica
    ALTER ROLE app SET default_transaction_read_only = on
E150 incompatible
    ALTER TABLE shop_order ENABLE REPLICA TRIGGER t
    ALTER ROLE app NOLOGIN
    alter user app password 'x'
    ALTER ROLE app CONNECTION LIMIT 5 NOBYPASSRLS
    REVOKE app FROM joe
    REVOKE ALL ON SCHEMA public FROM PUBLIC
    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM app
    CREATE POLICY p ON shop_order AS RESTRICTIVE USING (false)
    ALTER POLICY p ON shop_order USING (false)
    ALTER TABLE shop_order FORCE ROW LEVEL SECURITY
    ALTER TABLE shop_order ADD COLUMN x int[] NOT NULL
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
    ALTER EXTENSION postgis UPDATE
    ALTER EXTENSION postgis UPDATE TO '3'
    ALTER TYPE mood ADD ATTRIBUTE x int CASCADE
    DROP ROLE app
    REASSIGN OWNED BY a TO b
    ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b
    ALTER SUBSCRIPTION s DISABLE
    PREPARE q AS DELETE FROM shop_order
    DECLARE c CURSOR FOR SELECT * FROM shop_order
    SELECT dblink_exec('x', 'DROP TABLE y')
    SELECT query_to_xml('DELETE FROM shop_order', true, true, '')
    SELECT DropGeometryColumn('shop_order', 'g')
    DO $$ DECLARE s text := 'DROP TABLE shop_order'; BEGIN EXECUTE s; END $$
    DO $$ BEGIN EXECUTE concat('DROP TABLE ', 'shop_order'); END $$
    ALTER DATABASE shop SET default_transaction_read_only = on
    CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN audit.g(); SELECT f()
    SELECT pg_sleep(100)
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
