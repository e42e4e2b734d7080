"""Things that get another name: models, tables, fields."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import migrations
from django.db.models import CASCADE, ForeignKey

from safemigrate.facts.defaults import DefaultKind, default_of
from safemigrate.operations.columns import (
    AddRenamedField,
    CompleteRenamedField,
    CopyRenamedField,
    DropRenamedField,
)
from safemigrate.operations.many_to_many import ContractAlterManyToMany, ExpandAlterManyToMany
from safemigrate.operations.reading import (
    Asked,
    column_name,
    db_type,
    is_in_index_together,
    is_named_elsewhere,
    target_of,
)
from safemigrate.operations.remedies.base import Chain, remedy
from safemigrate.operations.remedies.facets import Facets
from safemigrate.operations.remedies.types import is_bound
from safemigrate.operations.renames import (
    ContractRenameField,
    ContractRenameModel,
    ContractRenamePrimaryKey,
    ContractRenameTable,
    ExpandRenameField,
    ExpandRenameModel,
    ExpandRenamePrimaryKey,
    ExpandRenameTable,
)


@remedy(migrations.RenameModel)
def rename_model(asked: Asked) -> Chain | None:
    operation: migrations.RenameModel = asked.operation
    named = '"' in (asked.model.options.get("db_table") or "")
    if not _has_table(asked) or (named and _is_in_many_to_many(asked)):
        return None
    return Chain(
        expand=[ExpandRenameModel(operation.old_name, operation.new_name)],
        contract=[ContractRenameModel(operation.old_name, operation.new_name)],
    )


@remedy(migrations.AlterModelTable)
def rename_table(asked: Asked) -> Chain | None:
    operation: migrations.AlterModelTable = asked.operation
    old = asked.model.options.get("db_table")
    own = f"{asked.app_label}_{asked.model.name}".lower()
    if not _can_move(asked, operation.table):
        return None
    if (old or own) == (operation.table or own):
        return None
    return Chain(
        expand=[ExpandRenameTable(operation.name, operation.table)],
        contract=[ContractRenameTable(operation.name, old or None)],
    )


@remedy(migrations.RenameField)
def rename_field(asked: Asked) -> Chain | None:
    operation: migrations.RenameField = asked.operation
    names = (operation.model_name, operation.old_name, operation.new_name)
    field: Any = asked.model.fields.get(operation.old_name)
    if field is None or not _has_table(asked):
        return None
    if field.many_to_many:
        if field.remote_field.through is not None or field.db_table:
            return None  # the state alone
        if not _can_move(asked):
            return None
        return Chain(expand=[ExpandRenameField(*names)], contract=[ContractRenameField(*names)])
    if column_name(field, operation.old_name) == column_name(field, operation.new_name):
        return None  # the state alone
    if field.primary_key and not _can_move(asked):
        return None
    if field.primary_key:
        return Chain(
            expand=[ExpandRenamePrimaryKey(*names)], contract=[ContractRenamePrimaryKey(*names)]
        )
    return _beside(asked, field) if can_have_two(asked, field) else None


def another_table(asked: Asked, old: Any, new: Any) -> Chain | None:
    """For a many-to-many field whose table refers to another model or has another name."""
    operation: migrations.AlterField = asked.operation
    if old.remote_field.through is not None or new.remote_field.through is not None:
        return None
    if _table_is_of(asked, old) == _table_is_of(asked, new):
        return None  # the state alone
    kinds = [db_type(asked, _key_to(field), operation.name) for field in (old, new)]
    if None in kinds or kinds[0] != kinds[1] or not _can_move(asked, old.db_table, new.db_table):
        return None
    where = (operation.model_name, operation.name)
    return Chain(
        expand=[ExpandAlterManyToMany(*where, new)],
        contract=[ContractAlterManyToMany(*where, new, old)],
    )


def _table_is_of(asked: Asked, field: Any) -> tuple[Any, ...]:
    return target_of(asked, field), field.remote_field.db_constraint, field.db_table


def _key_to(field: Any) -> ForeignKey[Any, Any]:
    """Like the one in its table."""
    return ForeignKey(field.remote_field.model, CASCADE)


def another_column(asked: Asked, changed: Facets, new: Any) -> Chain | None:
    """For another ``db_column``; None if more changes than what Python alone sees."""
    operation: migrations.AlterField = asked.operation
    old = changed.old
    still = replace(changed, column=False).only_python
    if not still or old.primary_key or not _has_table(asked) or not can_have_two(asked, old):
        return None
    names = (operation.model_name, operation.name, operation.name)
    return Chain(
        expand=[AddRenamedField(*names, new)],
        backfill=[CopyRenamedField(*names, old), CompleteRenamedField(*names, old)],
        contract=[DropRenamedField(*names, old)],
    )


def _beside(asked: Asked, field: Any) -> Chain:
    operation: migrations.RenameField = asked.operation
    names = (operation.model_name, operation.old_name, operation.new_name)
    return Chain(
        expand=[AddRenamedField(*names)],
        backfill=[CopyRenamedField(*names), CompleteRenamedField(*names)],
        contract=[DropRenamedField(*names)],
    )


def can_have_two(asked: Asked, field: Any) -> bool:
    """Whether two columns of it can be kept the same, and all that hangs on one be carried over."""
    name = asked.operation.name
    options = asked.model.options
    # NULL that new code says could not be told from a value that the database is to make.
    vague = field.null and default_of(field).kind is DefaultKind.DATABASE_VOLATILE
    return not (
        field.generated
        or vague
        or is_bound(asked)
        or any(name in getattr(f, "field_names", ()) for f in asked.model.fields.values())
        or is_in_index_together(asked, name)
        or options.get("order_with_respect_to") == name
        or is_named_elsewhere(asked, name)
    )


def _can_move(asked: Asked, *tables: str | None) -> bool:
    """Whether a view can take the old name's place: not beside a name with a schema in it."""
    named = (asked.model.options.get("db_table"), *tables)
    return _has_table(asked) and not any('"' in (table or "") for table in named)


def _has_table(asked: Asked) -> bool:
    options = asked.model.options
    return bool(
        options.get("managed", True) and not options.get("proxy") and not options.get("swappable")
    )


def _is_in_many_to_many(asked: Asked) -> bool:
    """Whether Django made a table whose columns have the model's name."""
    own = (asked.app_label, asked.model.name_lower)
    for key, model in asked.before.models.items():
        for field in model.fields.values():
            if not field.many_to_many or field.remote_field.through is not None:
                continue
            target = target_of(asked, field)
            if key == own or (target and (target.app_label, target.model) == own):
                return True
    return False
