"""Foreign keys of columns that are there, added without checking rows under a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations

from safemigrate.backends.fields import parent_of
from safemigrate.facts.phases import Phase
from safemigrate.operations.base import ColumnOperation, Way

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.operations.base import Operation
    from django.db.migrations.state import ProjectState
    from django.db.models import Field, Model

    from safemigrate.backends import Backend


class AddForeignKey(ColumnOperation):
    """
    Add the foreign key of a column that is there already.

    Locks:   PostgreSQL SHARE ROW EXCLUSIVE on both tables for an instant to add it NOT VALID;
             SHARE UPDATE EXCLUSIVE on the child and ROW SHARE on the parent to validate it.
    Re-run:  validates what was left NOT VALID; does nothing if it is valid.
    Back:    drops the foreign key.
    Raises:  NeedsAutocommit; DataInTheWay for rows that point nowhere.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT
    """

    phase = Phase.EXPAND
    needs_autocommit = True

    def change(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        backend.add_foreign_key(editor, model, field)

    def change_back(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        backend.drop_foreign_keys(editor, model, field)

    def describe(self) -> str:
        return f"Add the foreign key of {self.model_name}.{self.name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name_lower}_{self.name_lower}_fk"


class ContractForeignKey(AddForeignKey):
    """
    Add the foreign key of a column that older code may still write anything into.

    ``migrate`` holds it back until no session of an older release is alive. With ``field`` the
    state's field, which had none so far, is replaced by it. With ``old_field``, the field as it was
    with DB_CASCADE, DB_SET_NULL or DB_SET_DEFAULT, it takes the place of the foreign key by which
    the server did that for older code.

    Locks:   as for AddForeignKey; ACCESS EXCLUSIVE on both tables for an instant to drop another.
    Re-run:  validates what was left NOT VALID; does nothing if it is valid.
    Back:    drops the foreign key, or puts that of ``old_field`` in its place.
    Raises:  NeedsAutocommit; DataInTheWay for rows that point nowhere.
    """

    phase = Phase.CONTRACT

    def __init__(
        self,
        model_name: str,
        name: str,
        field: Field[Any, Any] | None = None,
        old_field: Field[Any, Any] | None = None,
    ) -> None:
        super().__init__(model_name, name)
        self.field = field
        self.old_field = old_field

    def change(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        if self.old_field is None:
            super().change(backend, editor, model, field)
        else:
            backend.replace_foreign_key(editor, model, field)

    def backwards(self, way: Way) -> None:
        if self.old_field is None:
            super().backwards(way)
            return
        before = way.after.clone()
        before.alter_field(way.app_label, self.model_name_lower, self.name, self.old_field, True)
        model = self._model(way.app_label, before, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.replace_foreign_key(way.editor, model, self._field(model, self.name))

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        super().state_forwards(app_label, state)
        if self.field is not None:
            state.alter_field(app_label, self.model_name_lower, self.name, self.field, True)

    def plain(self, app_label: str, before: ProjectState) -> list[Operation]:
        if self.field is None:
            return []
        return [migrations.AlterField(self.model_name, self.name, self.field)]


def add_foreign_keys(
    backend: Backend, schema_editor: BaseDatabaseSchemaEditor, model: type[Model]
) -> None:
    """All foreign keys that ``model`` declares."""
    for field in model._meta.local_concrete_fields:
        if parent_of(field):
            backend.add_foreign_key(schema_editor, model, field)
