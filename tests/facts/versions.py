"""What each version of PostgreSQL brought, in SQL that it runs and the ones before refuse: data."""

from __future__ import annotations

# The tables are those of tests/facts/statements.py, and ``moments`` with two ranges.
TABLES = """
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TABLE moments (a int, p tsrange, UNIQUE (a));
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
    """,
    16: """
        CREATE TABLE n (a text STORAGE external)
        SELECT any_value(id) FROM t
        SELECT array_shuffle(ARRAY[1, 2])
        SELECT pg_catalog.random_normal()
    """,
    17: """
        MERGE INTO t USING other o ON t.id = o.id WHEN MATCHED THEN DO NOTHING RETURNING t.id
        MERGE INTO t USING other o ON t.id = o.id WHEN NOT MATCHED BY SOURCE THEN DO NOTHING
        SELECT to_bin(5)
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
    """,
}
VERSIONED = [
    (since, line.strip()) for since, lines in _NEW.items() for line in lines.strip().splitlines()
]
