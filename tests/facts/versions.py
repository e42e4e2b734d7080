"""What each version of PostgreSQL brought, in SQL that it runs and the ones before refuse: data."""

from __future__ import annotations

# The tables are those of tests/facts/statements.py, and ``moments`` with two ranges.
TABLES = """
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TABLE moments (a int, p tsrange, UNIQUE (a));
CREATE VIEW seen AS SELECT 1 AS a;
ALTER TABLE t ADD COLUMN twice int GENERATED ALWAYS AS (a * 2) STORED;
"""
_NEW = {
    15: """
        CREATE UNIQUE INDEX ON t (a) NULLS NOT DISTINCT
        ALTER TABLE t ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (a)
        CREATE TABLE n (a int UNIQUE NULLS NOT DISTINCT)
        CREATE TABLE n (a int, FOREIGN KEY (a) REFERENCES other (id) ON DELETE SET NULL (a))
        CREATE VIEW v WITH (security_invoker = true) AS SELECT * FROM t
        MERGE INTO t USING other o ON t.id = o.id WHEN MATCHED THEN DO NOTHING
        ALTER TABLE t SET ACCESS METHOD heap
        CREATE PUBLICATION pub FOR TABLE t WHERE (id > 5)
        CREATE PUBLICATION pub FOR TABLE t (id)
        CREATE PUBLICATION pub FOR TABLES IN SCHEMA public
        ALTER VIEW seen SET (security_invoker = true)
        GRANT SET ON PARAMETER work_mem TO pg_monitor
        COPY t (id) FROM PROGRAM 'echo id' (FORMAT csv, HEADER match)
        SELECT regexp_like('a', 'b')
        SELECT regexp_count('a', 'b')
        SELECT regexp_instr('a', 'b')
        SELECT regexp_substr('a', 'b')
        SELECT regexp_replace('a', 'b', 'c', 1, 2)
        SET recursive_worktable_factor = 5
        GRANT pg_checkpoint TO pg_monitor
    """,
    16: """
        CREATE TABLE n (a text STORAGE external)
        SELECT any_value(id) FROM t
        SELECT array_shuffle(ARRAY[1, 2])
        SELECT pg_catalog.random_normal()
        SELECT '{}' IS JSON
        ALTER TABLE t ADD CONSTRAINT k CHECK (c IS JSON OBJECT) NOT VALID
        SELECT JSON_OBJECT('a': 1)
        SELECT JSON_ARRAY(1, 2)
        SELECT JSON_ARRAY(SELECT id FROM t)
        SELECT JSON_ARRAYAGG(id) FROM t
        SELECT JSON_OBJECTAGG('a': id) FROM t
        SELECT a FROM (SELECT 1 AS a)
        SELECT date_add(now(), interval '1 day', 'UTC')
        SELECT * FROM generate_series(now(), now(), interval '1 day', 'UTC')
        SELECT pg_input_is_valid('1', 'integer')
        COPY t (id, c) FROM '/dev/null' (DEFAULT 'x')
        EXPLAIN (GENERIC_PLAN) SELECT id FROM t
        ANALYZE (BUFFER_USAGE_LIMIT '1MB') t
        CREATE STATISTICS ON a, n FROM t
        GRANT pg_monitor TO pg_read_all_data WITH INHERIT TRUE
        GRANT pg_monitor TO pg_read_all_data WITH SET FALSE
        GRANT pg_use_reserved_connections TO pg_monitor
        SET debug_parallel_query = off
        UPDATE t SET a = 0x1F WHERE id = 1
        UPDATE t SET a = 0O17 WHERE id = 1
        SELECT id FROM t WHERE a IN (1_000, 0b11)
        DO $$ BEGIN UPDATE t SET a = 1_000 WHERE id = 1; END $$
        SELECT 1_0.5 + 2
        SELECT set_config('vacuum_buffer_usage_limit', '1MB', true)
    """,
    17: """
        MERGE INTO t USING other o ON t.id = o.id WHEN MATCHED THEN DO NOTHING RETURNING t.id
        MERGE INTO t USING other o ON t.id = o.id WHEN NOT MATCHED BY SOURCE THEN DO NOTHING
        SELECT to_bin(5)
        SELECT JSON_VALUE('{}', '$.a')
        SELECT JSON_QUERY('{}', '$.a')
        SELECT JSON_EXISTS('{}', '$.a')
        UPDATE t SET a = 1 WHERE id = 1 AND JSON_EXISTS('{}', '$.a')
        SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a int PATH '$'))
        SELECT JSON('{}' WITH UNIQUE KEYS)
        SELECT JSON_SCALAR(1)
        SELECT JSON_SERIALIZE('{}')
        SELECT now() AT LOCAL
        SELECT random(1, 6)
        SELECT uuid_extract_version(gen_random_uuid())
        GRANT MAINTAIN ON t TO pg_monitor
        GRANT pg_maintain TO pg_monitor
        SET LOCAL transaction_timeout = '5s'
        ALTER ROLE CURRENT_USER SET transaction_timeout = '5s'
        ALTER TABLE t ALTER a SET STATISTICS DEFAULT
        ALTER TABLE t SET ACCESS METHOD DEFAULT
        EXPLAIN (MEMORY) SELECT 1
        COPY t (id) FROM '/dev/null' (ON_ERROR ignore)
        COPY t (id) FROM '/dev/null' (FORMAT csv, FORCE_NULL *)
        CREATE COLLATION plain (PROVIDER = builtin, LOCALE = 'C')
        ALTER TABLE t ALTER twice SET EXPRESSION AS (a * 3)
    """,
    18: """
        ALTER TABLE t ADD z int GENERATED ALWAYS AS (a + 1) VIRTUAL
        CREATE TABLE n (a int, b int GENERATED ALWAYS AS (a) VIRTUAL)
        ALTER TABLE t ADD CONSTRAINT k NOT NULL a
        ALTER TABLE t ADD CONSTRAINT k NOT NULL a NOT VALID
        CREATE TABLE n (a int, CONSTRAINT k NOT NULL a)
        ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT ENFORCED
        ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (ref) REFERENCES other (id) NOT ENFORCED
        ALTER TABLE t ADD z int CHECK (z > 0) NOT ENFORCED
        CREATE TABLE n (a int, p tsrange, UNIQUE (a, p WITHOUT OVERLAPS))
        UPDATE t SET a = 1 WHERE id = 1 RETURNING WITH (OLD AS was) was.a
        SELECT uuidv7()
        SELECT casefold('A')
        SELECT array_sort(ARRAY[2, 1])
        SELECT json_strip_nulls('{}', true)
        UPDATE t SET a = 1 WHERE id = 1 RETURNING old.a, new.a
        INSERT INTO t (id) VALUES (-1) RETURNING new.id
        DELETE FROM t WHERE id = 1 RETURNING old.*
        COPY t (id) FROM '/dev/null' (ON_ERROR ignore, REJECT_LIMIT 5)
        ANALYZE ONLY t
        ALTER DEFAULT PRIVILEGES GRANT SELECT ON LARGE OBJECTS TO pg_monitor
        CREATE PUBLICATION pub FOR TABLE t WITH (publish_generated_columns = stored)
        ALTER TABLE t ADD CONSTRAINT k UNIQUE (a), ADD CONSTRAINT l NOT NULL b NO INHERIT
        ALTER TABLE t SET (autovacuum_vacuum_max_threshold = 5)
        SET file_copy_method = copy
        GRANT pg_signal_autovacuum_worker TO pg_monitor
    """,
}
VERSIONED = [
    (since, line.strip()) for since, lines in _NEW.items() for line in lines.strip().splitlines()
]

# What looks like it and is as old as PostgreSQL 14; a server must run it.
OLDER = [
    line.strip()
    for line in """
        SELECT regexp_replace('a', 'b', 'c', 'g')
        SELECT a FROM (SELECT 1 AS a) s
        SELECT json_object(ARRAY['a', '1'])
        SELECT json_agg(id) FROM t
        SELECT '0x1F', 'a_1_0'::text AS "0x1", 0 AS x1, 1000 AS _0, 1e3 /* 1_000 */ -- 0b1
        SELECT now() AT TIME ZONE 'UTC'
        SELECT random()
        SELECT JSON('{}')
        SELECT json_strip_nulls('{}')
        SELECT * FROM generate_series(1, 3)
        GRANT ALL ON t TO pg_monitor
        GRANT pg_read_all_data TO pg_monitor WITH ADMIN OPTION
        UPDATE t AS old SET a = 1 WHERE id = 1 RETURNING old.a
        DELETE FROM t WHERE id = 1 RETURNING t.a
        CREATE STATISTICS s ON a, n FROM t
        COPY t (id) FROM '/dev/null' (FORMAT csv, HEADER true)
        ALTER VIEW seen SET (security_barrier = true)
        ANALYZE t
        SET LOCAL idle_session_timeout = 0
        SELECT set_config('statement_timeout', '5s', true)
        ALTER TABLE t ALTER a SET STATISTICS 50
        CREATE UNIQUE INDEX ON t (a)
        CREATE TABLE n (a int NOT NULL, b int CHECK (b > 0), FOREIGN KEY (a) REFERENCES other (id))
    """.strip().splitlines()
]
