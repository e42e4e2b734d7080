"""
A trigger that fills a new column in rows inserted by code that does not know it.

The expression is Django's own SQL for the values, evaluated over the new row, so that it says
the same as the backfill does. Source: https://www.postgresql.org/docs/current/plpgsql-trigger.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldError
from django.db.models import Q, Value
from django.db.models.expressions import Combinable, ExpressionWrapper
from django.db.models.sql import Query

from safemigrate.backends.fields import column_of
from safemigrate.backends.names import own_name
from safemigrate.backends.postgresql.locking import Locking
from safemigrate.facts.errors import WrongOperation
from safemigrate.facts.locks import LockMode, TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Model

ROW = "safemigrate_row"


class Filling(Locking):
    """
    One BEFORE ROW trigger and function for each column, fired only where NULL is written to it.

    Locks: SHARE ROW EXCLUSIVE for an instant.
    """

    def keep_filled(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        values: Mapping[str, Any],
        *,
        updates: bool,
    ) -> None:
        for name, value in values.items():
            self._keep_column_filled(editor, model, name, value, updates)

    def _keep_column_filled(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        name: str,
        value: Any,
        updates: bool,
    ) -> None:
        table, column = model._meta.db_table, _column(model, name)
        trigger = own_name("fill", table, column)
        if not editor.collect_sql and self._fill_trigger(table, column):
            return
        sql, params = self._expression_sql(model, name, value)
        body = (
            f"BEGIN SELECT {sql} INTO NEW.{self._quote(column)} "
            f"FROM (SELECT NEW.*) AS {self._quote(ROW)}; RETURN NEW; END"
        )
        function = self._beside(editor, table, trigger)
        # The body is a string constant of CREATE FUNCTION, quoted by the driver like any value.
        source = editor.quote_value(self.composed(body, params))
        create_function = (
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS {source}"
        )
        # Only where it must: a trigger before UPDATE has every update of the table, those of the
        # backfill too, lock and log each row twice.
        event = f"INSERT OR UPDATE OF {self._quote(column)}" if updates else "INSERT"
        create_trigger = (
            f"CREATE TRIGGER {self._quote(trigger)} BEFORE {event} ON {self._quote(table)} "
            f"FOR EACH ROW WHEN (NEW.{self._quote(column)} IS NULL) "
            f"EXECUTE FUNCTION {function}()"
        )

        def create() -> None:
            editor.execute(create_function, params=None)
            editor.execute(create_trigger, params=None)

        self._locked(editor, [TableLock(table, LockMode.SHARE_ROW_EXCLUSIVE)], create)

    def _expression_sql(
        self, model: type[Model], name: str, value: Any
    ) -> tuple[str, Sequence[Any]]:
        field: Any = model._meta.get_field(name)
        if isinstance(value, Q):
            value = ExpressionWrapper(value, output_field=field)
        elif not isinstance(value, Combinable) and not hasattr(value, "resolve_expression"):
            if callable(value):
                raise WrongOperation(
                    f"{model._meta.label}.{name} cannot be kept filled: its value is the Python "
                    f"function {getattr(value, '__name__', value)!r}, which a trigger cannot call.",
                    do="Give the value as a database expression, or leave out keep_filled=True.",
                )
            value = Value(value, output_field=field)
        query = Query(model)
        try:
            expression = value.resolve_expression(query, allow_joins=False)
            # The table's own name may have a schema in it, which an alias cannot have.
            expression = expression.relabeled_clone({query.get_initial_alias(): ROW})
            compiled = query.get_compiler(connection=self.connection).compile(expression)
        except FieldError as error:
            raise WrongOperation(
                f"{model._meta.label}.{name} cannot be kept filled: {error}.",
                do="Use the columns of the same row only, or leave out keep_filled=True.",
            ) from error
        return compiled[0], list(compiled[1])

    def stop_filling(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], fields: Sequence[str]
    ) -> None:
        table = model._meta.db_table
        for name in fields:
            column = _column(model, name)
            if not editor.collect_sql and not self._fill_trigger(table, column):
                continue
            trigger = own_name("fill", table, column)
            where = f"{self._quote(trigger)} ON {self._quote(table)}"
            function = self._beside(editor, table, trigger)

            def drop(where: str = where, function: str = function) -> None:
                editor.execute(f"DROP TRIGGER IF EXISTS {where}", params=None)
                editor.execute(f"DROP FUNCTION IF EXISTS {function}()", params=None)

            self._locked(editor, [TableLock(table)], drop)

    def _fill_trigger(self, table: str, column: str) -> bool:
        return bool(
            self._ask(
                "SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = %s",
                [self._regclass(table), own_name("fill", table, column)],
            )
        )


def _column(model: type[Model], name: str) -> str:
    field: Any = model._meta.get_field(name)
    return column_of(field)
