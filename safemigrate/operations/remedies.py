"""
The safe chain for a stock operation on an existing table.

One answer for everybody: makemigrations writes it, a rule's finding shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import Field, Q

from safemigrate.backends.fields import has_index, parent_of
from safemigrate.facts.defaults import DefaultKind, comes_with_check, default_of
from safemigrate.facts.phases import Phase
from safemigrate.operations.backfill import BatchedBackfill
from safemigrate.operations.contract import ContractDrop, MakeModelIgnorable
from safemigrate.operations.fields import (
    AddForeignKey,
    DropDatabaseDefault,
    ExpandField,
    MakeFieldIgnorable,
    SetNotNull,
)
from safemigrate.operations.indexes import (
    AddFieldIndexConcurrently,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
)


@dataclass
class Chain:
    """What takes the place of one operation, phase by phase."""

    expand: list[Operation] = field(default_factory=list)
    backfill: list[Operation] = field(default_factory=list)
    contract: list[Operation] = field(default_factory=list)

    def operations(self) -> list[Operation]:
        return [*self.expand, *self.backfill, *self.contract]

    def of(self, phase: Phase) -> list[Operation]:
        return {
            Phase.EXPAND: self.expand,
            Phase.BACKFILL: self.backfill,
            Phase.CONTRACT: self.contract,
        }[phase]


Remedy = Callable[[Any, str, ProjectState], Chain | None]
_REMEDIES: dict[type[Operation], Remedy] = {}


def remedy(operation_class: type[Operation]) -> Callable[[Remedy], Remedy]:
    """Register the rewrite of a stock operation; exactly that class, not its subclasses."""

    def register(function: Remedy) -> Remedy:
        _REMEDIES[operation_class] = function
        return function

    return register


def chain_for(operation: Operation, app_label: str, before: ProjectState) -> Chain | None:
    """
    The safe chain for ``operation``, or None if there is none or none is needed.

    ``before``: the state in which the operation would start; its table is taken to be in use.
    """
    found = _REMEDIES.get(type(operation))
    return found(operation, app_label, before) if found else None


@remedy(migrations.AddIndex)
def add_index(operation: migrations.AddIndex, app_label: str, before: ProjectState) -> Chain:
    return Chain(expand=[AddIndexConcurrently(operation.model_name, operation.index)])


@remedy(migrations.RemoveIndex)
def remove_index(operation: migrations.RemoveIndex, app_label: str, before: ProjectState) -> Chain:
    return Chain(expand=[RemoveIndexConcurrently(operation.model_name, operation.name)])


@remedy(migrations.AddField)
def add_field(operation: migrations.AddField, app_label: str, before: ProjectState) -> Chain | None:
    new = operation.field
    if new.many_to_many or new.generated or new.primary_key:
        return None
    if _same_for_all(new) and new.unique and not new.null:
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
    constant = (DefaultKind.CONSTANT, DefaultKind.DATABASE_CONSTANT)
    return default_of(new).kind in constant


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


@remedy(migrations.AlterField)
def alter_field(
    operation: migrations.AlterField, app_label: str, before: ProjectState
) -> Chain | None:
    old = before.models[app_label, operation.model_name_lower].get_field(operation.name)
    new = operation.field
    gains = (new.unique and not old.unique) or (has_index(new) and not has_index(old))
    loses = (old.unique and not new.unique) or (has_index(old) and not has_index(new))
    if not gains or loses or _column_of(old) != _column_of(new):
        return None
    build = AddFieldIndexConcurrently(operation.model_name, operation.name, new)
    return Chain(expand=[build])


def _column_of(value: Field[Any, Any]) -> tuple[str, list[Any], dict[str, Any]]:
    """What makes the column itself; without its indexes and what the database never sees."""
    _, path, args, kwargs = value.deconstruct()
    ignored = {"db_index", "unique", "default", *value.non_db_attrs}
    return path, list(args), {k: v for k, v in kwargs.items() if k not in ignored}


@remedy(migrations.RemoveField)
def remove_field(operation: migrations.RemoveField, app_label: str, before: ProjectState) -> Chain:
    old = before.models[app_label, operation.model_name_lower].get_field(operation.name)
    where = (operation.model_name, operation.name)
    required = not (old.null or old.generated or old.has_db_default())
    expand = [MakeFieldIgnorable(*where)] if required or old.remote_field else []
    return Chain(expand=list(expand), contract=[ContractDrop(*where)])


@remedy(migrations.DeleteModel)
def delete_model(
    operation: migrations.DeleteModel, app_label: str, before: ProjectState
) -> Chain | None:
    options = before.models[app_label, operation.name_lower].options
    if options.get("proxy") or not options.get("managed", True):
        return None
    return Chain(
        expand=[MakeModelIgnorable(operation.name)], contract=[ContractDrop(operation.name)]
    )
