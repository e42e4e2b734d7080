"""E204."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation

from safemigrate.operations import BatchedBackfill, ContractDrop, SetNotNull, StopFilling
from safemigrate.operations.phases import flat
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Placed, rule


@rule("E204", "filling-never-ends", about=Placed)
def filling_never_ends(placed: Placed) -> Iterator[Finding]:
    """A trigger that keeps a column filled is started and never ended, or cannot start."""
    for operation in flat(placed.migration.operations):
        if isinstance(operation, BatchedBackfill) and operation.keep_filled:
            yield from _of(operation, placed)


def _of(operation: BatchedBackfill, placed: Placed) -> Iterator[Finding]:
    model, values = operation.model_name, operation.values or {}
    if operation.function or any(_is_python(value) for value in values.values()):
        yield Finding(
            what=f"keep_filled on {short(model)} needs a value that the database can compute.",
            why=(
                "keep_filled is a trigger on the table, and a trigger cannot call Python: rows "
                "that the running release inserts would stay NULL."
            ),
            steps=(
                "Give an expression or a constant in values, or leave keep_filled out and use "
                "after_rollout=True, so that it runs when all code writes the field itself.",
            ),
        )
        return
    after = [placed.migration, *placed.after()]
    for name in values:
        if not _is_ended(model, name, after, placed.migration.app_label):
            yield Finding(
                what=f"Nothing ends keep_filled of {short(model)}.{short(name)}.",
                why=(
                    "The trigger stays on the table for ever, costs each INSERT, and hides code "
                    "that forgets the field."
                ),
                instead=(SetNotNull(model, name),),
                steps=(f'If it may stay NULL: StopFilling("{model}", "{name}") instead.',),
            )


def _is_python(value: Any) -> bool:
    return callable(value) and not hasattr(value, "resolve_expression")


def _is_ended(model: str, name: str, after: Sequence[Migration], app_label: str) -> bool:
    return any(
        _ends(operation, model.lower(), name.lower())
        for migration in after
        if migration.app_label == app_label
        for operation in flat(migration.operations)
    )


def _ends(operation: Operation, model: str, name: str) -> bool:
    if isinstance(operation, ContractDrop):
        dropped = (operation.name or name).lower()
        return operation.model_name_lower == model and dropped == name
    if isinstance(operation, (SetNotNull, StopFilling)):
        return operation.model_name.lower() == model and operation.name.lower() == name
    return False
