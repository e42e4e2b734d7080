"""What nothing can carry through safely, and the words for two changes that need two releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.migrations.operations.base import Operation

from safemigrate.operations import AddRenamedField
from safemigrate.operations.reading import db_type
from safemigrate.rules.base import Finding, Step

ModelKey = tuple[str, str]
FieldKey = tuple[str, str, str]


@dataclass(frozen=True)
class Refusal:
    """A change that nothing can carry through safely; ``finding`` is None for a plain reason."""

    app_label: str
    operation: Operation
    finding: Finding | None = None
    reason: str = ""
    do: str = ""


def renamed_and_changed(app_label: str, operation: Any, rename: AddRenamedField) -> Refusal:
    return Refusal(
        app_label,
        operation,
        reason=f"{operation.model_name}.{rename.old_name} becomes {operation.name} and "
        "changes in the same run: the old and the new column could not be kept the same.",
        do="Make the rename now, and the other change in the next release; or keep the "
        f'column: db_column="{rename.old_name}".',
    )


def two_of_a_key(key: FieldKey, operation: Operation, rename: AddRenamedField) -> Refusal:
    renamed = f"{rename.model_name}.{rename.old_name}"
    return Refusal(
        key[0],
        operation,
        reason=f"{renamed} gets another column, and {'.'.join(key[1:])}, which it refers to, "
        "another type in the same run: only one of its two columns would follow.",
        do=f"Make the change of {renamed} now, and the other one in the next release.",
    )


def lets_go(step: Step, key: FieldKey, old: Any, new: Any) -> Refusal:
    operation: Any = step.operation
    own, other = f"{operation.model_name}.{operation.name}", ".".join(key[1:])
    was, becomes = (db_type(step, field, operation.name) for field in (old, new))
    first, then = (other, own) if was == becomes else (own, other)
    return Refusal(
        step.app_label,
        operation,
        reason=f"{own} no longer refers to {other}, which gets another type in the same run: its "
        "column would follow neither of the two changes.",
        do=f"Make the change of {first} now, and that of {then} in the next release.",
    )


def one_over_both(
    key: FieldKey,
    operation: Operation,
    rename: AddRenamedField,
    name: str,
    thing: str,
) -> Refusal:
    renamed = f"{rename.model_name}.{rename.old_name}"
    return Refusal(
        key[0],
        operation,
        reason=f"{renamed} gets another column and {name} another type in the same run, and "
        f"{thing} rests on both: it could be built for one of the two changes only.",
        do=f"Make the change of {renamed} now, and the other one in the next release.",
    )
