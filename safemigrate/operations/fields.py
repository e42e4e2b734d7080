"""Fields that come and go in steps, each of which the running code can live with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.models.fields import NOT_PROVIDED

from safemigrate.backends.fields import parent_of, through_of
from safemigrate.facts.defaults import comes_with_check, standing_default
from safemigrate.facts.phases import Phase
from safemigrate.operations.base import ColumnOperation, SafeOperation, Way
from safemigrate.operations.relations import add_foreign_keys

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState
    from django.db.models import Field, Model

    from safemigrate.backends import Backend


class ExpandField(SafeOperation, migrations.AddField):
    """
    Add a field's column so that code which does not know it can go on inserting.

    ``database_default``: left out, the column is nullable for now. A constant: it stays the
    column's default and existing rows have it at once. An expression: nullable, and the default
    of rows to come. Indexes, uniqueness and foreign keys are left to operations of their own;
    a many-to-many field gets its table. The CHECK of a positive integer is validated afterwards.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing; for a CHECK then
             SHARE UPDATE EXCLUSIVE while the rows are read.
    Re-run:  does nothing if the column is there; validates a CHECK that was left NOT VALID.
    Back:    drops the column.
    Raises:  NeedsAutocommit for a positive integer in a migration without ``atomic = False``.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """

    phase = Phase.EXPAND
    needs_autocommit = False

    def __init__(
        self,
        model_name: str,
        name: str,
        field: Field[Any, Any],
        preserve_default: bool = True,
        database_default: Any = NOT_PROVIDED,
    ) -> None:
        self.database_default = database_default
        # Its CHECK is validated after the column is there, not under the lock that adds it.
        self.needs_autocommit = comes_with_check(field)
        super().__init__(model_name, name, field, preserve_default)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        name, args, kwargs = super().deconstruct()
        if self.database_default is not NOT_PROVIDED:
            kwargs["database_default"] = self.database_default
        return name, list(args), kwargs

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name):
            state.models[app_label, self.model_name_lower]
        super().state_forwards(app_label, state)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            before = self._model(way.app_label, way.before, self.model_name)
            backend.add_column(
                way.editor, before, self._field(model, self.name), self.database_default
            )

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.before, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.drop_column(way.editor, model, self._field(model, self.name))

    def describe(self) -> str:
        return f"Add column {self.name} to {self.model_name} for both releases"

    def reduce(self, operation: Any, app_label: str) -> Any:
        if isinstance(operation, migrations.RemoveField) and self.is_same_field_operation(
            operation
        ):
            return []
        # The stock reduce would swallow a following AlterField or RenameField and, until 6.0,
        # answer with a plain AddField.
        return super(migrations.AddField, self).reduce(operation, app_label)


class SetNotNull(ColumnOperation):
    """
    Make a column NOT NULL, and end keeping it filled.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant to add a CHECK ... NOT VALID, SHARE
             UPDATE EXCLUSIVE while it is validated, ACCESS EXCLUSIVE for an instant at the end.
    Re-run:  goes on where it stopped.
    Back:    lets the column be NULL again.
    Raises:  NeedsAutocommit; DataInTheWay with the count of NULLs and the query to find them.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DROP-NOT-NULL
    """

    phase = Phase.CONTRACT
    needs_autocommit = True

    def change(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        backend.set_not_null(editor, model, field)

    def change_back(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        backend.drop_not_null(editor, model, field)

    def describe(self) -> str:
        return f"Make column {self.name} of {self.model_name} NOT NULL"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name_lower}_{self.name_lower}_not_null"


class DropDatabaseDefault(ColumnOperation):
    """
    Drop the database default that an expand left for older code.

    ``database_default``: what it was, for the way back.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does nothing if there is no default.
    Back:    sets the default again.
    """

    phase = Phase.CONTRACT

    def __init__(self, model_name: str, name: str, database_default: Any) -> None:
        self.database_default = database_default
        super().__init__(model_name, name)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        name, args, kwargs = super().deconstruct()
        return name, list(args), {**kwargs, "database_default": self.database_default}

    def change(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        backend.drop_default(editor, model, field)

    def change_back(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        backend.set_default(editor, model, field, self.database_default)

    def describe(self) -> str:
        return f"Drop the database default of {self.model_name}.{self.name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name_lower}_{self.name_lower}_drop_default"


class MakeFieldIgnorable(ColumnOperation):
    """
    Let code that no longer knows a field insert, and delete what the field refers to.

    The column gets a database default, or loses NOT NULL where there is no value to give; its
    foreign key is dropped. Older code goes on using it.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does what is missing.
    Back:    requires the column again; DataInTheWay if newer code has left NULLs.
    """

    phase = Phase.EXPAND
    needs_autocommit = True

    def change(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        if field.many_to_many:
            if through := through_of(field):
                backend.drop_foreign_keys(editor, through)
            return
        if field.remote_field:
            backend.drop_foreign_keys(editor, model, field)
        default = standing_default(field)
        if default is not NOT_PROVIDED:
            backend.set_default(editor, model, field, default)
        elif not field.null:
            backend.drop_not_null(editor, model, field)

    def change_back(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        if field.many_to_many:
            if through := through_of(field):
                add_foreign_keys(backend, editor, through)
            return
        if standing_default(field) is NOT_PROVIDED and not field.null:
            backend.set_not_null(editor, model, field)
        elif not field.has_db_default():
            backend.drop_default(editor, model, field)
        if parent_of(field):
            backend.add_foreign_key(editor, model, field)

    def check_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, before: ProjectState
    ) -> None:
        model = self._model(app_label, before, self.model_name)
        field = self._field(model, self.name)
        if field.many_to_many or field.null or standing_default(field) is not NOT_PROVIDED:
            return
        if backend := self._backend(schema_editor, model):
            backend.refuse_nulls(model, field)

    def describe(self) -> str:
        return f"Let new code ignore {self.model_name}.{self.name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"ignore_{self.model_name_lower}_{self.name_lower}"
