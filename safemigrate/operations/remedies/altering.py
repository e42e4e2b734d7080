"""A field that stays and changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.models import NOT_PROVIDED, Q

from safemigrate.facts.defaults import DefaultKind, default_of
from safemigrate.operations.altering import ContractFieldCheck, ExpandAlterField
from safemigrate.operations.backfill import BatchedBackfill
from safemigrate.operations.fields import DropDatabaseDefault, SetNotNull
from safemigrate.operations.indexes import AddFieldIndexConcurrently
from safemigrate.operations.reading import Asked, altered, is_counted
from safemigrate.operations.relations import ContractForeignKey
from safemigrate.operations.remedies import renames, types
from safemigrate.operations.remedies.base import Chain, remedy
from safemigrate.operations.remedies.facets import ARRIVES, LEAVES, Facets, Shift, facets_of

if TYPE_CHECKING:
    from django.db.models import Field


@remedy(migrations.AlterField)
def alter_field(asked: Asked) -> Chain | None:
    operation: migrations.AlterField = asked.operation
    if operation.name not in asked.model.fields:
        return None  # renamed in the same run
    old, new = altered(asked)
    if old.many_to_many and new.many_to_many:
        return renames.another_table(asked, old, new)
    if old.many_to_many or new.many_to_many or old.generated or new.generated:
        return None
    if old.primary_key != new.primary_key or is_counted(old) != is_counted(new):
        return None  # a rule says so
    changed = facets_of(asked, old, new, operation.name)
    if changed.lets_down:
        return None  # a rule says in which order the releases can go
    if changed.column:
        return renames.another_column(asked, changed, _as_stated(operation))
    if changed.type and changed.foreign_key is Shift.GAINED:
        return _number_to_key(asked, operation, changed)
    if changed.type and types.narrows(asked, changed):
        return _narrowed(asked, operation, changed)
    if changed.type:
        return _with_the_rest(types.chain(asked, changed), operation, changed)
    return in_place(operation, changed)


def _narrowed(asked: Asked, operation: migrations.AlterField, changed: Facets) -> Chain | None:
    """
    The new column takes its place when older code is gone.

    What newer code may do that older code may not, the old column must allow until then.
    """
    if changed.check in LEAVES:
        return None  # it goes with the class of the field, and so with the type
    where, loose = (operation.model_name, operation.name), changed.old.clone()
    loose.null = changed.old.null or changed.new.null
    loose._unique = changed.old.unique and changed.new.unique  # its own name for unique=
    if changed.db_default in ARRIVES:
        loose.db_default = changed.new.db_default
    shifts = facets_of(asked, loose, changed.new, operation.name)
    chain = _with_the_rest(types.chain(asked, shifts), operation, shifts)
    if chain and not facets_of(asked, changed.old, loose, operation.name).only_python:
        chain.expand.insert(0, ExpandAlterField(*where, loose))
    return chain


def _number_to_key(asked: Asked, operation: migrations.AlterField, changed: Facets) -> Chain | None:
    """The column gets the type of what it will refer to; that it refers to it comes last."""
    where = (operation.model_name, operation.name)
    new = changed.new.clone()
    new.db_constraint = False
    typed = migrations.AlterField(*where, new, operation.preserve_default)
    shifts = facets_of(asked, changed.old, new, operation.name)
    chain = _with_the_rest(types.chain(asked, shifts), typed, shifts)
    if chain:
        chain.contract.append(ContractForeignKey(*where, _as_stated(operation)))
    return chain


def _with_the_rest(
    chain: Chain | None, operation: migrations.AlterField, changed: Facets
) -> Chain | None:
    """Indexes, CHECK and what may be NULL come with the new column; what is required, later."""
    if chain is None or (changed.null is Shift.LOST and _one_value_for_a_unique_field(changed.new)):
        return None
    chain.backfill += _filling(operation, changed)
    chain.contract += _required(operation, changed)
    return chain


def in_place(operation: migrations.AlterField, changed: Facets) -> Chain | None:
    """The column stays, and so does its type, or changes in the catalogue alone."""
    where = (operation.model_name, operation.name)
    if changed.only_index:
        return Chain(expand=[AddFieldIndexConcurrently(*where, changed.new)])
    if changed.plain:
        return None
    if changed.only_python:
        # Django would make the foreign key anew for what the database never sees.
        return Chain(expand=[migrations.SeparateDatabaseAndState(state_operations=[operation])])
    if changed.null is Shift.LOST and _one_value_for_a_unique_field(changed.new):
        return None
    required = _required(operation, changed)
    if changed.check in ARRIVES:
        required.append(ContractFieldCheck(*where))
    if changed.foreign_key in ARRIVES:
        required.append(ContractForeignKey(*where))
    if changed.deletes is Shift.LOST:
        required.append(ContractForeignKey(*where, old_field=changed.old))
    return Chain(
        expand=[ExpandAlterField(*where, _as_stated(operation))],
        backfill=list(_filling(operation, changed)),
        contract=required,
    )


def _required(operation: migrations.AlterField, changed: Facets) -> list[Any]:
    """What older code would fail at, whatever becomes of the type."""
    where = (operation.model_name, operation.name)
    required: list[Any] = []
    if changed.db_default is Shift.LOST:
        required.append(DropDatabaseDefault(*where, changed.old.db_default))
    if changed.null is Shift.LOST:
        required.append(SetNotNull(*where))
    return required


def _filling(operation: migrations.AlterField, changed: Facets) -> Iterator[BatchedBackfill]:
    """What makes NULLs end, if there is a value for them; without one the contract refuses."""
    default = default_of(operation.field)
    if changed.null is not Shift.LOST or default.value is None:
        return
    yield BatchedBackfill(
        operation.model_name,
        values={operation.name: default.value},
        where=Q(**{f"{operation.name}__isnull": True}),
        # A trigger cannot call Python; what older code leaves NULL then waits for the contract.
        keep_filled=False if default.kind is DefaultKind.CALLABLE else "always",
    )


def _one_value_for_a_unique_field(new: Field[Any, Any]) -> bool:
    default = default_of(new)
    one = (DefaultKind.CONSTANT, DefaultKind.DATABASE_CONSTANT)
    return new.unique and default.kind in one and default.value is not None


def _as_stated(operation: migrations.AlterField) -> Field[Any, Any]:
    """The field as the state will have it: a default for this once is the filling's."""
    if operation.preserve_default:
        return operation.field
    field = operation.field.clone()
    field.default = NOT_PROVIDED
    return field
