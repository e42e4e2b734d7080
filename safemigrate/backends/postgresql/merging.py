"""Two rows that are one: what refers to the one refers to the other, and the one goes."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from safemigrate.backends.postgresql.catalog import Catalog
from safemigrate.facts.errors import DataInTheWay

BATCH_ROWS = 1000
KEY_OF = """
    SELECT a.attname::text FROM pg_index i
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indisprimary AND i.indnkeyatts = 1 AND i.indrelid = {}
"""

# Hashed: as many rows as may be. Apart from what they refer to and their keys they are equal.
SAME = " = ".join(f"to_jsonb({row}) - %(column)s::text - %(key)s::text" for row in "ab")


class Merging(Catalog):
    """Locks: ROW EXCLUSIVE, for a batch of rows at a time."""

    def merge_rows(self, table: str, gone: Any, kept: Any) -> None:
        self._merge(self._quote(table), gone, kept)

    def _merge(self, table: str, gone: Any, kept: Any) -> None:
        for child, column, child_key in self._referring(table):
            try:
                self._repoint(child, column, gone, kept)
            except IntegrityError:
                if child_key and self._referring(child):
                    for twin, other in self._same_rows(child, column, child_key, gone, kept):
                        self._merge(child, twin, other)
                elif child_key:
                    self._delete_same_rows(child, column, child_key, gone, kept)
                self._repoint_the_rest(child, column, gone, kept)
        ((key,),) = self._ask(KEY_OF.format("%s::regclass"), [table])
        with self.connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE {self._quote(key)} = %s", [gone])

    def _referring(self, table: str) -> list[tuple[Any, ...]]:
        """``(table as in SQL, column, its primary key if that is one column)`` of each FK."""
        return self._ask(
            f"""
            SELECT o.conrelid::regclass::text, c.attname::text, ({KEY_OF.format("o.conrelid")})
            FROM pg_constraint o
            JOIN pg_attribute c ON c.attrelid = o.conrelid AND c.attnum = o.conkey[1]
            WHERE o.contype = 'f' AND o.conparentid = 0 AND cardinality(o.conkey) = 1
              AND o.confrelid = %s::regclass
            ORDER BY 1, 2
            """,
            [table],
        )

    def _repoint(self, child: str, column: str, gone: Any, kept: Any) -> None:
        name, moved = self._quote(column), BATCH_ROWS
        words = (
            f"UPDATE {child} SET {name} = %s WHERE {name} = %s AND ctid = ANY(ARRAY("
            f"SELECT ctid FROM {child} WHERE {name} = %s LIMIT {BATCH_ROWS}))"
        )
        while moved:
            with (
                transaction.atomic(using=self.connection.alias),
                self.connection.cursor() as cursor,
            ):
                cursor.execute(words, [kept, gone, gone])
                moved = cursor.rowcount

    def _same_rows(
        self, child: str, column: str, key: str, gone: Any, kept: Any
    ) -> list[tuple[Any, ...]]:
        """Of rows that are the same but for their key and for what they refer to, the keys."""
        one, own = self._quote(column), self._quote(key)
        return self._ask(
            f"SELECT DISTINCT ON (a.{own}) a.{own}, b.{own} "
            f"FROM {child} a JOIN {child} b ON {SAME} "
            f"WHERE a.{one} = %(gone)s AND b.{one} = %(kept)s",
            {"column": column, "key": key, "gone": gone, "kept": kept},
        )

    def _delete_same_rows(self, child: str, column: str, key: str, gone: Any, kept: Any) -> None:
        one = self._quote(column)
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {child} a USING {child} b "
                f"WHERE {SAME} AND a.{one} = %(gone)s AND b.{one} = %(kept)s",
                {"column": column, "key": key, "gone": gone, "kept": kept},
            )

    def _repoint_the_rest(self, child: str, column: str, gone: Any, kept: Any) -> None:
        try:
            self._repoint(child, column, gone, kept)
        except IntegrityError as error:
            raise DataInTheWay(
                f"Rows of {child} that refer to {gone} by {column} cannot refer to {kept}, with "
                "which it is one: a constraint allows one of them, and they differ.",
                changed="Nothing of it was changed."
                if self.in_transaction
                else "What could be moved refers to it already.",
                do=f"Delete one of each two (SELECT * FROM {child} WHERE {self._quote(column)} "
                f"IN ({gone}, {kept})), then run migrate again.",
            ) from error
