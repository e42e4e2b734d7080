"""Columns: every change is one short statement, or several that each lock for an instant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.db.models.expressions import BaseExpression
from django.db.models.fields import NOT_PROVIDED

from safemigrate.backends.fields import bare, column_of, parent_of, through_of, variant
from safemigrate.backends.names import own_name
from safemigrate.backends.postgresql.filling import Filling
from safemigrate.backends.postgresql.locking import QUERY_CANCELED, sqlstate
from safemigrate.backends.postgresql.tables import Tables
from safemigrate.backends.statements import constraint_name
from safemigrate.facts.defaults import DefaultKind, default_of
from safemigrate.facts.errors import DataInTheWay, DeadlinePassed, WrongOperation
from safemigrate.facts.locks import TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Field, Model

CHECK_VIOLATION = "23514"


class Columns(Filling, Tables):
    """
    Locks: ACCESS EXCLUSIVE, had without queueing, for statements that touch the catalogue alone.

    Source: https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """

    def add_column(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        database_default: Any,
    ) -> None:
        if field.many_to_many:
            self._add_through(editor, field)
            return
        table, column = model._meta.db_table, column_of(field)
        check = self._check_of(field)
        # In ADD COLUMN itself the CHECK would read the whole table under ACCESS EXCLUSIVE; in
        # somebody's transaction that lock is held to its end, and there is nothing to win.
        apart = not self.in_transaction
        if not editor.collect_sql and self.has_column(table, column):
            self._refuse_leftover(table, column, str(field.db_type(self.connection)))
        else:
            self._locked(
                editor,
                [TableLock(table)],
                lambda: self._send_column(editor, model, field, database_default, apart),
            )
        if not check or not apart:
            return
        name = check_name(editor, table, column)
        if editor.collect_sql or self._constraint_is_validated(table, name) is False:
            self._validate(editor, table, name)

    def _check_of(self, field: Field[Any, Any]) -> str:
        """The condition that Django puts on the column of a positive integer; else ``""``."""
        return str(field.db_parameters(connection=self.connection)["check"] or "")

    def _send_column(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        database_default: Any,
        apart: bool,
    ) -> None:
        check = self._check_of(field)
        expression = isinstance(database_default, BaseExpression) and not _says_itself(
            field, database_default
        )
        null = field.null or expression or database_default is NOT_PROVIDED
        # ADD COLUMN with a constant touches no row; with a volatile expression it rewrites the
        # table, so that one is set in a statement of its own, for the rows to come.
        at_once = NOT_PROVIDED if expression else database_default
        new = bare(field, null=null, database_default=at_once)
        if check and apart:
            new = variant(new, db_check=lambda connection: None)
        editor.add_field(model, new)
        if check and apart:
            table, column = model._meta.db_table, column_of(field)
            name = check_name(editor, table, column)
            self._note_made(editor, "CONSTRAINT", table, name, [column])
            self._add_check(editor, table, check, name)
        if expression:
            self._send_default(editor, model, field, database_default)

    def _add_through(self, editor: BaseDatabaseSchemaEditor, field: Field[Any, Any]) -> None:
        through = through_of(field)
        if through is None:
            return
        self.create_table(editor, through)
        for key in through._meta.local_concrete_fields:
            if parent_of(key):
                self.add_foreign_key(editor, through, key)

    def drop_column(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        if field.many_to_many:
            if through := through_of(field):
                self.drop_table(editor, through)
            return
        table, column = model._meta.db_table, column_of(field)
        if not editor.collect_sql and not self.has_column(table, column):
            return

        def drop() -> None:
            gone = [column, *self._end_followers(editor, table, column)]
            # No CASCADE: what hangs on the column is not ours to drop.
            drops = (f"DROP COLUMN {self._quote(name)}" for name in gone)
            self._alter(editor, table, ", ".join(drops))
            # Statements about the column that Django put off to the end would now fail.
            editor.deferred_sql = [
                sql
                for sql in editor.deferred_sql
                if not (hasattr(sql, "references_column") and sql.references_column(table, column))
            ]

        with self._dependents_named(f"column {table}.{column}"):
            self._locked(editor, [TableLock(table)], drop)

    def set_not_null(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        table, column = model._meta.db_table, column_of(field)
        name = not_null_name(table, column)
        locks = [TableLock(table)]
        condition = f"{self._quote(column)} IS NOT NULL"
        if editor.collect_sql:
            self._locked(editor, locks, lambda: self._add_check(editor, table, condition, name))
            self._validate(editor, table, name)
            self._locked(editor, locks, lambda: self._finish_not_null(editor, model, field, name))
            return
        is_not_null, _ = self._found(table, column)
        if not is_not_null:
            validated = self._constraint_is_validated(table, name)
            if validated is None:
                self.patiently(locks, lambda: self._add_check(editor, table, condition, name))
            if not validated:
                try:
                    self._validate(editor, table, name)
                except DatabaseError as error:
                    raise self._not_valid(editor, error, table, column, name) or error from error
        if (
            not is_not_null
            or self._constraint_is_validated(table, name) is not None
            or self._fill_trigger(table, column)
        ):
            self.patiently(locks, lambda: self._finish_not_null(editor, model, field, name))

    def _found(self, table: str, column: str) -> tuple[bool, str | None]:
        found = self._column(table, column)
        if found is None:
            raise WrongOperation(
                f"{table} has no column {column}.",
                do="Apply the migration that adds it first, or correct the operation.",
            )
        return found

    def _add_check(
        self, editor: BaseDatabaseSchemaEditor, table: str, condition: str, name: str
    ) -> None:
        add = f"ADD CONSTRAINT {self._quote(name)} CHECK ({condition}) NOT VALID"
        self._alter(editor, table, add)

    def _validate(self, editor: BaseDatabaseSchemaEditor, table: str, name: str) -> None:
        """Scan under SHARE UPDATE EXCLUSIVE: reads and writes go on."""
        validate = f"VALIDATE CONSTRAINT {self._quote(name)}"
        if editor.collect_sql:
            self._alter(editor, table, validate)
            return
        with self.unhurried():
            self._alter(editor, table, validate)

    def _not_valid(
        self,
        editor: BaseDatabaseSchemaEditor,
        error: DatabaseError,
        table: str,
        column: str,
        name: str,
    ) -> Exception | None:
        if sqlstate(error) == QUERY_CANCELED:
            return DeadlinePassed(
                f"Checking {table}.{column} for NULLs was stopped at its deadline or by an "
                "administrator.",
                changed="A CHECK constraint NOT VALID is left; it is used again.",
                do='Run migrate again; raise SAFEMIGRATE["BUILD_DEADLINE"] if the table is large.',
            )
        if sqlstate(error) != CHECK_VIOLATION:
            return None
        # Left behind, it would refuse the NULLs of running code that has always written them.
        drop = f"DROP CONSTRAINT IF EXISTS {self._quote(name)}"
        self.patiently([TableLock(table)], lambda: self._alter(editor, table, drop))
        return self._nulls_in_the_way(table, column)

    def refuse_nulls(self, model: type[Model], field: Field[Any, Any]) -> None:
        table, column = model._meta.db_table, column_of(field)
        if (found := self._column(table, column)) is None or found[0]:
            return
        where = f"FROM {self._quote(table)} WHERE {self._quote(column)} IS NULL"
        if self._ask(f"SELECT 1 {where} LIMIT 1", []):
            raise self._nulls_in_the_way(table, column)

    def _nulls_in_the_way(self, table: str, column: str) -> DataInTheWay:
        nulls = f"{self._quote(column)} IS NULL"
        return DataInTheWay(
            f"{table}.{column} is NULL in {self._how_many(table, nulls)}, "
            "so it cannot be NOT NULL.",
            do=f"Fill them (SELECT * FROM {self._quote(table)} WHERE {nulls}), "
            "then run the same command again.",
        )

    def _finish_not_null(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        name: str,
    ) -> None:
        """A valid CHECK lets SET NOT NULL skip its scan; after that the CHECK has served."""
        table = model._meta.db_table
        self._alter(editor, table, f"ALTER COLUMN {self._quote(column_of(field))} SET NOT NULL")
        self._alter(editor, table, f"DROP CONSTRAINT IF EXISTS {self._quote(name)}")
        self.stop_filling(editor, model, [field.name])

    def drop_not_null(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        table, column = model._meta.db_table, column_of(field)
        name = not_null_name(table, column)
        if not editor.collect_sql:
            is_not_null, _ = self._found(table, column)
            if not is_not_null and self._constraint_is_validated(table, name) is None:
                return

        def drop() -> None:
            self._alter(editor, table, f"ALTER COLUMN {self._quote(column)} DROP NOT NULL")
            self._alter(editor, table, f"DROP CONSTRAINT IF EXISTS {self._quote(name)}")

        self._locked(editor, [TableLock(table)], drop)

    def set_default(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        value: Any,
    ) -> None:
        table = model._meta.db_table
        if not editor.collect_sql and self._found(table, column_of(field))[1] is not None:
            return
        self._locked(
            editor, [TableLock(table)], lambda: self._send_default(editor, model, field, value)
        )

    def _send_default(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        value: Any,
    ) -> None:
        sql, params = editor.db_default_sql(bare(field, null=field.null, database_default=value))
        statement = (
            f"ALTER TABLE {self._quote(model._meta.db_table)} "
            f"ALTER COLUMN {self._quote(column_of(field))} SET DEFAULT {sql}"
        )
        editor.execute(statement, params or None)

    def drop_default(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        table = model._meta.db_table
        column = column_of(field)
        if not editor.collect_sql and self._found(table, column)[1] is None:
            return
        drop = f"ALTER COLUMN {self._quote(column)} DROP DEFAULT"
        self._locked(editor, [TableLock(table)], lambda: self._alter(editor, table, drop))


def not_null_name(table: str, column: str) -> str:
    """The CHECK that stands in while a column is made NOT NULL; the same in every run."""
    return own_name("notnull", table, column)


def check_name(editor: BaseDatabaseSchemaEditor, table: str, column: str) -> str:
    """The CHECK of a positive integer, named as Django names its constraints."""
    return constraint_name(editor, table, column, "_check")


def _says_itself(field: Field[Any, Any], database_default: Any) -> bool:
    """Whether this is the field's own ``db_default``, and one value for all rows."""
    own = default_of(field)
    return own.kind is DefaultKind.DATABASE_CONSTANT and bool(own.value == database_default)
