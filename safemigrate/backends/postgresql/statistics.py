"""What a large table is made of: its shape, a sample of it, whether the planner knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from safemigrate.backends.postgresql.load import as_json
from safemigrate.backends.server import Shape

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

SAMPLED_PAGES = 2_000  # 16 MB: read in a moment
SAMPLED_ROWS = 40_000  # of them, about: enough for each piece, and sorted in a moment too
WORTH_BYTES = 8 * 2**20  # below, any plan will do


# Before PostgreSQL 18 a new index sets reltuples, and nothing else is known. Of a column that was
# added since, nobody knows that all is NULL; an index over it seems to lead to a few rows then.
# Virtual columns have no statistics, nor have those for which somebody has switched them off.
UNKNOWN = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND pg_relation_size(c.oid) >= %s
AND c.oid IN (SELECT to_regclass(%s)::oid UNION
              SELECT relid::oid FROM pg_partition_tree(to_regclass(%s)))
AND (c.reltuples < 0
  OR NOT EXISTS (SELECT FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname)
  OR EXISTS (SELECT FROM pg_attribute a JOIN pg_index i ON i.indrelid = c.oid
             AND (a.attnum = ANY (i.indkey) OR i.indpred IS NOT NULL)
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             AND a.attgenerated <> 'v' AND a.attstattarget IS DISTINCT FROM 0
             AND NOT EXISTS (SELECT FROM pg_stats s WHERE s.schemaname = n.nspname
                             AND s.tablename = c.relname AND s.attname = a.attname)))
ORDER BY 1
"""


def not_analyzed(connection: BaseDatabaseWrapper, table: str) -> list[str]:
    """
    Return the table or those of its partitions that the planner does not know, as SQL names them.

    Shape:   also one with a column that came after its last ANALYZE and is in an index.
    """
    quoted = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        cursor.execute(UNKNOWN, [WORTH_BYTES, quoted, quoted])
        return [name for (name,) in cursor.fetchall()]


def analyze(connection: BaseDatabaseWrapper, name: str) -> None:
    """Locks: SHARE UPDATE EXCLUSIVE. Shape: name: as ``not_analyzed`` returns it."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {name}")


def pages_of(connection: BaseDatabaseWrapper, table: str) -> int:
    """Return the size of the table with all of its partitions."""
    quoted = connection.ops.quote_name(table)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_relation_size(oid)) / current_setting('block_size')::int FROM ("
            "SELECT to_regclass(%s)::oid AS oid "
            "UNION SELECT relid::oid FROM pg_partition_tree(to_regclass(%s))) AS parts",
            [quoted, quoted],
        )
        return int(cursor.fetchone()[0] or 0)


def sampled(
    connection: BaseDatabaseWrapper,
    table: str,
    columns: Sequence[str],
    where: tuple[str, Sequence[Any]],
    pages: int,
    pieces: int,
) -> list[tuple[Any, ...]]:
    """Return ``pieces`` - 1 rows of the columns that part what matches into about equal pieces."""
    quote = connection.ops.quote_name
    key = ", ".join(quote(column) for column in columns)
    condition, params = where
    percent = min(100.0, 100 * SAMPLED_PAGES / max(pages, 1))
    rows = (
        f"SELECT {key}, row_number() OVER (ORDER BY {key}) AS safemigrate_n, "
        f"count(*) OVER () AS safemigrate_all FROM {quote(table)} "
        f"TABLESAMPLE SYSTEM (%s) WHERE {condition} AND random() * %s * greatest(0, "
        "(SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s))) < %s"
    )
    sql = (
        f"SELECT {key} FROM ({rows}) AS sampled WHERE safemigrate_n < safemigrate_all "
        "AND safemigrate_n * %s / safemigrate_all > (safemigrate_n - 1) * %s / safemigrate_all "
        "ORDER BY safemigrate_n"
    )
    with connection.cursor() as cursor:
        thinned: list[Any] = [percent / 100, quote(table), SAMPLED_ROWS]
        cursor.execute(sql, [percent, *params, *thinned, pieces, pieces])
        return list(cursor.fetchall())


# What a table is: its kind, the columns of each index that serves the order of a key, and its
# partitions, unless one cannot be addressed by its bare name, is a foreign table, or is not ours.
SHAPE = """
SELECT t.relkind,
  (SELECT json_agg((SELECT json_agg(a.attname ORDER BY k.place)
                    FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place)
                    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number))
   FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
   WHERE i.indrelid = t.oid AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'),
  (SELECT CASE WHEN bool_and(p.relkind = 'r' AND pg_table_is_visible(p.oid)
                             AND has_table_privilege(p.oid, 'SELECT')
                             AND has_table_privilege(p.oid, 'UPDATE'))
          THEN json_agg(p.relname) END
   FROM pg_partition_tree(t.oid) AS tree JOIN pg_class p ON p.oid = tree.relid
   WHERE tree.isleaf AND t.relkind = 'p')
FROM pg_class t WHERE t.oid = to_regclass(%s)
"""


class Ctids:
    """The places of rows in the table's file, "(block,number)"."""

    name = "ctid"

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self._quote = connection.ops.quote_name

    def after(self, column_of: str) -> str:
        return f"{self._quote(column_of)}.ctid > %s::tid"

    def upto(self, column_of: str) -> str:
        return f"{self._quote(column_of)}.ctid <= %s::tid"

    def last(self, table: str) -> str | None:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_relation_size(to_regclass(%s)) / current_setting('block_size')::int",
                [self._quote(table)],
            )
            blocks = cursor.fetchone()[0]
        return f"({blocks},0)" if blocks else None

    def end_of_batch(self, table: str, where: str) -> str:
        # In the order of the file by itself; to sort would read all that is left of it.
        return (
            f"SELECT place::text FROM (SELECT ctid AS place FROM {self._quote(table)} "
            f"WHERE {where} LIMIT %s) AS batch ORDER BY place DESC LIMIT 1"
        )


def shape_of(connection: BaseDatabaseWrapper, table: str, key: Sequence[str]) -> Shape:
    with connection.cursor() as cursor:
        cursor.execute(SHAPE, [connection.ops.quote_name(table)])
        found = cursor.fetchone()
    if found is None:
        return Shape()
    kind, indexes, parts = map(as_json, found)
    ordered = any(columns[: len(key)] == list(key) for columns in indexes or [])
    if ordered:
        return Shape(parts=tuple(parts or ()))
    return Shape(places=Ctids(connection) if kind == "r" else None)
