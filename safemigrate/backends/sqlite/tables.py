"""Indexes, constraints, columns and tables, by Django's own means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db.models import BaseConstraint, Index
from django.db.models.fields import NOT_PROVIDED

from safemigrate.backends.base import IndexState
from safemigrate.backends.fields import column_of, columns_of, named, through_of, variant
from safemigrate.backends.moving import Move
from safemigrate.backends.renaming import Renaming
from safemigrate.backends.sqlite.alone import Alone
from safemigrate.backends.statements import index_of, inline_column, name_of
from safemigrate.backends.together import Shadow

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.backends.ddl_references import Statement
    from django.db.models import Field, Model


class Tables(Alone):
    """The end of each step is the same as on a server; the way there is the short one."""

    def has_table(self, table: str) -> bool:
        return table in self.connection.introspection.table_names()

    def has_column(self, table: str, column: str) -> bool:
        with self.connection.cursor() as cursor:
            found = self.connection.introspection.get_table_description(cursor, table)
        return column in {info.name for info in found}

    def index_state(self, table: str, name: str) -> IndexState:
        with self.connection.cursor() as cursor:
            found = self.connection.introspection.get_constraints(cursor, table)
        return IndexState.VALID if name in found else IndexState.ABSENT

    def create_index(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        name: str,
        build: Callable[[], Statement | str],
    ) -> None:
        if editor.collect_sql or self.index_state(model._meta.db_table, name) is IndexState.ABSENT:
            editor.execute(build(), params=None)

    def index_sql(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], index: Index
    ) -> Statement:
        return index.create_sql(model, editor)

    def add_field_indexes(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        if field.unique and not field.primary_key and self._changes(editor, model, field, True):
            with self._as_it_is(editor, model):
                found = variant(field, null=field.null)
                editor.alter_field(model, variant(found, unique=False, db_index=False), found)
        if statement := index_of(editor, model, field):
            self.create_index(editor, model, name_of(statement), lambda: statement)

    def drop_field_indexes(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        if field.unique and not field.primary_key and self._changes(editor, model, field, False):
            with self._as_it_is(editor, model):
                found = variant(field, null=field.null)
                editor.alter_field(model, found, variant(found, unique=False, db_index=False))
        if statement := index_of(editor, model, field):
            self.drop_index(editor, model, name_of(statement))

    def _changes(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        unique: bool,
    ) -> bool:
        return editor.collect_sql or unique is not self._is_unique(model, [field.name])

    def drop_index(self, editor: BaseDatabaseSchemaEditor, model: type[Model], name: str) -> None:
        if not editor.collect_sql and (
            self.index_state(model._meta.db_table, name) is IndexState.ABSENT
        ):
            return
        editor.execute(f"DROP INDEX {self.connection.ops.quote_name(name)}", params=None)

    def rename(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: BaseConstraint | Index,
        new: BaseConstraint | Index,
    ) -> None:
        self._drop(editor, model, old)
        self._add(editor, model, new)

    def replace(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: BaseConstraint | Index,
        new: BaseConstraint | Index,
    ) -> None:
        if editor.collect_sql or self._has(model, new):
            self._drop(editor, model, old)
            self._drop(editor, model, new)
            self._add(editor, model, named(new, old.name))

    def put_back(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: BaseConstraint | Index,
        new: BaseConstraint | Index,
    ) -> None:
        if editor.collect_sql or not self._has(model, new):
            self._drop(editor, model, named(new, old.name))
            self._add(editor, model, old)
            self._add(editor, model, new)

    def add_constraint(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], constraint: BaseConstraint
    ) -> None:
        self._add(editor, model, constraint)

    def drop_constraint(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], constraint: BaseConstraint
    ) -> None:
        self._drop(editor, model, constraint)

    def alter_unique_together(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Iterable[Sequence[str]],
        new: Iterable[Sequence[str]],
    ) -> None:
        was, becomes = {tuple(names) for names in old}, {tuple(names) for names in new}
        if editor.collect_sql or any(
            self._is_unique(model, names) is not (names in becomes) for names in was ^ becomes
        ):
            with self._as_it_is(editor, model):
                editor.alter_unique_together(model, list(was), list(becomes))

    def _is_unique(self, model: type[Model], names: Sequence[str]) -> bool:
        columns = columns_of(model, names)
        found = self._constraints(model).values()
        return any(c["unique"] and c["columns"] == columns for c in found)

    def _add(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], thing: BaseConstraint | Index
    ) -> None:
        if not editor.collect_sql and self._has(model, thing):
            return
        if isinstance(thing, BaseConstraint) and thing.create_sql(model, editor) is None:
            return  # SQLite has no such thing; Django warned about it
        with self._as_it_is(editor, model):
            if isinstance(thing, BaseConstraint):
                editor.add_constraint(model, thing)
            else:
                editor.add_index(model, thing)

    def _drop(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], thing: BaseConstraint | Index
    ) -> None:
        """``model`` is the one without it: Django makes the table anew from that."""
        if not editor.collect_sql and not self._has(model, thing):
            return
        with self._as_it_is(editor, model):
            if isinstance(thing, BaseConstraint):
                editor.remove_constraint(model, thing)
            else:
                editor.remove_index(model, thing)

    def _has(self, model: type[Model], thing: BaseConstraint | Index) -> bool:
        return thing.name in self._constraints(model)

    def _constraints(self, model: type[Model]) -> dict[str, Any]:
        with self.connection.cursor() as cursor:
            found: dict[str, Any] = self.connection.introspection.get_constraints(
                cursor, model._meta.db_table
            )
        return found

    def add_column(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        database_default: Any,
    ) -> None:
        if field.many_to_many:
            if through := through_of(field):
                self.create_table(editor, through)
            return
        if not editor.collect_sql and self.has_column(model._meta.db_table, column_of(field)):
            return
        final = variant(field, db_index=False, unique=False)
        constant = database_default is not NOT_PROVIDED and not hasattr(
            database_default, "resolve_expression"
        )
        if not field.has_db_default():
            final.null = field.null or not constant
            final.default = database_default if constant else NOT_PROVIDED
        with self._as_it_is(editor, model):
            editor.add_field(model, final)

    def drop_column(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        if field.many_to_many:
            if through := through_of(field):
                self.drop_table(editor, through)
            return
        if editor.collect_sql or self.has_column(model._meta.db_table, column_of(field)):
            with self._as_it_is(editor, model):
                editor.remove_field(model, field)

    def alter_column(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        new: Field[Any, Any],
        *,
        for_both: bool,
    ) -> None:
        """All at once but NOT NULL, which waits until the rows are filled."""
        form = variant(new, null=new.null or (for_both and old.null))
        if editor.collect_sql or not self._has_form(editor, model, old, form):
            with self._as_it_is(editor, model):
                editor.alter_field(model, old, form)

    def _has_form(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        old: Field[Any, Any],
        form: Field[Any, Any],
    ) -> bool:
        """Whether the table's definition says of the column what Django would write there."""
        table = model._meta.db_table
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT sql FROM sqlite_master WHERE name = %s", [table])
            written = cursor.fetchone()[0]
        wanted, unwanted = index_of(editor, model, form), index_of(editor, model, old)
        indexed = [
            self.index_state(table, name_of(statement)) is IndexState.VALID
            for statement in (wanted or unwanted,)
            if statement
        ]
        words = inline_column(editor, model, form)
        return any(words + end in written for end in ",)") and indexed in ([], [bool(wanted)])

    def set_not_null(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        if editor.collect_sql or self._is_null(model, field):
            final = variant(field, null=field.null)
            with self._as_it_is(editor, model):
                editor.alter_field(model, variant(field, null=True), final)

    def drop_not_null(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        if editor.collect_sql or not self._is_null(model, field):
            with self._as_it_is(editor, model):
                editor.alter_field(model, variant(field, null=False), variant(field, null=True))

    def _is_null(self, model: type[Model], field: Field[Any, Any]) -> bool:
        return field.column in self._nullable(model)

    def _nullable(self, model: type[Model]) -> set[str]:
        with self.connection.cursor() as cursor:
            found = self.connection.introspection.get_table_description(
                cursor, model._meta.db_table
            )
        return {info.name for info in found if info.null_ok}

    @contextmanager
    def _as_it_is(self, editor: BaseDatabaseSchemaEditor, model: type[Model]) -> Iterator[None]:
        """
        Inside, the model's fields are as nullable as their columns.

        Django makes the table anew from the model, which knows fields in their final form; a
        column that is still to be filled must stay as it is.
        """
        columns = set() if editor.collect_sql else self._nullable(model)
        fields = [f for f in model._meta.local_concrete_fields if f.column in columns]
        waiting = [field for field in fields if not field.null and not field.primary_key]
        for field in waiting:
            field.null = True
        try:
            yield
        finally:
            for field in waiting:
                field.null = False

    def create_table(self, editor: BaseDatabaseSchemaEditor, model: type[Model]) -> None:
        if editor.collect_sql or not self.has_table(model._meta.db_table):
            editor.create_model(model)

    def drop_table(self, editor: BaseDatabaseSchemaEditor, model: type[Model]) -> None:
        if editor.collect_sql or self.has_table(model._meta.db_table):
            # Not delete_model(): that takes the many-to-many tables along, or stumbles over them.
            quoted = self.connection.ops.quote_name(model._meta.db_table)
            editor.execute(f"DROP TABLE {quoted}", params=None)
            editor.deferred_sql = [
                sql
                for sql in editor.deferred_sql
                if not (
                    hasattr(sql, "references_table") and sql.references_table(model._meta.db_table)
                )
            ]

    def move_table(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        quote = self.connection.ops.quote_name
        if move.old_table != move.new_table and (
            editor.collect_sql or self.has_table(move.old_table)
        ):
            # Not alter_db_table(): that wants a model, and sends this.
            rename = f"RENAME TO {quote(move.new_table)}"
            editor.execute(f"ALTER TABLE {quote(move.old_table)} {rename}", params=None)
            for statement in editor.deferred_sql:
                if hasattr(statement, "rename_table_references"):
                    statement.rename_table_references(move.old_table, move.new_table)
        for old, new in move.columns.items():
            if editor.collect_sql or self.has_column(move.new_table, old):
                rename = f"RENAME COLUMN {quote(old)} TO {quote(new)}"
                editor.execute(f"ALTER TABLE {quote(move.new_table)} {rename}", params=None)

    def repoint(
        self, editor: BaseDatabaseSchemaEditor, was: Field[Any, Any], becomes: Field[Any, Any]
    ) -> None:
        moved = variant(was, column=column_of(becomes))
        self.alter_column(editor, becomes.model, moved, becomes, for_both=True)

    def move_back(self, editor: BaseDatabaseSchemaEditor, move: Move) -> None:
        self.move_table(editor, move.back)

    def begin_rename(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        table = renaming.table
        names = {column_of(renaming.old): column_of(renaming.new)}
        self.move_table(editor, Move(table, table, names))

    def end_rename(self, editor: BaseDatabaseSchemaEditor, renaming: Renaming) -> None:
        self.begin_rename(editor, renaming)

    def swap_shadows(self, editor: BaseDatabaseSchemaEditor, shadows: Sequence[Shadow]) -> None:
        # The last one is the field itself; Django takes along the columns that refer to it.
        main = shadows[-1]
        if editor.collect_sql or self._kind(main.old) != str(main.new.db_type(self.connection)):
            with self._as_it_is(editor, main.old.model):
                editor.alter_field(main.old.model, main.old, main.new)

    def _kind(self, field: Field[Any, Any]) -> str:
        table = self.connection.ops.quote_name(field.model._meta.db_table)
        with self.connection.cursor() as cursor:
            cursor.execute(f"PRAGMA table_info({table})")
            return str({row[1]: row[2] for row in cursor.fetchall()}[column_of(field)]).lower()
