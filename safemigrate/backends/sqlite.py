"""SQLite: one process, one writer, no old code; everything is done by Django's own means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from django.db.models.fields import NOT_PROVIDED

from safemigrate.backends.base import Backend, IndexState, Session, Take, nothing
from safemigrate.backends.fields import variant
from safemigrate.facts.locks import TableLock

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Field, Model

T = TypeVar("T")


class SQLiteBackend(Backend):
    """The end of each step is the same as on a server; the way there is the short one."""

    vendor = "sqlite"
    commits_by_itself = False

    def retrying(self, locks: Sequence[TableLock], attempt: Callable[[Take], T]) -> T:
        return attempt(lambda: None)

    def bounded(self, wait: timedelta) -> AbstractContextManager[None]:
        return nothing()

    def unhurried(self) -> AbstractContextManager[None]:
        return nothing()

    def bound_transaction(self, wait: timedelta) -> None:
        """SQLite bounds every wait by the connection's own ``timeout``."""

    def lock_was_refused(self, error: BaseException) -> bool:
        return False

    def one_runner(self, wait: timedelta) -> AbstractContextManager[None]:
        return nothing()

    def sessions(self) -> list[Session]:
        return []

    def user(self) -> str:
        return ""

    def carry_release(self, release: str) -> None:
        """There is nobody who could ask."""

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
        build: Callable[[], object],
    ) -> None:
        if editor.collect_sql or self.index_state(model._meta.db_table, name) is IndexState.ABSENT:
            editor.execute(build(), params=None)  # type: ignore[arg-type]

    def index_sql(self, editor: BaseDatabaseSchemaEditor, model: type[Model], index: Any) -> object:
        return index.create_sql(model, editor)

    def add_field_indexes(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        if field.primary_key or not (field.db_index or field.unique):
            return
        if field.unique:
            editor.alter_field(model, variant(field, unique=False, db_index=False), field)
            return
        for name, statement in self._index_of(editor, model, field).items():
            self.create_index(editor, model, name, lambda statement=statement: statement)  # type: ignore[misc]

    def drop_field_indexes(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        if field.unique and not field.primary_key:
            editor.alter_field(model, field, variant(field, unique=False, db_index=False))
            return
        for name in self._index_of(editor, model, field):
            self.drop_index(editor, model, name)

    def _index_of(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> dict[str, Any]:
        statement = editor._create_index_sql(model, fields=[field])
        return {str(statement.parts["name"]).strip('"'): statement}

    def drop_index(self, editor: BaseDatabaseSchemaEditor, model: type[Model], name: str) -> None:
        quoted = self.connection.ops.quote_name(name)
        editor.execute(f"DROP INDEX IF EXISTS {quoted}", params=None)

    def add_column(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        database_default: Any,
    ) -> None:
        if not editor.collect_sql and self.has_column(model._meta.db_table, field.column):
            return
        constant = database_default is not NOT_PROVIDED and not hasattr(
            database_default, "resolve_expression"
        )
        default = database_default if constant else NOT_PROVIDED
        null = field.null or not constant
        column = variant(field, null=null, default=default, db_default=NOT_PROVIDED, db_index=False)
        editor.add_field(model, column)

    def drop_column(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        if editor.collect_sql or self.has_column(model._meta.db_table, field.column):
            editor.remove_field(model, field)

    def set_not_null(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        editor.alter_field(model, variant(field, null=True), field)

    def drop_not_null(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        editor.alter_field(model, variant(field, null=False), variant(field, null=True))

    def set_default(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        value: Any,
    ) -> None:
        """Not needed: no other code inserts meanwhile."""

    def drop_default(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """Nothing was set."""

    def drop_foreign_keys(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any] | None = None,
    ) -> None:
        """Not needed: no other code deletes meanwhile."""

    def add_foreign_key(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        """None was dropped."""

    def drop_table(self, editor: BaseDatabaseSchemaEditor, model: type[Model]) -> None:
        if editor.collect_sql or self.has_table(model._meta.db_table):
            editor.delete_model(model)

    def keep_filled(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], values: Mapping[str, Any]
    ) -> None:
        """Not needed: no other code inserts meanwhile."""

    def stop_filling(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], fields: Sequence[str]
    ) -> None:
        """Nothing was started."""
