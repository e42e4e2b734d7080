"""A column under another name: a second one beside it, kept the same, until the old one goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.operations.fields import FieldOperation

from safemigrate.backends.fields import column_of, variant
from safemigrate.backends.renaming import Renaming
from safemigrate.backends.together import Shadow
from safemigrate.facts.phases import Phase
from safemigrate.operations.base import SafeOperation, Way
from safemigrate.operations.redefining import renamed
from safemigrate.operations.shadows import copy, copying, rendered, there

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState
    from django.db.models import Field

    from safemigrate.backends import Backend


class _RenamedField(SafeOperation, FieldOperation):
    """
    A step of the way to another name of a field and its column.

    ``field``: for another ``db_column`` alone, the names being the same: in the first step the
    field as it will be, in the later ones as it was. In the first step also what else changes in
    Python alone.
    """

    category = OperationCategory.ALTERATION
    field: Field[Any, Any] | None

    def __init__(
        self, model_name: str, old_name: str, new_name: str, field: Field[Any, Any] | None = None
    ) -> None:
        self.old_name = old_name
        self.new_name = new_name
        super().__init__(model_name, new_name, field)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        kwargs: dict[str, Any] = {
            "model_name": self.model_name,
            "old_name": self.old_name,
            "new_name": self.new_name,
        }
        if self.field is not None:
            kwargs["field"] = self.field
        return type(self).__name__, [], kwargs

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name, self.new_name):
            state.models[app_label, self.model_name_lower].get_field(self.new_name)

    def references_field(self, model_name: str, name: str, app_label: str) -> bool:
        return model_name.lower() == self.model_name_lower

    def reduce(self, operation: Operation, app_label: str) -> Any:
        # The stock one knows one name alone.
        return Operation.reduce(self, operation, app_label)

    def _before(self, app_label: str, state: ProjectState) -> ProjectState:
        """The state with the field as it was, from one with the field as it is now."""
        before = state.clone()
        _rename(before, app_label, self, self.new_name, self.old_name)
        return before

    def _renaming(self, app_label: str, before: ProjectState, after: ProjectState) -> Renaming:
        old = self._field(self._model(app_label, before, self.model_name), self.old_name)
        now = self._field(self._model(app_label, after, self.model_name), self.new_name)
        model: Any = rendered(before).get_model(app_label, self.model_name)
        new = model._meta.get_field(self.old_name)
        new.column = new.db_column = column_of(now)
        new.__dict__.pop("cached_col", None)
        return Renaming(old, new)

    def _ours(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState
    ) -> Backend | None:
        return self._backend(schema_editor, self._model(app_label, state, self.model_name))

    def _copy(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        state: ProjectState,
        name: str,
        column: str,
    ) -> None:
        """From the field ``name`` of ``state`` to ``column`` of its table."""
        backend = self._ours(app_label, schema_editor, state)
        field = self._field(self._model(app_label, state, self.model_name), name)
        if backend and there(schema_editor, backend, field.model._meta.db_table, column):
            shadow = Shadow(field, field, variant(field, column=column), "")
            copy(schema_editor, app_label, copying(backend, shadow, rendered(state)))


_OVER_FIELDS = (
    ("indexes", migrations.RemoveIndex, migrations.AddIndex),
    ("constraints", migrations.RemoveConstraint, migrations.AddConstraint),
)


class AddRenamedField(_RenamedField):
    """
    Rename a field: add a column of the new name, and keep both the same.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does nothing if the column is there.
    Back:    drops the new column, and what keeps the two the same.
    Raises:  NeedsAutocommit; PlanRefused naming what hangs on the column and is in no model.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """

    phase = Phase.EXPAND

    def plain(self, app_label: str, before: ProjectState) -> list[Operation]:
        if self.field is not None:
            return [migrations.AlterField(self.model_name, self.new_name, self.field)]
        model, options = self.model_name, before.models[app_label, self.model_name_lower].options
        gone: list[Operation] = []
        come: list[Operation] = [migrations.RenameField(model, self.old_name, self.new_name)]
        for option, remove, add in _OVER_FIELDS:
            for thing in options.get(option, ()):
                now = renamed(thing, {self.old_name: self.new_name})
                if now != thing:
                    gone.append(remove(model, thing.name))
                    come.append(add(model, now))
        return [*gone, *come]

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name, self.old_name):
            state.models[app_label, self.model_name_lower].get_field(self.old_name)
        _rename(state, app_label, self, self.old_name, self.new_name)

    def forwards(self, way: Way) -> None:
        if backend := self._ours(way.app_label, way.editor, way.after):
            backend.begin_rename(way.editor, self._renaming(way.app_label, way.before, way.after))

    def backwards(self, way: Way) -> None:
        if backend := self._ours(way.app_label, way.editor, way.after):
            renaming = self._renaming(way.app_label, way.after, way.before)
            backend.end_rename(way.editor, renaming.back)

    def describe(self) -> str:
        return f"Add the column of {self.model_name}.{self.new_name}, which was {self.old_name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"rename_{self.old_name}_{self.model_name}_{self.new_name}".lower()


class CopyRenamedField(_RenamedField):
    """
    Copy a renamed field's values to its new column, in batches, while the table is in use.

    Locks:   row locks for one batch, about ``SAFEMIGRATE["BATCH_DURATION"]``.
    Re-run:  goes on after the last batch that was committed.
    Back:    nothing: the copies go with their column.
    Raises:  NeedsAutocommit; BackfillFailed saying what is done and where it stopped.
    """

    phase = Phase.BACKFILL

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        column = column_of(self._field(model, self.new_name))
        before = self._before(way.app_label, way.after)
        backend = self._ours(way.app_label, way.editor, way.after)
        old = column_of(
            self._field(self._model(way.app_label, before, self.model_name), self.old_name)
        )
        if backend and there(way.editor, backend, model._meta.db_table, old):
            self._copy(way.app_label, way.editor, before, self.old_name, column)

    def backwards(self, way: Way) -> None:
        """The copies go with their column."""

    def describe(self) -> str:
        return f"Copy {self.model_name}.{self.old_name} to {self.new_name} in batches"

    @property
    def migration_name_fragment(self) -> str:
        return f"copy_{self.old_name}_{self.model_name}_{self.new_name}".lower()


class CompleteRenamedField(_RenamedField):
    """
    Build the indexes and constraints of a renamed field on its new column.

    Their final names are free when the old column has gone; until then they have names of ours.

    Locks:   PostgreSQL SHARE UPDATE EXCLUSIVE to build and validate; ACCESS EXCLUSIVE for an
             instant to add what is validated then, on the tables it refers to as well.
    Re-run:  builds what is missing or INVALID.
    Back:    lets the new column be NULL; the rest goes with it.
    Raises:  NeedsAutocommit; DataInTheWay for rows that break a constraint NOT VALID until now.
    """

    phase = Phase.BACKFILL

    def forwards(self, way: Way) -> None:
        if backend := self._ours(way.app_label, way.editor, way.after):
            before = self._before(way.app_label, way.after)
            backend.complete_rename(way.editor, self._renaming(way.app_label, before, way.after))

    def backwards(self, way: Way) -> None:
        if backend := self._ours(way.app_label, way.editor, way.after):
            before = self._before(way.app_label, way.after)
            new = self._renaming(way.app_label, before, way.after).new
            if not new.null and backend.commits_by_itself:
                backend.drop_not_null(way.editor, new.model, new)

    def describe(self) -> str:
        return f"Build what belongs to {self.model_name}.{self.new_name} on its new column"

    @property
    def migration_name_fragment(self) -> str:
        return f"complete_{self.model_name}_{self.new_name}".lower()


class DropRenamedField(_RenamedField):
    """
    Drop the column of a renamed field's old name, which no running code uses.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing, on the tables that
             it refers to as well.
    Re-run:  does nothing if it is gone.
    Back:    adds it again, with all values, indexes and constraints, and keeps both the same.
    Raises:  NeedsAutocommit; PlanRefused naming what depends on it.
    """

    phase = Phase.CONTRACT
    category = OperationCategory.REMOVAL

    def forwards(self, way: Way) -> None:
        if backend := self._ours(way.app_label, way.editor, way.after):
            before = self._before(way.app_label, way.after)
            backend.end_rename(way.editor, self._renaming(way.app_label, before, way.after))

    def backwards(self, way: Way) -> None:
        backend = self._ours(way.app_label, way.editor, way.after)
        if backend is None or not backend.commits_by_itself:
            return  # where nobody else is waiting there was never a second column
        renaming = self._renaming(
            way.app_label, self._before(way.app_label, way.after), way.after
        ).back
        backend.begin_rename(way.editor, renaming)
        column = column_of(renaming.new)
        self._copy(way.app_label, way.editor, way.after, self.new_name, column)
        backend.complete_rename(way.editor, renaming)

    def describe(self) -> str:
        return f"Drop the column of {self.model_name}.{self.old_name}, now {self.new_name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"renamed_{self.old_name}_{self.model_name}_{self.new_name}".lower()


def _rename(
    state: ProjectState, app_label: str, operation: _RenamedField, old: str, new: str
) -> None:
    """The field and what is declared over it; Django renames in ``unique_together`` alone."""
    model_key = app_label, operation.model_name_lower
    if old != new:
        options = state.models[model_key].options
        for option in ("indexes", "constraints"):
            if option in options:
                options[option] = [renamed(thing, {old: new}) for thing in options[option]]
        state.rename_field(*model_key, old, new)
    if operation.field is not None:
        state.alter_field(*model_key, new, operation.field, True)
