"""E202."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import FieldOperation
from django.db.models.fields import NOT_PROVIDED

from safemigrate.operations import (
    BatchedBackfill,
    ContractDrop,
    DropDatabaseDefault,
    ExpandAlterField,
    ExpandField,
    MakeFieldIgnorable,
    MakeModelIgnorable,
    SetNotNull,
    SwapShadowField,
)
from safemigrate.operations.assured import inner
from safemigrate.operations.ordering import ORDER, AddOrderColumn
from safemigrate.operations.reading import has_foreign_key, short
from safemigrate.rules.base import Finding, Step, rule


@rule(
    "E202",
    "contract-without-expand",
    operation=(ContractDrop, SetNotNull, DropDatabaseDefault),
)
def contract_without_expand(step: Step) -> Iterator[Finding]:
    """A contract that depends on nothing that expands it breaks the release still running."""
    if not step.existed_before or step.ancestors is None:
        return
    op = step.operation
    before = list(_before(step))
    if isinstance(op, ContractDrop):
        found = _of_drop(step, op, before)
    elif isinstance(op, SetNotNull):
        found = _of_not_null(step, op, before)
    elif isinstance(op, DropDatabaseDefault):
        found = _of_default(step, op, before)
    else:
        found = None
    if found is not None:
        yield found


def _before(step: Step) -> Iterator[Operation]:
    """Every operation on this app that runs before, or in the same migration."""
    assert step.ancestors is not None  # noqa: S101  asked by the caller
    for migration in step.ancestors():
        if migration.app_label == step.app_label:
            yield from _all(migration.operations)


def _all(operations: Sequence[Operation]) -> Iterator[Operation]:
    for operation in operations:
        bare = inner(operation)
        yield bare
        if isinstance(bare, migrations.SeparateDatabaseAndState):
            yield from _all([*bare.database_operations, *bare.state_operations])


def _of_drop(step: Step, op: ContractDrop, before: list[Operation]) -> Finding | None:
    if op.name is None:
        return _of_table(step, op, before)
    field: Any = step.model.get_field(op.name)
    required = not (field.null or field.generated or field.has_db_default())
    through = field.many_to_many and field.remote_field.through is not None
    if not (required or has_foreign_key(field)) or through:
        return None
    if any(isinstance(o, MakeFieldIgnorable) and _is_about(o, op) for o in before):
        return None
    if any(_frees_model(o, op) for o in before):
        return None  # it goes with its model, and newer code inserts nothing there
    return Finding(
        what=f"ContractDrop of {short(op.name)} comes without MakeFieldIgnorable before it.",
        why=(
            f"The release that no longer knows {op.name} runs before the drop. Until then its "
            f"INSERTs into {step.table} leave out a column that is required, and fail."
        ),
        instead=(MakeFieldIgnorable(op.model_name, op.name), op),
    )


def _of_table(step: Step, op: ContractDrop, before: list[Operation]) -> Finding | None:
    if not any(has_foreign_key(field) for field in step.model.fields.values()):
        return None
    if any(_frees_model(o, op) for o in before):
        return None
    return Finding(
        what=f"ContractDrop of {short(op.model_name)} comes without MakeModelIgnorable before it.",
        why=(
            "The release that no longer knows the model runs before the drop. Until then its "
            f"DELETEs of rows that {step.table} refers to fail, because of the foreign key."
        ),
        instead=(MakeModelIgnorable(op.model_name), op),
    )


def _frees_model(operation: Operation, op: ContractDrop) -> bool:
    return (
        isinstance(operation, MakeModelIgnorable) and operation.name.lower() == op.model_name_lower
    )


def _of_not_null(step: Step, op: SetNotNull, before: list[Operation]) -> Finding | None:
    if any(_fills(o, op) for o in before):
        return None
    return Finding(
        what=f"SetNotNull on {short(op.name)} comes without anything that fills it before.",
        why=(
            f"Rows of {step.table} that hold NULL stop SetNotNull, and a release that writes no "
            "value fails from then on. Nothing before it fills the column or keeps it filled."
        ),
        steps=(
            f'Depend on a migration with BatchedBackfill("{op.model_name}", values={{"{op.name}": '
            "...}, keep_filled=True), or with ExpandField that has a database_default.",
        ),
    )


def _fills(operation: Operation, op: SetNotNull) -> bool:
    if isinstance(operation, BatchedBackfill):
        same = operation.model_name_lower == op.model_name_lower
        named = {name.lower() for name in operation.values or ()}
        return same and (operation.function is not None or op.name_lower in named)
    if not _is_about(operation, op):
        return False
    if isinstance(operation, ExpandField):
        return operation.database_default is not NOT_PROVIDED
    if isinstance(operation, ExpandAlterField | SwapShadowField):
        return not operation.field.null  # somebody said that there are no NULLs, or will be none
    return isinstance(operation, migrations.AddField) and operation.field.has_db_default()


def _of_default(step: Step, op: DropDatabaseDefault, before: list[Operation]) -> Finding | None:
    setters = (migrations.AddField, migrations.AlterField)
    if any(isinstance(o, setters) and _is_about(o, op) for o in before):
        return None
    if any(isinstance(o, migrations.CreateModel) and _creates(o, op) for o in before):
        return None
    if op.name == ORDER and any(_orders(o, op) for o in before):
        return None
    return Finding(
        what=f"DropDatabaseDefault of {short(op.name)} comes without anything that set it.",
        why=(
            f"Code that leaves the value to the database writes NULL into {step.table}, or fails. "
            "The migration does not depend on the one that gave the column its default."
        ),
        steps=("Depend on the migration that adds the field with its database default.",),
    )


def _orders(operation: Operation, op: DropDatabaseDefault) -> bool:
    return isinstance(operation, AddOrderColumn) and operation.name_lower == op.model_name_lower


def _is_about(operation: Operation, op: Any) -> bool:
    return (
        isinstance(operation, FieldOperation)
        and operation.model_name_lower == op.model_name.lower()
        and operation.name_lower == op.name.lower()
    )


def _creates(operation: migrations.CreateModel, op: FieldOperation) -> bool:
    names = {name.lower() for name, _ in operation.fields}
    return operation.name_lower == op.model_name_lower and op.name_lower in names
