"""CHECK and unique constraints, and indexes that take another's name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.db.models import BaseConstraint, CheckConstraint, Index, UniqueConstraint

from safemigrate.backends.base import IndexState, project_settings
from safemigrate.backends.fields import columns_of, named
from safemigrate.backends.names import own_name
from safemigrate.backends.postgresql.columns import CHECK_VIOLATION, Columns
from safemigrate.backends.postgresql.indexes import Indexes
from safemigrate.backends.postgresql.locking import QUERY_CANCELED, sqlstate
from safemigrate.backends.statements import (
    check_of,
    condition_of,
    deferrable_of,
    is_backed,
    keys_of,
    unique_index_of,
    unique_together_of,
)
from safemigrate.facts.errors import DataInTheWay, DeadlinePassed, UnsupportedDatabase
from safemigrate.facts.locks import LockMode, TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.backends.ddl_references import Statement
    from django.db.models import Model

Named = BaseConstraint | Index


class Constraints(Columns, Indexes):
    """
    Locks: SHARE UPDATE EXCLUSIVE while rows are read, ACCESS EXCLUSIVE for an instant.

    Source: https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT
    """

    def add_constraint(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], constraint: BaseConstraint
    ) -> None:
        if isinstance(constraint, UniqueConstraint):
            self._add_unique_constraint(editor, model, constraint)
        elif isinstance(constraint, CheckConstraint):
            self._add_check_constraint(editor, model, constraint)
        else:
            raise TypeError(f"{constraint!r} can only be added the ordinary way.")

    def drop_constraint(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], constraint: BaseConstraint
    ) -> None:
        table, name = model._meta.db_table, constraint.name
        with self._dependents_named(f"constraint {name} of {table}"):
            if isinstance(constraint, UniqueConstraint):
                self._drop_unique_named(editor, model, name, is_backed(constraint))
            elif editor.collect_sql or self._has_constraint(table, name):
                self._locked(
                    editor, [TableLock(table)], lambda: self._drop_by_name(editor, table, name)
                )

    # Unique --------------------------------------------------------------------------------

    def _add_unique_constraint(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], unique: UniqueConstraint
    ) -> None:
        table, name = model._meta.db_table, unique.name
        if not editor.collect_sql and self._has_constraint(table, name):
            return
        self.create_unique_index(editor, model, unique, name)
        if is_backed(unique):
            self._locked(
                editor, [TableLock(table)], lambda: self.use_index(editor, model, unique, name)
            )

    def create_unique_index(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        unique: UniqueConstraint,
        name: str,
    ) -> None:
        """Build the index that ``unique`` is or rests on, under any name."""
        build, table = self._unique_statement(editor, model, unique, name), model._meta.db_table
        if is_backed(unique) and self._is_partitioned(table):
            deferrable = deferrable_of(editor, unique)
            self._add_unique_in_parts(editor, table, name, str(build), deferrable)
        else:
            self.create_index(editor, model, name, lambda: build)

    def use_index(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        unique: UniqueConstraint,
        index: str,
    ) -> None:
        """Make the finished index ``index`` the constraint; the caller holds ACCESS EXCLUSIVE."""
        table, deferrable = model._meta.db_table, deferrable_of(editor, unique)
        self._use_index(editor, table, unique.name, index, deferrable)

    def _unique_statement(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        unique: UniqueConstraint,
        name: str,
    ) -> Statement:
        statement = unique_index_of(editor, model, unique, name)
        if statement is None:
            version = ".".join(map(str, self.connection.get_database_version()))
            raise UnsupportedDatabase(
                f"The unique constraint {unique.name} with nulls_distinct needs PostgreSQL 15 or "
                f"newer, this server is {version}.",
                do="Leave nulls_distinct out, or upgrade the server first.",
            )
        return statement

    def alter_unique_together(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Iterable[Sequence[str]],
        new: Iterable[Sequence[str]],
    ) -> None:
        was, becomes = {tuple(names) for names in old}, {tuple(names) for names in new}
        for names in sorted(becomes - was):
            unique = unique_together_of(editor, model, names)
            columns = columns_of(model, names)
            self._note_made(editor, "INDEX", model._meta.db_table, unique.name, columns)
            self._add_unique_constraint(editor, model, unique)
        for names in sorted(was - becomes):
            for name in self._uniques_over(editor, model, names):
                self._drop_unique_named(editor, model, name)

    def _uniques_over(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], names: Sequence[str]
    ) -> list[str]:
        """
        The name of the constraint behind a tuple of ``unique_together``; empty if it is gone.

        A table that was renamed keeps the names it was made with.
        """
        usual = unique_together_of(editor, model, names).name
        columns = columns_of(model, names)
        others = {c.name for c in model._meta.constraints} | {i.name for i in model._meta.indexes}
        found = [
            name for name in self._uniques(model._meta.db_table, columns) if name not in others
        ]
        if usual in found or (editor.collect_sql and not found):
            return [usual]
        return found[:1]

    def _uniques(self, table: str, columns: Sequence[str]) -> list[str]:
        rows = self._ask(
            """
            SELECT c.conname FROM pg_constraint c
            WHERE c.conrelid = to_regclass(%s) AND c.contype = 'u' AND %s::text[] = (
                SELECT array_agg(a.attname::text ORDER BY k.place)
                FROM unnest(c.conkey) WITH ORDINALITY k (number, place)
                JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number)
            ORDER BY 1
            """,
            [self._regclass(table), [self._bare(column) for column in columns]],
        )
        return [self._printed.name(name) for (name,) in rows]

    # Check ---------------------------------------------------------------------------------

    def _add_check_constraint(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], check: CheckConstraint
    ) -> None:
        table, name = model._meta.db_table, check.name
        statement, _ = check_of(editor, model, check)
        add = f"{statement} NOT VALID"
        if editor.collect_sql:
            self._locked(editor, [TableLock(table)], lambda: editor.execute(add, params=None))
            self._validate(editor, table, name)
            return
        validated = self._constraint_is_validated(table, name)
        if validated:
            return
        try:
            if validated is None:
                # Before it is added: it would refuse every change of a row that breaks it.
                self.refuse_breaches(editor, model, check)
                self.patiently([TableLock(table)], lambda: editor.execute(add, params=None))
            self._validate(editor, table, name)
        except DatabaseError as error:
            raise self._check_failed(editor, model, check, error) or error from error

    def _check_failed(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        check: CheckConstraint,
        error: DatabaseError,
    ) -> Exception | None:
        table, name = model._meta.db_table, check.name
        if sqlstate(error) == QUERY_CANCELED:
            return DeadlinePassed(
                f"Checking all rows of {table} for {name} was stopped after "
                f"{project_settings().build_deadline} or by an administrator.",
                changed="A CHECK constraint NOT VALID may be left; it is used again.",
                do='Run migrate again; raise SAFEMIGRATE["BUILD_DEADLINE"] if the table is large.',
            )
        if sqlstate(error) != CHECK_VIOLATION:
            return None
        self.patiently([TableLock(table)], lambda: self._drop_by_name(editor, table, name))
        return self._broken_by_rows(editor, model, check)

    def _broken_by_rows(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], check: CheckConstraint
    ) -> DataInTheWay:
        table = model._meta.db_table
        breach = f"NOT ({check_of(editor, model, check)[1]})"
        return DataInTheWay(
            f"{self._how_many(table, breach)} of {table} break the check {check.name}.",
            do=f"Correct them (SELECT * FROM {self._quote(table)} WHERE {breach}), "
            "then run the same command again.",
        )

    # Rows that are in the way --------------------------------------------------------------

    def refuse_breaches(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], constraint: BaseConstraint
    ) -> None:
        table = model._meta.db_table
        if isinstance(constraint, CheckConstraint):
            breach = f"NOT ({check_of(editor, model, constraint)[1]})"
            if self._finds(f"SELECT 1 FROM {self._quote(table)} WHERE {breach}"):
                raise self._broken_by_rows(editor, model, constraint)
        elif isinstance(constraint, UniqueConstraint):
            keys = keys_of(editor, model, constraint)
            nullable = [] if constraint.nulls_distinct is False else keys
            condition = condition_of(editor, model, constraint)
            query = self._duplicates_query(table, keys, nullable, condition)
            if self._finds(query):
                raise DataInTheWay(
                    f"{constraint.name} cannot be unique on {table}: there are duplicates.",
                    do=f"Remove them ({query}), then run the same command again.",
                )

    def _finds(self, query: str) -> bool:
        with self.unhurried():
            return bool(self._ask(f"{query} LIMIT 1", None))

    # Names ---------------------------------------------------------------------------------

    def rename(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], old: Named, new: Named
    ) -> None:
        table = model._meta.db_table
        if not editor.collect_sql and not self._is_there(table, old.name):
            return
        backed = self._is_constraint(editor, table, old)
        mode = LockMode.ACCESS_EXCLUSIVE if backed else LockMode.SHARE_UPDATE_EXCLUSIVE
        locks = [TableLock(table, mode)]
        self._locked(editor, locks, lambda: self._send_rename(editor, table, old, new.name))

    def replace(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Named,
        new: Named,
    ) -> None:
        table = model._meta.db_table
        aside = own_name("old", table, old.name)

        def swap() -> None:
            if self._is_constraint(editor, table, old):
                self._drop_by_name(editor, table, old.name)
            elif editor.collect_sql or self._is_there(table, old.name):
                self._send_rename(editor, table, old, aside)
            self._send_rename(editor, table, new, old.name)

        # The one that is still under its own name tells that this has not happened yet.
        if editor.collect_sql or self._is_there(table, new.name):
            with self._dependents_named(f"constraint {old.name} of {table}"):
                self._locked(editor, [TableLock(table)], swap)
        if not editor.collect_sql or not self._is_constraint(editor, table, old):
            self.drop_index(editor, model, aside)

    def put_back(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Named,
        new: Named,
    ) -> None:
        table = model._meta.db_table
        aside = own_name("old", table, old.name)
        if not editor.collect_sql and self._is_there(table, new.name):
            return
        again: Any = named(old, aside)
        if isinstance(again, UniqueConstraint):
            self.create_unique_index(editor, model, again, aside)
        else:
            self.create_index(editor, model, aside, lambda: self.index_sql(editor, model, again))

        def swap() -> None:
            # What has the old one's name now is the new one.
            self._send_rename(editor, table, named(new, old.name), new.name)
            if isinstance(old, UniqueConstraint) and is_backed(old):
                self.use_index(editor, model, old, aside)
            else:
                self._send_rename(editor, table, again, old.name)

        self._locked(editor, [TableLock(table)], swap)

    def _send_rename(
        self, editor: BaseDatabaseSchemaEditor, table: str, thing: Named, name: str
    ) -> None:
        if self._is_constraint(editor, table, thing):
            rename = f"RENAME CONSTRAINT {self._quote(thing.name)} TO {self._quote(name)}"
            self._alter(editor, table, rename)
            return
        old = self._beside(editor, table, thing.name)
        editor.execute(f"ALTER INDEX {old} RENAME TO {self._quote(name)}", params=None)

    def _drop_by_name(self, editor: BaseDatabaseSchemaEditor, table: str, name: str) -> None:
        self._alter(editor, table, f"DROP CONSTRAINT {self._quote(name)}")

    def _has_constraint(self, table: str, name: str) -> bool:
        return self._constraint_is_validated(table, name) is not None

    def _is_there(self, table: str, name: str) -> bool:
        indexed = self.index_state(table, name) is not IndexState.ABSENT
        return indexed or self._has_constraint(table, name)

    def _is_constraint(self, editor: BaseDatabaseSchemaEditor, table: str, thing: Named) -> bool:
        """Whether it is more than an index: as found, or for ``sqlmigrate`` as Django makes it."""
        if not editor.collect_sql:
            return self._has_constraint(table, thing.name)
        if isinstance(thing, UniqueConstraint):
            return is_backed(thing)
        return isinstance(thing, BaseConstraint)
