"""The hidden column behind ``order_with_respect_to``: it comes and goes like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import migrations
from django.db.migrations.operations.base import OperationCategory

from safemigrate.facts.defaults import standing_default
from safemigrate.facts.phases import Phase
from safemigrate.operations.base import SafeOperation, Way

if TYPE_CHECKING:
    from django.db.migrations.state import ProjectState

ORDER = "_order"


class AddOrderColumn(SafeOperation, migrations.AlterOrderWithRespectTo):
    """
    Add the column of ``order_with_respect_to`` so that code which does not know it can insert.

    Existing rows and those of older code have 0 there, as with Django's own operation.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does nothing if the column is there.
    Back:    drops the column.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """

    phase = Phase.EXPAND
    needs_autocommit = False

    def __init__(self, name: str, order_with_respect_to: str) -> None:
        super().__init__(name, order_with_respect_to)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.name, str(self.order_with_respect_to)):
            state.models[app_label, self.name_lower].get_field(self.order_with_respect_to)
        super().state_forwards(app_label, state)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.name)
        if backend := self._backend(way.editor, model):
            before = self._model(way.app_label, way.before, self.name)
            field = self._field(model, ORDER)
            backend.add_column(way.editor, before, field, standing_default(field))

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.before, self.name)
        if backend := self._backend(way.editor, model):
            backend.drop_column(way.editor, model, self._field(model, ORDER))

    def describe(self) -> str:
        return f"Add the order of {self.name} within {self.order_with_respect_to} for both releases"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.name_lower}_order"


class DropOrderColumn(SafeOperation, migrations.AlterOrderWithRespectTo):
    """
    Drop the column of an ``order_with_respect_to`` that no running code uses.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does nothing if it is gone.
    Back:    adds the column again, 0 in every row, in a form that newer code can ignore.
    Raises:  PlanRefused naming what depends on it.
    """

    phase = Phase.CONTRACT
    needs_autocommit = False
    category = OperationCategory.REMOVAL

    def __init__(self, name: str) -> None:
        super().__init__(name, None)

    def deconstruct(self) -> tuple[str, list[str], dict[str, str]]:
        return type(self).__name__, [], {"name": self.name}

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.name, ORDER):
            if not state.models[app_label, self.name_lower].options.get("order_with_respect_to"):
                raise LookupError(ORDER)
        super().state_forwards(app_label, state)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.before, self.name)
        if backend := self._backend(way.editor, model):
            backend.drop_column(way.editor, model, self._field(model, ORDER))

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.name)
        if backend := self._backend(way.editor, model):
            field = self._field(model, ORDER)
            backend.add_column(way.editor, model, field, standing_default(field))

    def describe(self) -> str:
        return f"Drop the order column of {self.name}, which no running code uses"

    @property
    def migration_name_fragment(self) -> str:
        return f"drop_{self.name_lower}_order"
