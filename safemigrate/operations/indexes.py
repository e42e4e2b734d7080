"""Indexes of existing tables: built and dropped while reads and writes go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.operations.fields import FieldOperation

from safemigrate.facts.phases import Phase
from safemigrate.operations.base import Postponable, SafeOperation, Way

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState
    from django.db.models import Field, Index


class AddIndexConcurrently(SafeOperation, migrations.AddIndex):
    """
    Build an index while reads and writes go on.

    Locks:   PostgreSQL SHARE UPDATE EXCLUSIVE for the whole build.
    Re-run:  does nothing if the index is valid; drops and rebuilds one left INVALID.
    Back:    drops the index concurrently.
    Raises:  NeedsAutocommit in a migration without ``atomic = False``; DataInTheWay for
             duplicates under a unique index; DeadlinePassed.
    Source:  https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
    """

    phase = Phase.EXPAND

    def __init__(self, model_name: str, index: Index) -> None:
        super().__init__(model_name, index)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name):
            model = state.models[app_label, self.model_name_lower]
        for name, _ in self.index.fields_orders:
            with self._found(app_label, self.model_name, name):
                model.get_field(name)
        super().state_forwards(app_label, state)

    def forwards(self, way: Way) -> None:
        self._build(way.app_label, way.editor, way.after)

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.before, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.drop_index(way.editor, model, self.index.name)

    def _build(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState
    ) -> None:
        model = self._model(app_label, state, self.model_name)
        if backend := self._backend(schema_editor, model):
            backend.create_index(
                schema_editor,
                model,
                self.index.name,
                lambda: backend.index_sql(schema_editor, model, self.index),
            )

    def describe(self) -> str:
        return f"Build index {self.index.name} on {self.model_name}, concurrently"

    def reduce(self, operation: Any, app_label: str) -> Any:
        if isinstance(operation, migrations.RemoveIndex) and self.index.name == operation.name:
            return []
        # Renamed before it is built, it is still an index to be built concurrently; the stock
        # reduce of Django 5.1 answered with a plain AddIndex here.
        if isinstance(operation, migrations.RenameIndex) and self.index.name == operation.old_name:
            index = self.index.clone()
            index.name = operation.new_name
            return [type(self)(self.model_name, index)]
        return super(migrations.AddIndex, self).reduce(operation, app_label)


class RemoveIndexConcurrently(Postponable, migrations.RemoveIndex):
    """
    Drop an index while reads and writes go on.

    It is a contract: older code may send queries that are slow without it, during the rollout
    and after a rollback, and newer code only pays for keeping it. ``after_rollout=False`` drops
    it before the rollout.

    Locks:   PostgreSQL SHARE UPDATE EXCLUSIVE while it waits for transactions that use it.
    Re-run:  does nothing if the index is gone.
    Back:    builds the index concurrently.
    Raises:  NeedsAutocommit in a migration without ``atomic = False``.
    Source:  https://www.postgresql.org/docs/current/sql-dropindex.html
    """

    phase = Phase.CONTRACT

    def __init__(self, model_name: str, name: str, after_rollout: bool = True) -> None:
        self._wait(after_rollout)
        super().__init__(model_name, name)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        self._option(app_label, state, self.model_name, "indexes", self.name)
        super().state_forwards(app_label, state)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.before, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.drop_index(way.editor, model, self.name)

    def backwards(self, way: Way) -> None:
        index = self._option(way.app_label, way.after, self.model_name, "indexes", self.name)
        AddIndexConcurrently(self.model_name, index)._build(way.app_label, way.editor, way.after)

    def describe(self) -> str:
        return f"Drop index {self.name} of {self.model_name}, concurrently"


class AddFieldIndexConcurrently(SafeOperation, FieldOperation):
    """
    Build what ``db_index=True`` or ``unique=True`` of a field mean, while writes go on.

    That is the index, for text its ``_like`` twin, and for a unique field the constraint, made
    of a unique index that is ready. With ``field`` the state's field is replaced by it; without,
    the state knows the field already in its final form.

    Locks:   PostgreSQL SHARE UPDATE EXCLUSIVE for each build; ACCESS EXCLUSIVE for an instant
             to make a unique index the constraint.
    Re-run:  builds only what is missing or INVALID.
    Back:    drops constraint and indexes.
    Raises:  NeedsAutocommit in a migration without ``atomic = False``; DataInTheWay for
             duplicates; DeadlinePassed.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT-USING-INDEX
    """

    phase = Phase.EXPAND
    category = OperationCategory.ADDITION
    field: Field[Any, Any] | None

    def __init__(self, model_name: str, name: str, field: Field[Any, Any] | None = None) -> None:
        super().__init__(model_name, name, field)

    def plain(self, app_label: str, before: ProjectState) -> list[Operation]:
        if self.field is None:
            return []
        return [migrations.AlterField(self.model_name, self.name, self.field)]

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name, self.name):
            state.models[app_label, self.model_name_lower].get_field(self.name)
        if self.field is not None:
            state.alter_field(
                app_label, self.model_name_lower, self.name, self.field, preserve_default=True
            )

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.add_field_indexes(way.editor, model, self._field(model, self.name))

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.before, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.drop_field_indexes(way.editor, model, self._field(model, self.name))

    def describe(self) -> str:
        return f"Build the indexes of {self.model_name}.{self.name}, concurrently"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name_lower}_{self.name_lower}_index"
