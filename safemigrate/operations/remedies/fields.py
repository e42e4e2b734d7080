"""Fields that come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.models import Q

from safemigrate.backends.fields import deletes_itself, has_index, parent_of
from safemigrate.facts.defaults import DefaultKind, comes_with_check, default_of
from safemigrate.operations.backfill import BatchedBackfill
from safemigrate.operations.contract import ContractDrop
from safemigrate.operations.fields import (
    DropDatabaseDefault,
    ExpandField,
    MakeFieldIgnorable,
    SetNotNull,
)
from safemigrate.operations.indexes import AddFieldIndexConcurrently
from safemigrate.operations.reading import Asked, column_name
from safemigrate.operations.relations import AddForeignKey
from safemigrate.operations.remedies.base import Chain, remedy

if TYPE_CHECKING:
    from django.db.migrations.operations.base import Operation
    from django.db.models import Field


@remedy(migrations.AddField)
def add_field(asked: Asked) -> Chain | None:
    operation: migrations.AddField = asked.operation
    new = operation.field
    if new.many_to_many or new.generated or new.primary_key:
        return None
    if new.unique and _same_for_all(new):
        return None  # one value cannot be every row's; a rule says so
    column = _column(operation)
    extras = _indexes_and_keys(operation.model_name, operation.name, new)
    if column is None and (extras or comes_with_check(new)):
        column = _plain(operation)
    if column is None:
        return None
    column.expand += extras
    return column


def _same_for_all(new: Field[Any, Any]) -> bool:
    """A nullable field's default is for rows to come, if it is not the database's."""
    kind = default_of(new).kind
    return kind is DefaultKind.DATABASE_CONSTANT or (kind is DefaultKind.CONSTANT and not new.null)


def _column(operation: migrations.AddField) -> Chain | None:
    """How the column comes; None if Django's own way is right."""
    new, where = operation.field, (operation.model_name, operation.name)
    default = default_of(new)
    if default.kind is DefaultKind.CONSTANT and not new.null:
        return _with_constant(operation, default.value)
    fills = (DefaultKind.EXPRESSION, DefaultKind.DATABASE_VOLATILE, DefaultKind.CALLABLE)
    if default.kind not in fills:
        return None
    in_database = default.kind is not DefaultKind.CALLABLE
    says = {"database_default": default.value} if in_database else {}
    chain = _adding(operation, **says)
    chain.backfill = [
        BatchedBackfill(
            operation.model_name,
            values={operation.name: default.value},
            where=Q(**{f"{operation.name}__isnull": True}),
        )
    ]
    if not new.null:
        chain.contract.append(SetNotNull(*where))
    if default.kind is DefaultKind.EXPRESSION:
        chain.contract.append(DropDatabaseDefault(*where, database_default=default.value))
    return chain


def _plain(operation: migrations.AddField) -> Chain:
    """A column that Django's own way would fill at once, or leave NULL; in our operation."""
    default = default_of(operation.field)
    if default.kind is DefaultKind.CONSTANT and default.value is not None:
        # A unique one gets NULLs: its value would be every row's.
        return (
            _adding(operation)
            if operation.field.unique
            else _with_constant(operation, default.value)
        )
    return _adding(operation)


def _with_constant(operation: migrations.AddField, value: Any) -> Chain:
    chain = _adding(operation, database_default=value)
    where = (operation.model_name, operation.name)
    chain.contract = [DropDatabaseDefault(*where, database_default=value)]
    return chain


def _adding(operation: migrations.AddField, **says: Any) -> Chain:
    new = operation.field
    if not says and default_of(new).kind is DefaultKind.DATABASE_CONSTANT:
        says = {"database_default": new.db_default}
    expand = ExpandField(
        operation.model_name, operation.name, new, operation.preserve_default, **says
    )
    return Chain(expand=[expand])


def _indexes_and_keys(model_name: str, name: str, new: Field[Any, Any]) -> list[Operation]:
    extras: list[Operation] = []
    if has_index(new) or new.unique:
        extras.append(AddFieldIndexConcurrently(model_name, name))
    if parent_of(new):
        extras.append(AddForeignKey(model_name, name))
    return extras


@remedy(migrations.RemoveField)
def remove_field(asked: Asked) -> Chain | None:
    operation: migrations.RemoveField = asked.operation
    old = asked.model.get_field(operation.name)
    if old.primary_key or deletes_itself(old):
        return None  # a rule says so
    if not old.many_to_many and column_name(old, operation.name) is None:
        # It lives in Python alone.
        return Chain(expand=[migrations.SeparateDatabaseAndState(state_operations=[operation])])
    where = (operation.model_name, operation.name)
    # Django makes no generated column NOT NULL, whatever its ``null`` says.
    required = not (old.null or old.generated or old.has_db_default())
    expand = [MakeFieldIgnorable(*where)] if required or old.remote_field else []
    return Chain(expand=list(expand), contract=[ContractDrop(*where)])
