"""A schema as PostgreSQL itself tells it, to be compared with another one."""

from __future__ import annotations

import re

from tests.projects import Project

Schema = dict[str, list[str]]

# Ours and Django's bookkeeping is no part of the models.
OURS = "NOT (c.relname LIKE 'safemigrate%' OR c.relname LIKE 'django_%')"
WHERE = f"c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)' AND {OURS}"
QUERIES = {
    "tables": f"""
        SELECT c.oid::regclass, c.relkind, c.relpersistence, c.relispartition, t.spcname,
               obj_description(c.oid, 'pg_class')
        FROM pg_class c LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace
        WHERE c.relkind NOT IN ('i', 'I', 'S') AND {WHERE}
    """,
    "columns": f"""
        SELECT c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), o.collname,
               col_description(c.oid, a.attnum)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        LEFT JOIN pg_collation o ON o.oid = a.attcollation
        WHERE c.relkind NOT IN ('i', 'I', 'S') AND a.attnum > 0 AND NOT a.attisdropped AND {WHERE}
    """,
    "indexes": f"""
        SELECT pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready, i.indisclustered,
               i.indisreplident, t.spcname
        FROM pg_index i
        JOIN pg_class n ON n.oid = i.indexrelid
        LEFT JOIN pg_tablespace t ON t.oid = n.reltablespace
        JOIN pg_class c ON c.oid = i.indrelid WHERE c.relkind <> 't' AND {WHERE}
    """,
    "constraints": f"""
        SELECT c.oid::regclass, o.conname, o.contype, pg_get_constraintdef(o.oid), o.convalidated
        FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
        WHERE o.contype <> 'n' AND {WHERE}
    """,
    "sequences": f"""
        SELECT c.oid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax,
               s.seqcycle, d.refobjid::regclass, a.attname, d.deptype
        FROM pg_class c JOIN pg_sequence s ON s.seqrelid = c.oid
        LEFT JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass
                              AND d.refobjsubid > 0
        LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE {WHERE}
    """,
    "triggers": "SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE NOT tgisinternal",
    "functions": """
        SELECT p.oid::regprocedure FROM pg_proc p
        WHERE p.pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
    """,
    "rules": f"""
        SELECT r.rulename, c.oid::regclass FROM pg_rewrite r
        JOIN pg_class c ON c.oid = r.ev_class WHERE {WHERE}
    """,
}


def schema(project: Project) -> Schema:
    """
    Columns, defaults, indexes, constraints with their validity, and what must not be left.

    The names of a field's own UNIQUE and CHECK are left out: in CREATE TABLE Django leaves them to
    PostgreSQL, in ALTER TABLE it makes them up, and it finds either by looking.
    """
    with project.connect() as session:
        found = {what: session.execute(query).fetchall() for what, query in QUERIES.items()}
    told = {
        what: [_named(" | ".join(map(str, row))) for row in rows] for what, rows in found.items()
    }
    return {what: sorted(rows) for what, rows in told.items()}


def _named(line: str) -> str:
    """With ``shop_order_code_key`` and ``shop_order_code_1a2b3c4d_uniq`` as one name."""
    if "UNIQUE" in line:
        line = re.sub(r"\b(\w+?)(?:_[0-9a-f]{8}_uniq|_key)\b", r"\1_unique", line)
    return re.sub(r"\b(\w+?)_[0-9a-f]{8}_check\b", r"\1_check", line)


def differences(found: Schema, wanted: Schema) -> list[str]:
    """What is there and should not be, and what is missing; empty if both are one schema."""
    lines = []
    for what in wanted:
        lines += [f"{what}: found   {row}" for row in found[what] if row not in wanted[what]]
        lines += [f"{what}: missing {row}" for row in wanted[what] if row not in found[what]]
    return lines
