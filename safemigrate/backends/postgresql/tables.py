"""Tables and the foreign keys between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError

from safemigrate.backends.fields import column_of, parent_of
from safemigrate.backends.names import LEAD, PREFIX
from safemigrate.backends.postgresql.locking import sqlstate
from safemigrate.backends.postgresql.partitions import Partitions
from safemigrate.backends.statements import foreign_key_of, is_foreign_key, name_of
from safemigrate.facts.errors import DataInTheWay, PlanRefused
from safemigrate.facts.locks import LockMode, TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.backends.ddl_references import Statement
    from django.db.models import Field, Model

DEPENDENT_OBJECTS = "2BP01"
FOREIGN_KEY_VIOLATION = "23503"


def _both_ends(table: str, parent: str) -> list[TableLock]:
    return [TableLock(name, LockMode.SHARE_ROW_EXCLUSIVE) for name in (table, parent)]


class Tables(Partitions):
    """Locks: ACCESS EXCLUSIVE to drop, SHARE ROW EXCLUSIVE on both ends of a new foreign key."""

    def _alter(self, editor: BaseDatabaseSchemaEditor, table: str, change: str) -> None:
        editor.execute(f"ALTER TABLE {self._quote(table)} {change}", params=None)

    def create_table(self, editor: BaseDatabaseSchemaEditor, model: type[Model]) -> None:
        table = model._meta.db_table
        if editor.collect_sql:
            head = f"CREATE TABLE {self._quote(table)} ("
            if any(said.startswith(head) for said in editor.collected_sql):
                return
        elif self.has_table(table):
            return

        def create() -> None:
            earlier, editor.deferred_sql = editor.deferred_sql, []
            editor.create_model(model)
            own, editor.deferred_sql = editor.deferred_sql, earlier
            # In one transaction with the table: a run killed before them would not come back.
            for statement in own:
                if not is_foreign_key(editor, statement):
                    editor.execute(statement, params=None)

        self._locked(editor, [], create)

    def drop_table(self, editor: BaseDatabaseSchemaEditor, model: type[Model]) -> None:
        table = model._meta.db_table
        if not editor.collect_sql and not self.has_table(table):
            return

        def drop() -> None:
            functions = [] if editor.collect_sql else self._own_functions(table)
            # No CASCADE: views and foreign keys of others are not ours to drop.
            editor.execute(f"DROP TABLE {self._quote(table)}", params=None)
            for function in functions:
                editor.execute(f"DROP FUNCTION {function}", params=None)
            editor.deferred_sql = [
                sql
                for sql in editor.deferred_sql
                if not (hasattr(sql, "references_table") and sql.references_table(table))
            ]

        with self._dependents_named(f"table {table}"):
            self._locked(editor, [TableLock(table)], drop)

    def _end_followers(
        self, editor: BaseDatabaseSchemaEditor, table: str, column: str
    ) -> list[str]:
        """
        End what keeps a column of ours the same as this one; the names of those that go with it.

        A foreign key that goes before what it refers to has let go of the type that it had.
        """
        if editor.collect_sql:
            return []
        rows = self._followers(table, column)
        for trigger, _, _ in rows:
            editor.execute(
                f"DROP TRIGGER {self._quote(trigger)} ON {self._quote(table)}", params=None
            )
        for function in sorted({function for _, function, _ in rows}):
            editor.execute(f"DROP FUNCTION {function}", params=None)
        return sorted({other for _, _, other in rows})

    def _own_functions(self, table: str) -> list[str]:
        rows = self._ask(
            "SELECT DISTINCT tgfoid::regprocedure::text FROM pg_trigger "
            "WHERE tgrelid = to_regclass(%s) AND tgname ~ %s ORDER BY 1",
            [self._quote(table), f"^({LEAD})?{PREFIX}_(sync|fill)_"],
        )
        return [function for (function,) in rows]

    @contextmanager
    def _dependents_named(self, thing: str) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            if sqlstate(error) != DEPENDENT_OBJECTS:
                raise
            detail = getattr(getattr(error.__cause__, "diag", None), "message_detail", None)
            raise PlanRefused(
                f"The {thing} cannot be dropped, other objects depend on it: {detail}.",
                do="Drop or change those objects first, then run migrate again.",
            ) from error

    def drop_foreign_keys(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any] | None = None,
        but_not: str | None = None,
    ) -> None:
        column = column_of(field) if field else None
        for drop, locks in self._dropping_keys(editor, model._meta.db_table, column, but_not):
            if not self._is_printed(editor, drop):
                self._locked(editor, locks, partial(editor.execute, drop, params=None))

    def _dropping_keys(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        column: str | None,
        but_not: str | None,
    ) -> list[tuple[str, list[TableLock]]]:
        """The statement for each, and what it locks."""
        found = [key for key in self._foreign_keys(table, column) if key[1] != but_not]
        if editor.collect_sql and not found:
            of = f"{table}.{column}" if column else f"{table}, from it and to it"
            self._left_open(editor, f"foreign keys of {of} are dropped; here are none.")
        return [
            (
                f"ALTER TABLE {self._quote(child)} DROP CONSTRAINT {self._quote(name)}",
                [TableLock(child), TableLock(parent)],
            )
            for child, name, parent in found
        ]

    def repoint(
        self, editor: BaseDatabaseSchemaEditor, was: Field[Any, Any], becomes: Field[Any, Any]
    ) -> None:
        """Until older code is gone it refers to nothing."""

    def add_foreign_key(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        other = parent_of(field)
        if other is None:
            return
        table, parent = model._meta.db_table, other._meta.db_table
        statement = foreign_key_of(editor, model, field)
        target: Any = field
        refers_to = (parent, target.target_field.column)
        columns = [column_of(field)]
        self._note_made(editor, "CONSTRAINT", table, name_of(statement), columns, refers_to)
        self._add_key(editor, table, parent, statement)

    def _add_key(
        self, editor: BaseDatabaseSchemaEditor, table: str, parent: str, statement: Statement
    ) -> None:
        name = name_of(statement)
        if self._cannot_add_not_valid(table):
            self._add_foreign_key_in_parts(editor, table, name, parent, str(statement))
        else:
            self._add_foreign_key_on(editor, table, name, parent, str(statement))

    def _add_foreign_key_in_parts(
        self, editor: BaseDatabaseSchemaEditor, table: str, name: str, parent: str, statement: str
    ) -> None:
        """Where each partition has a valid one, that of the whole finds it and reads no row."""
        if editor.collect_sql:
            for part, own, words in self._foreign_key_parts(table, name, statement):
                self._add_foreign_key_on(editor, part, own, parent, words)
            whole = partial(editor.execute, statement, params=None)
            self._locked(editor, _both_ends(table, parent), whole)
            return

        def complete() -> bool:
            parts = self._foreign_key_parts(table, name, statement)
            if not all(self._constraint_is_validated(part, own) for part, own, _ in parts):
                return False
            editor.execute(statement, params=None)
            return True

        done = bool(self._constraint_is_validated(table, name))
        while not done:
            for part, own, words in self._foreign_key_parts(table, name, statement):
                self._add_foreign_key_on(editor, part, own, parent, words)
            done = self.patiently(_both_ends(table, parent), complete)

    def _add_foreign_key_on(
        self, editor: BaseDatabaseSchemaEditor, table: str, name: str, parent: str, statement: str
    ) -> None:
        validate = f"ALTER TABLE {self._quote(table)} VALIDATE CONSTRAINT {self._quote(name)}"
        add = f"{statement} NOT VALID"
        if editor.collect_sql:
            new = partial(editor.execute, add, params=None)
            self._locked(editor, _both_ends(table, parent), new)
            editor.execute(validate, params=None)
            return
        validated = self._constraint_is_validated(table, name)
        if validated is None:
            self.patiently(_both_ends(table, parent), lambda: editor.execute(add, params=None))
        if validated:
            return
        try:
            with self.unhurried():
                editor.execute(validate, params=None)
        except DatabaseError as error:
            if sqlstate(error) != FOREIGN_KEY_VIOLATION:
                raise
            raise DataInTheWay(
                f"Rows of {table} point at rows of {parent} that are not there "
                f"(constraint {name}).",
                changed="The foreign key is left NOT VALID: it keeps new such rows out.",
                do="Remove or correct those rows, then run migrate again.",
            ) from error
