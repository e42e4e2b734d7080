"""How large a table is, from what PostgreSQL keeps about it anyway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from safemigrate.backends.server import Size

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

LEAST_BYTES = 10 * 8_192  # what the planner takes a table for of which it knows nothing

_QUERY = """
SELECT sum(pg_relation_size(part.oid)), bool_or(part.reltuples < 0),
    sum(greatest(part.reltuples, 0))::bigint,
    (SELECT count(*) FROM pg_index WHERE indrelid = to_regclass(%s)),
    sum(pg_table_size(part.oid))
FROM pg_class part WHERE part.relkind = 'r' AND (part.oid = to_regclass(%s)
    OR part.oid IN (SELECT relid FROM pg_partition_tree(to_regclass(%s))))
"""


def size_of(connection: BaseDatabaseWrapper, table: str) -> Size | None:
    """Return about how large the table is; None if it is not there."""
    quoted = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        cursor.execute(_QUERY, [quoted, quoted, quoted])
        table_bytes, unknown, rows, indexes, whole = cursor.fetchone()
        if table_bytes is None:
            return None
        if table_bytes and (unknown or not rows):
            # reltuples is -1 until the first ANALYZE, and 0 if there was nothing to analyze then;
            # the planner knows pages and widths.
            cursor.execute(f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {quoted}")
            plan = cursor.fetchone()[0]
            rows = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"]
            if unknown:
                rows *= min(1, table_bytes / LEAST_BYTES)
    return Size(int(rows) if table_bytes else 0, int(table_bytes), int(indexes), int(whole))
