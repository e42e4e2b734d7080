"""What is there: questions to the system catalogues, always by table, never by bare name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db.backends.utils import split_identifier

from safemigrate.backends.base import Backend, IndexState
from safemigrate.backends.names import LEAD, PREFIX
from safemigrate.backends.postgresql.printed import Printed
from safemigrate.facts.errors import PlanRefused
from safemigrate.facts.types import differ

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor

NAMED_BY_DJANGO = re.compile("_[0-9a-f]{8}$")

# ``one`` and ``other``: two columns of its table that a trigger names.
TWO_OF_A_TRIGGER = """
    FROM pg_trigger t
    JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
        AND d.refobjid = t.tgrelid
    JOIN pg_depend e ON e.classid = d.classid AND e.objid = d.objid
        AND e.refobjid = t.tgrelid AND e.refobjsubid <> d.refobjsubid
    JOIN pg_attribute one ON one.attrelid = t.tgrelid AND one.attnum = d.refobjsubid
    JOIN pg_attribute other ON other.attrelid = t.tgrelid AND other.attnum = e.refobjsubid
"""


def left_behind(table: str, column: str, what: str) -> PlanRefused:
    return PlanRefused(
        f"{table} has a column {column} already, {what}: a change that was given up and not "
        "unapplied has left it, or somebody's hands.",
        do="Unapply that change with the code that has its migrations, or drop the column if "
        "nobody needs what is in it; then run migrate again.",
    )


class Catalog(Backend):
    """
    Read-only look-ups.

    A table is found as the server itself finds it (``to_regclass`` on the quoted name), so a
    schema in ``db_table`` or in ``search_path`` is obeyed; names go in and come out as they are
    once the server has run what sqlmigrate has printed of the same file.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self._printed = Printed()

    def follow(self, editor: BaseDatabaseSchemaEditor) -> None:
        self._printed = Printed.by(editor)

    def _ask(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None
    ) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            # Without parameters a percent sign in a name is no placeholder.
            cursor.execute(query, params or None)
            return list(cursor.fetchall())

    def _quote(self, name: str) -> str:
        return self.connection.ops.quote_name(name)

    def _regclass(self, table: str) -> str:
        """Its name in the catalogue, quoted, which a printed statement has not changed yet."""
        return self._quote(self._printed.catalogued(table))

    def _bare(self, name: str) -> str:
        """A name as the catalogues have it; Django takes one in quotes as it is."""
        return self._quote(name)[1:-1].replace('""', '"')

    def _catalogued(self, name: str) -> str:
        """The same for an index or a constraint, as ``_bare``."""
        return self._bare(self._printed.catalogued_name(name))

    def _beside(self, editor: BaseDatabaseSchemaEditor, table: str, name: str) -> str:
        """``name``, quoted, in the schema that the table is really in."""
        if editor.collect_sql:
            schema, _ = split_identifier(table)
            return f"{self._quote(schema)}.{self._quote(name)}" if schema else self._quote(name)
        rows = self._ask(
            "SELECT quote_ident(n.nspname) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)",
            [self._regclass(table)],
        )
        return f"{rows[0][0]}.{self._quote(name)}"

    def _left_open(self, editor: BaseDatabaseSchemaEditor, what: str) -> None:
        """What ``sqlmigrate`` says where this database does not have what migrate will look up."""
        editor.collected_sql.append(f"-- Decided at run time, by the catalogue: {what}")

    def _is_printed(self, editor: BaseDatabaseSchemaEditor, words: str) -> bool:
        """Whether another operation of the file has said it: the second finds it done."""
        return editor.collect_sql and f"{words};" in editor.collected_sql

    def _note_made(
        self,
        editor: BaseDatabaseSchemaEditor,
        kind: str,
        table: str,
        name: str,
        columns: Sequence[str],
        target: tuple[str, str] | None = None,
    ) -> None:
        """What has its name from the table, which may get another one later in what is printed."""
        if editor.collect_sql:
            self._printed.make(kind, table, name, columns, target)

    def _schema_of(self, table: str) -> str:
        query = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass(%s)"
        return str(self._ask(query, [self._regclass(table)])[0][0])

    def has_table(self, table: str) -> bool:
        return bool(self._ask("SELECT to_regclass(%s) IS NOT NULL", [self._regclass(table)])[0][0])

    def _followers(self, table: str, column: str) -> list[tuple[str, str, str]]:
        """``[(trigger, function, column of ours)]`` that keep the two the same."""
        return self._ask(
            f"""
            SELECT t.tgname::text, t.tgfoid::regprocedure::text, other.attname::text
            {TWO_OF_A_TRIGGER}
            WHERE t.tgrelid = to_regclass(%s) AND one.attname = %s AND t.tgparentid = 0
              AND starts_with(t.tgname, %s) AND starts_with(other.attname, %s)
            GROUP BY 1, 2, 3 ORDER BY 1
            """,
            [self._quote(table), self._bare(column), f"{LEAD}{PREFIX}_sync_", PREFIX],
        )

    def refuse_old_type(self, table: str, column: str) -> None:
        """Raise PlanRefused while the column of the type that this one had is still kept."""
        if self._followers(table, column):
            raise PlanRefused(
                f"{table}.{column} has another type with what it refers to, and the contract of "
                "that change waits: it would not find the old column, which follows this one.",
                do="Wait until migrate has applied that contract (safemigrate status), then run "
                "it again. If that change is new in this release as well, deploy it alone, in a "
                "release before this one.",
            )

    def has_column(self, table: str, column: str) -> bool:
        return self._column(table, column) is not None

    def _column(self, table: str, column: str) -> tuple[bool, str | None] | None:
        """``(is NOT NULL, default as SQL or None)`` of a column, or None where there is none."""
        rows = self._ask(
            """
            SELECT a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
            FROM pg_attribute a
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = to_regclass(%s) AND a.attname = %s
              AND a.attnum > 0 AND NOT a.attisdropped
            """,
            [self._regclass(table), self._bare(column)],
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def _type(self, table: str, column: str) -> str | None:
        """The column's type as ``format_type`` spells it."""
        rows = self._ask(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped",
            [self._regclass(table), self._bare(column)],
        )
        return rows[0][0] if rows else None

    def _refuse_leftover(self, table: str, column: str, wanted: str) -> None:
        """
        Raise PlanRefused if the column is there already and of another type.

        It is not what a killed run has left: that is of the type that is wanted.
        """
        found = self._type(table, column)
        if found is not None and differ(found, wanted):
            raise left_behind(table, column, f"of the type {found} and not {wanted}")

    def _column_comment(self, table: str, column: str) -> str | None:
        rows = self._ask(
            "SELECT col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped",
            [self._regclass(table), self._bare(column)],
        )
        return rows[0][0] if rows else None

    def _constraints_of(self, table: str, column: str, kind: str) -> list[str]:
        """The constraints on this column alone; ``kind`` as in ``pg_constraint.contype``."""
        rows = self._ask(
            """
            SELECT c.conname FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid
            WHERE c.conrelid = to_regclass(%s) AND a.attname = %s AND c.contype = %s
              AND c.conkey = ARRAY[a.attnum] ORDER BY 1
            """,
            [self._regclass(table), self._bare(column), kind],
        )
        return [self._printed.name(name) for (name,) in rows]

    def _field_index_names(self, table: str, column: str) -> list[str]:
        """
        The plain indexes on this column alone that are named as Django names them.

        An index that somebody made by hand has another name, and stays.
        """
        found = self._indexes_on(table, column)
        return [name for name, like in found if not like and NAMED_BY_DJANGO.search(name)]

    def _indexes_on(self, table: str, column: str) -> list[tuple[str, bool]]:
        """
        ``[(name, whether it is the one for LIKE)]`` of what ``db_index`` may have built.

        Whatever they are called: a table that was renamed, or made by an old Django, has others.
        """
        rows = self._ask(
            """
            SELECT n.relname::text, NOT o.opcdefault FROM pg_index i
            JOIN pg_class n ON n.oid = i.indexrelid
            JOIN pg_am m ON m.oid = n.relam
            JOIN pg_opclass o ON o.oid = i.indclass[0]
            JOIN pg_attribute a ON a.attrelid = i.indrelid
            WHERE i.indrelid = to_regclass(%s) AND a.attname = %s
              AND i.indnatts = 1 AND i.indkey[0] = a.attnum AND NOT i.indisunique
              AND i.indpred IS NULL AND m.amname = 'btree' AND i.indoption[0] = 0
              AND (o.opcdefault OR o.opcname IN ('varchar_pattern_ops', 'text_pattern_ops'))
            ORDER BY 1
            """,
            [self._regclass(table), self._bare(column)],
        )
        return [(self._printed.name(name), like) for name, like in rows]

    def index_state(self, table: str, name: str) -> IndexState:
        rows = self._ask(
            """
            SELECT i.indisvalid AND i.indisready
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = to_regclass(%s) AND c.relname = %s
            """,
            [self._regclass(table), self._catalogued(name)],
        )
        if not rows:
            return IndexState.ABSENT
        return IndexState.VALID if rows[0][0] else IndexState.INVALID

    def _constraint_is_validated(self, table: str, name: str) -> bool | None:
        """Whether the constraint is validated; None where there is none."""
        rows = self._ask(
            "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(%s) "
            "AND conname = %s",
            [self._regclass(table), self._catalogued(name)],
        )
        return rows[0][0] if rows else None

    def _how_many(self, table: str, condition: str) -> str:
        """``7 rows``, counted no further than a person needs."""
        where = f"FROM {self._quote(table)} WHERE {condition}"
        [[count]] = self._ask(f"SELECT count(*) FROM (SELECT 1 {where} LIMIT 100001) AS n", None)
        many = f"{count:,}" if count <= 100_000 else "More than 100,000"
        return f"{many} row{'' if count == 1 else 's'}"

    def _foreign_keys(self, table: str, column: str | None) -> list[tuple[str, str, str]]:
        """
        ``[(table, constraint, other table)]``, to be put between quotes, as in ``db_table``.

        With a column: the FKs on it. Without: all FKs from and to the table.
        """
        rows = self._ask(
            """
            SELECT own.name, replace(c.conname, '"', '""'), parent.name
            FROM pg_constraint c
            JOIN LATERAL (
                SELECT CASE WHEN pg_table_is_visible(r.oid) THEN ''
                            ELSE replace(n.nspname, '"', '""') || '"."' END
                       || replace(r.relname, '"', '""') AS name
                FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
                WHERE r.oid = c.conrelid) own ON true
            JOIN LATERAL (
                SELECT CASE WHEN pg_table_is_visible(r.oid) THEN ''
                            ELSE replace(n.nspname, '"', '""') || '"."' END
                       || replace(r.relname, '"', '""') AS name
                FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
                WHERE r.oid = c.confrelid) parent ON true
            WHERE c.contype = 'f' AND c.conparentid = 0
              AND CASE WHEN %(column)s::text IS NULL
                    THEN to_regclass(%(table)s) IN (c.conrelid, c.confrelid)
                    ELSE c.conrelid IN (
                        SELECT to_regclass(%(table)s)
                        UNION SELECT relid FROM pg_partition_tree(to_regclass(%(table)s))
                    ) AND EXISTS (
                        SELECT FROM pg_attribute a
                        WHERE a.attrelid = c.conrelid AND a.attname = %(column)s
                          AND a.attnum = ANY (c.conkey))
                  END
            ORDER BY 1, 2
            """,
            {"table": self._regclass(table), "column": column and self._bare(column)},
        )
        printed = self._printed
        return [
            (printed.table(child), printed.name(name), printed.table(parent))
            for child, name, parent in rows
        ]
