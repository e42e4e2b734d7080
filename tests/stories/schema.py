"""A schema as PostgreSQL itself tells it, to be compared with another one."""

from __future__ import annotations

from typing import Any

from tests.projects import Project

QUERIES = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relname LIKE 'shop_%' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    """,
    "indexes": """
        SELECT CASE WHEN i.indisunique AND NOT i.indisprimary
                    THEN replace(pg_get_indexdef(i.indexrelid), n.relname, 'its name')
                    ELSE pg_get_indexdef(i.indexrelid) END, i.indisvalid, i.indisready
        FROM pg_index i
        JOIN pg_class n ON n.oid = i.indexrelid
        JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname LIKE 'shop_%'
    """,
    "constraints": """
        SELECT c.relname, CASE WHEN o.contype <> 'u' THEN o.conname END,
               pg_get_constraintdef(o.oid), o.convalidated
        FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
        WHERE c.relname LIKE 'shop_%' AND o.contype <> 'n'
    """,
    "triggers": "SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal",
    "functions": "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "sequences": "SELECT relname::text FROM pg_class WHERE relkind = 'S' AND relname LIKE 'shop_%'",
}


def schema(project: Project) -> dict[str, list[Any]]:
    """
    Columns, defaults, indexes, constraints with their validity, and what must not be left.

    The name of a unique constraint is left out: in CREATE TABLE Django leaves it to PostgreSQL,
    in ALTER TABLE it makes one up, and it finds either by looking.
    """
    return {what: sorted(map(str, project.sql(query))) for what, query in QUERIES.items()}
