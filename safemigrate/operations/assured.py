"""The way past a rule: an operation that somebody vouches for, with the reason."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from django.db.migrations.operations.base import Operation

from safemigrate.facts.assurance import made

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState


class Assured(Operation):
    """
    Run ``operation`` as it is, whatever the rules say. ``because`` says why it is safe here.

    ``until``: the last day on which that holds for the rules; it runs on any day.
    Locks, re-run and way back are those of the operation.
    """

    def __init__(self, operation: Operation, because: str, until: date | str | None = None) -> None:
        try:
            self.assurance = made(because, until)
        except ValueError as error:
            raise ValueError(f"Assured: {error}.") from error
        self.operation = operation
        self.because = because
        # Read by Django from the operation it runs; the class cannot know them.
        for name in ("reversible", "atomic", "reduces_to_sql", "category"):
            setattr(self, name, getattr(operation, name))

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        self.operation.state_forwards(app_label, state)

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self.operation.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self.operation.database_backwards(app_label, schema_editor, from_state, to_state)

    def references_model(self, name: str, app_label: str) -> bool:
        return self.operation.references_model(name, app_label)

    def references_field(self, model_name: str, name: str, app_label: str) -> bool:
        return self.operation.references_field(model_name, name, app_label)

    def describe(self) -> str:
        return f"{self.operation.describe()} (assured: {self.because})"

    @property
    def migration_name_fragment(self) -> Any:
        return self.operation.migration_name_fragment


def inner(operation: Operation) -> Operation:
    """The operation itself, without who vouches for it."""
    return inner(operation.operation) if isinstance(operation, Assured) else operation
