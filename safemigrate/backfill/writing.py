"""One batch's values on their way back into the table, worded without any server's own SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from django.core.exceptions import EmptyResultSet

from safemigrate.backends.server import Bulk, Sql

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field, Model, QuerySet

    from safemigrate.backfill.ranges import Key


@dataclass
class Writing:
    """
    What one statement writes.

    Shape:   target: the rows of the batch that match, filtered in one table. keys: the rows to
             write, as the database takes them. columns: a value for each key, in the same order.
             constants: one value for all. expressions: computed by the server.
             Values went through ``field.get_db_prep_save``.
    """

    target: QuerySet[Model]
    keys: Sequence[Key]
    key_fields: Sequence[Field[Any, Any]]
    columns: Sequence[tuple[Field[Any, Any], Sequence[Any]]]
    constants: list[tuple[Field[Any, Any], Any]] = field(default_factory=list)
    expressions: list[tuple[Field[Any, Any], Any]] = field(default_factory=list)

    @property
    def table(self) -> str:
        """The table of the query: of a partitioned model, the partition that the batch is in."""
        return self.target.query.base_table or self.target.model._meta.db_table

    def bulk(self, connection: BaseDatabaseWrapper) -> Bulk | None:
        """Return the same in columns and SQL, None if Django can tell that no row matches."""
        compiled = _Compiled(self.target, connection)
        try:
            condition = compiled.condition()
        except EmptyResultSet:
            return None
        return Bulk(
            self.table,
            [column_of(key) for key in self.key_fields],
            self.keys,
            [(column_of(column), values) for column, values in self.columns],
            condition,
            [(column_of(column), value) for column, value in self.constants],
            [compiled.assignment(column, value) for column, value in self.expressions],
        )


def condition_of(rows: QuerySet[Model], connection: BaseDatabaseWrapper) -> Sql:
    """Return what the rows are filtered by, in columns of their one table."""
    return _Compiled(rows, connection).condition()


class _Compiled:
    """The parts of a statement over ``rows`` that Django's compiler can word, on any server."""

    def __init__(self, rows: QuerySet[Model], connection: BaseDatabaseWrapper) -> None:
        self._query = rows.query.chain()
        self._query.clear_ordering(force=True)
        self._query.get_initial_alias()
        self._compiler = self._query.get_compiler(connection=connection)
        self._connection = connection

    def assignment(self, column: Field[Any, Any], value: Any) -> Sql:
        """
        Return ``column = expression``.

        Source:  django/db/models/sql/compiler.py, SQLUpdateCompiler.as_sql (5.2 and 6.1)
        """
        resolved = value.resolve_expression(self._query, allow_joins=False, for_save=True)
        placed = getattr(column, "get_placeholder_sql", None)
        if placed is not None:
            sql, params = placed(resolved, self._compiler, self._connection)
        else:
            sql, params = self._compiler.compile(resolved)
            if hasattr(column, "get_placeholder"):  # until 6.1: get_placeholder_sql
                sql = column.get_placeholder(resolved, self._compiler, self._connection) % sql
        name = self._connection.ops.quote_name(column_of(column))
        return f"{name} = {sql}", list(params)

    def condition(self) -> Sql:
        """
        Return the range and the ``where``, in columns of the table.

        Raises:  EmptyResultSet: Django can tell that no row matches.
        """
        sql, params = self._compiler.compile(self._query.where)
        return sql, list(params)


def column_of(field: Field[Any, Any]) -> str:
    """Return the column of a field that has one; ``checking`` refuses the others."""
    return cast("str", field.column)
