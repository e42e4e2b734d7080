"""What the database looks like when all is done, and what is left to remark about it."""

from __future__ import annotations

from typing import Any

import psycopg

COLUMNS = """
    SELECT table_name || '.' || column_name || ' ' || data_type
           || coalesce('(' || character_maximum_length || ')', '')
           || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END
           || coalesce(' DEFAULT ' || column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name LIKE 'shop\\_%'
"""
INDEXES = """
    SELECT pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
    FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
    WHERE relname LIKE 'shop\\_%' AND relnamespace = 'public'::regnamespace
"""
# Without NOT NULL, which is among the columns and is a constraint only on newer servers.
CONSTRAINTS = """
    SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(pg_constraint.oid)
    FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
    WHERE relname LIKE 'shop\\_%' AND contype <> 'n' AND relnamespace = 'public'::regnamespace
"""
TRIGGERS = """
    SELECT pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger
    JOIN pg_class ON pg_class.oid = tgrelid WHERE relname LIKE 'shop\\_%' AND NOT tgisinternal
"""
FUNCTIONS = """
    SELECT oid::regprocedure || '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""
PARTS = {
    "column": COLUMNS,
    "index": INDEXES,
    "constraint": CONSTRAINTS,
    "trigger": TRIGGERS,
    "function": FUNCTIONS,
}

Catalogue = set[tuple[str, str]]


def catalogue(connection: psycopg.Connection[Any]) -> Catalogue:
    """Return every part of the shop's schema in words that two databases share."""
    return {(part, row[0]) for part, ask in PARTS.items() for row in connection.execute(ask)}


def remarks(connection: psycopg.Connection[Any]) -> list[str]:
    """Return what is not as r3 needs it; nothing if all is well."""
    parts = catalogue(connection)
    columns = {text.split()[0].split(".")[1]: text for part, text in parts if part == "column"}
    found = []
    verified = columns.get("email_verified")
    if verified is None:
        found.append("shop_order has no column email_verified")
    else:
        if "NOT NULL" not in verified:
            found.append(f"email_verified may be NULL: {verified}")
        wrong = connection.execute(
            "SELECT count(*) FROM shop_order"
            " WHERE email_verified IS DISTINCT FROM (confirmed_at IS NOT NULL)"
        ).fetchone()[0]
        if wrong:
            found.append(f"{wrong:,} orders have a wrong email_verified")
    if "legacy_flag" in columns:
        found.append(f"legacy_flag is still there: {columns['legacy_flag']}")
    if not any(part == "index" and "order_email_idx" in text for part, text in parts):
        found.append("the index order_email_idx is missing")
    found += [f"left over: {part} {text}" for part, text in parts if part in LEFT_OVER]
    found += [f"left over: {text}" for part, text in parts if "INVALID" in text]
    found += [f"left over: {text}" for part, text in parts if "NOT VALID" in text]
    return sorted(found)


LEFT_OVER = ("trigger", "function")


def differences(plain: Catalogue, safe: Catalogue) -> list[str]:
    """Return where the two flavours ended with different schemas."""
    only_plain = [f"only with plain Django: {part} {text}" for part, text in plain - safe]
    only_safe = [f"only with safemigrate: {part} {text}" for part, text in safe - plain]
    return sorted(only_plain + only_safe)
