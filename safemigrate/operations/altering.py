"""A field that stays and changes, in forms that both releases can use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations

from safemigrate.facts.phases import Phase
from safemigrate.operations.base import ColumnOperation, SafeOperation, Way

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState
    from django.db.models import Field, Model

    from safemigrate.backends import Backend


class AlteringOperation(SafeOperation, migrations.AlterField):
    """What is Django's AlterField in the state, of a field that must be there."""

    def __init__(self, model_name: str, name: str, field: Field[Any, Any]) -> None:
        super().__init__(model_name, name, field)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name, self.name):
            state.models[app_label, self.model_name_lower].get_field(self.name)
        super().state_forwards(app_label, state)


class ExpandAlterField(AlteringOperation):
    """
    Change a field; its column as far as code that knows the old form can go on using it.

    At once: NULL allowed, a database default set, a comment, a type that is changed without
    looking at a row, uniqueness and indexes, concurrently. Dropped: the CHECK, uniqueness, index
    and foreign key that the new form has not. A foreign key by which the server shall delete or
    change rows by itself is built beside the old one, and takes its place. Left to operations of
    their own in a later release: NOT NULL, a default to drop, a CHECK or foreign key to add, and
    one by which the server no longer does so.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing; SHARE UPDATE
             EXCLUSIVE while indexes are built or dropped.
    Re-run:  does what is missing.
    Back:    the old form, with all that it requires; DataInTheWay if newer code has left NULLs.
    Raises:  NeedsAutocommit; DataInTheWay for duplicates; DeadlinePassed.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """

    phase = Phase.EXPAND

    def forwards(self, way: Way) -> None:
        self._alter(way.app_label, way.editor, way.before, way.after, for_both=True)

    def backwards(self, way: Way) -> None:
        self._alter(way.app_label, way.editor, way.before, way.after, for_both=False)

    def _alter(
        self,
        app_label: str,
        editor: BaseDatabaseSchemaEditor,
        before: ProjectState,
        after: ProjectState,
        for_both: bool,
    ) -> None:
        model = self._model(app_label, after, self.model_name)
        if backend := self._backend(editor, model):
            old_model = self._model(app_label, before, self.model_name)
            old, new = self._field(old_model, self.name), self._field(model, self.name)
            backend.alter_column(editor, model, old, new, for_both=for_both)

    def check_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, before: ProjectState
    ) -> None:
        model = self._model(app_label, before, self.model_name)
        field = self._field(model, self.name)
        if field.null:
            return
        if backend := self._backend(schema_editor, model):
            backend.refuse_nulls(model, field)

    def describe(self) -> str:
        return f"Change {self.model_name}.{self.name} for both releases"

    @property
    def migration_name_fragment(self) -> str:
        return f"alter_{self.model_name_lower}_{self.name_lower}"

    def reduce(self, operation: Any, app_label: str) -> Any:
        # The stock reduce would give way to a following AlterField, and carry a rename in front.
        return super(migrations.AlterField, self).reduce(operation, app_label)


class ContractFieldCheck(ColumnOperation):
    """
    Add the CHECK that comes with a field's type, such as that of PositiveIntegerField.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant to add it NOT VALID, SHARE UPDATE
             EXCLUSIVE while it is validated.
    Re-run:  validates what was left NOT VALID; does nothing if it is valid.
    Back:    drops the CHECK.
    Raises:  NeedsAutocommit; DataInTheWay with the count of rows and the query to find them.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-VALIDATE-CONSTRAINT
    """

    phase = Phase.CONTRACT
    needs_autocommit = True

    def change(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        backend.add_field_check(editor, model, field)

    def change_back(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        backend.drop_field_check(editor, model, field)

    def describe(self) -> str:
        return f"Check {self.model_name}.{self.name} in all rows"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name_lower}_{self.name_lower}_check"
