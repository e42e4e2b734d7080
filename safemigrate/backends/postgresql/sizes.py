"""How large a table is, from what PostgreSQL keeps about it anyway."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from safemigrate.backends.postgresql.load import as_json
from safemigrate.backends.server import Size

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

ROW_BYTES = 28  # of a row beside its columns: its header and its place in the page

# The rows of a page, as they were when the server last counted, times the pages that there are now:
# reltuples alone does not know what was loaded since. It is -1 until the first ANALYZE.
_QUERY = """
SELECT sum(bytes), sum(rows_in_page * bytes / current_setting('block_size')::int),
    sum(bytes) FILTER (WHERE rows_in_page IS NULL), sum(whole),
    (SELECT count(*) FROM pg_index WHERE indrelid = to_regclass(%s))
FROM (
    SELECT pg_relation_size(oid) AS bytes, pg_table_size(oid) AS whole,
        CASE WHEN reltuples > 0 AND relpages > 0 THEN reltuples / relpages END AS rows_in_page
    FROM pg_class WHERE relkind = 'r' AND (oid = to_regclass(%s)
        OR oid IN (SELECT relid FROM pg_partition_tree(to_regclass(%s))))
) AS parts
"""


def size_of(connection: BaseDatabaseWrapper, table: str) -> Size | None:
    """Return about how large the table is; None if it is not there."""
    quoted = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        cursor.execute(_QUERY, [quoted, quoted, quoted])
        table_bytes, rows, uncounted_bytes, whole, indexes = cursor.fetchone()
        if table_bytes is None:
            return None
        rows = rows or 0
        if uncounted_bytes:
            cursor.execute(f"EXPLAIN (FORMAT JSON) SELECT * FROM {quoted}")
            [plan] = as_json(cursor.fetchone()[0])
            rows += float(uncounted_bytes) / (plan["Plan"]["Plan Width"] + ROW_BYTES)
    return Size(math.ceil(rows), int(table_bytes), int(indexes), int(whole))
