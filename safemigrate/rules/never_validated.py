"""W409."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation

from safemigrate.operations import ContractDrop
from safemigrate.operations.contrib import is_not_valid, is_validation
from safemigrate.operations.phases import flat
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Placed, rule
from safemigrate.rules.sql import sent


@rule("W409", "never-validated", about=Placed)
def never_validated(placed: Placed) -> Iterator[Finding]:
    """A constraint is added NOT VALID, and nothing ever validates it."""
    added = [o for o in flat(placed.migration.operations) if is_not_valid(o)]
    if not added:
        return
    after = [placed.migration, *placed.after()]
    for operation in added:
        if not _is_settled(operation, after, placed.migration.app_label):
            yield _finding(operation)


def _is_settled(added: Any, after: Sequence[Migration], app_label: str) -> bool:
    """Whether it is validated or removed, or goes with its table; SQL counts if it names it."""
    return any(
        _settles(operation, added)
        for migration in after
        for operation in flat(migration.operations)
        if migration.app_label == app_label or isinstance(operation, migrations.RunSQL)
    )


def _settles(operation: Operation, added: Any) -> bool:
    name: str = added.constraint.name
    if isinstance(operation, migrations.RunSQL):
        return any(name.lower() in sql.lower() for sql in sent(operation.sql))
    found: Any = operation
    if is_validation(operation) or isinstance(operation, migrations.RemoveConstraint):
        return bool(found.name == name)
    model: str = added.model_name.lower()
    if isinstance(operation, ContractDrop):
        return operation.name is None and operation.model_name_lower == model
    if isinstance(operation, migrations.DeleteModel):
        return bool(operation.name_lower == model)
    # Under another name it can be followed no further.
    return isinstance(operation, migrations.RenameModel) and bool(operation.old_name_lower == model)


def _finding(operation: Any) -> Finding:
    name, model = operation.constraint.name, operation.model_name
    return Finding(
        what=f"{short(name, 40)} stays NOT VALID: nothing validates it.",
        why=(
            f"Rows of {model} that were there before may break it, and nobody finds out. The "
            "planner cannot rely on it, and a dump with such rows cannot be restored."
        ),
        steps=(
            f'ValidateConstraint("{model}", "{name}") of django.contrib.postgres.operations, in a '
            "migration of its own after this one.",
        ),
    )
