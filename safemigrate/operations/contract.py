"""The end of a field or a model: removed in a later deploy, once nothing uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.models import QuerySet

from safemigrate.backends.fields import through_of
from safemigrate.facts.defaults import standing_default
from safemigrate.facts.errors import PlanRefused
from safemigrate.facts.phases import Phase
from safemigrate.operations.base import SafeOperation, Way
from safemigrate.operations.relations import add_foreign_keys

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState
    from django.db.models import Model


class ContractDrop(SafeOperation):
    """
    Drop a field's column, or with no ``name`` a model's table, that no running code uses.

    ``migrate`` holds it back until a later release is deployed and no session of an older one
    is alive. Nothing that depends on the column is dropped with it (no CASCADE).

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does nothing if it is gone.
    Back:    adds the column or table again, empty, in a form that newer code can ignore.
    Raises:  PlanRefused naming what depends on it, or on the way back for a stored generated
             column, which would rewrite the table.
    Source:  https://www.postgresql.org/docs/current/ddl-depend.html
    """

    phase = Phase.CONTRACT
    category = OperationCategory.REMOVAL

    def __init__(self, model_name: str, name: str | None = None) -> None:
        self.model_name = model_name
        self.name = name

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        kwargs = {"model_name": self.model_name}
        if self.name is not None:
            kwargs["name"] = self.name
        return type(self).__name__, [], kwargs

    def plain(self, app_label: str, before: ProjectState) -> list[Operation]:
        if self.name is None:
            return [migrations.DeleteModel(self.model_name)]
        return [migrations.RemoveField(self.model_name, self.name)]

    @property
    def model_name_lower(self) -> str:
        return self.model_name.lower()

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name, self.name or ""):
            model = state.models[app_label, self.model_name_lower]
            if self.name is not None:
                model.get_field(self.name)
        if self.name is None:
            state.remove_model(app_label, self.model_name_lower)
        else:
            state.remove_field(app_label, self.model_name_lower, self.name)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.before, self.model_name)
        backend = self._backend(way.editor, model)
        if backend is None:
            return
        if self.name is None:
            for through in _own_tables(model):
                backend.drop_table(way.editor, through)
            backend.drop_table(way.editor, model)
            return
        backend.drop_column(way.editor, model, self._field(model, self.name))

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        backend = self._backend(way.editor, model)
        if backend is None:
            return
        if self.name is None:
            for table in (model, *_own_tables(model)):
                backend.create_table(way.editor, table)
            return
        field = self._field(model, self.name)
        if through := through_of(field):
            backend.create_table(way.editor, through)
        elif not field.many_to_many:
            backend.add_column(way.editor, model, field, standing_default(field))
            backend.add_field_indexes(way.editor, model, field)

    def check_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, before: ProjectState
    ) -> None:
        if self.name is None:
            return
        model = self._model(app_label, before, self.model_name)
        field: Any = self._field(model, self.name)
        backend = self._backend(schema_editor, model)
        if backend is None or not backend.commits_by_itself or not getattr(field, "db_persist", 0):
            return
        if QuerySet(model, using=schema_editor.connection.alias).exists():
            raise PlanRefused(
                f"{model._meta.label}.{self.name} is computed by the database and stored: to add "
                f"it again would rewrite {model._meta.db_table} while every query on it waits.",
                do="Go back no further than to the migration that drops it, or empty the table.",
            )

    def references_model(self, name: str, app_label: str) -> bool:
        # A field may refer to any model; a barrier is right for all of them.
        return True

    def describe(self) -> str:
        thing = "table of" if self.name is None else f"column {self.name} of"
        return f"Drop the {thing} {self.model_name}, which no running code uses"

    @property
    def migration_name_fragment(self) -> str:
        return "drop_" + "_".join(
            part.lower() for part in (self.model_name, self.name) if part is not None
        )


class MakeModelIgnorable(SafeOperation):
    """
    Let code that no longer knows a model delete what its rows refer to, and the other way.

    The foreign keys from and to its table are dropped. Older code goes on using it.

    Locks:   PostgreSQL ACCESS EXCLUSIVE on both ends of each foreign key, for an instant.
    Re-run:  drops what is left.
    Back:    adds the foreign keys that the model declares.
    """

    phase = Phase.EXPAND
    category = OperationCategory.ALTERATION

    def __init__(self, name: str) -> None:
        self.name = name

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.name):
            state.models[app_label, self.name.lower()]

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.before, self.name)
        if backend := self._backend(way.editor, model):
            for table in (*_own_tables(model), model):
                backend.drop_foreign_keys(way.editor, table)

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.name)
        if backend := self._backend(way.editor, model):
            for table in (model, *_own_tables(model)):
                add_foreign_keys(backend, way.editor, table)

    def describe(self) -> str:
        return f"Let new code ignore the table of {self.name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"ignore_{self.name.lower()}"


def _own_tables(model: type[Model]) -> list[type[Model]]:
    """The through tables that Django made for this model's many-to-many fields."""
    throughs = (through_of(field) for field in model._meta.local_many_to_many)
    return [through for through in throughs if through is not None]
