"""Which tables a migration of one transaction will lock, so that it can take them beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.db import migrations, router
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import FieldOperation
from django.db.migrations.operations.models import IndexOperation, ModelOperation
from django.db.migrations.state import ProjectState
from django.db.migrations.utils import resolve_relation

from safemigrate.backends.fields import through_of
from safemigrate.facts.locks import LockMode, TableLock
from safemigrate.operations.phases import STATE_ONLY, flat

if TYPE_CHECKING:
    from django.db.models import Model

    Locked = tuple[type[Model], LockMode]


def table_locks(
    migration: Migration, before: ProjectState, alias: str, *, backwards: bool = False
) -> list[TableLock]:
    """
    The locks on tables that are there on ``alias`` when ``migration`` begins, from whichever end.

    Not complete, and it need not be: a lock that nobody foresaw waits for an instant only,
    and is refused like the others.
    """
    there = migration.mutate_state(before) if backwards else before
    return [
        TableLock(model._meta.db_table, mode)
        for operation in flat(migration.operations)
        if not isinstance(operation, STATE_ONLY)
        for model, mode in _locks_of(operation, migration.app_label, there)
        if router.allow_migrate_model(alias, model)
    ]


def tables_made(migration: Migration, before: ProjectState, alias: str) -> list[str]:
    """
    The tables that its CreateModels make there, with those of their many-to-many fields.

    One that a model of ``before`` has is left out: it gets another name first, or goes.
    """
    olds = {m._meta.db_table for m in before.apps.get_models() if m._meta.can_migrate(alias)}
    after = migration.mutate_state(before)
    made: list[str] = []
    for operation in flat(migration.operations):
        if not isinstance(operation, migrations.CreateModel):
            continue
        if (migration.app_label, operation.name_lower) in after.models:
            model = after.apps.get_model(migration.app_label, operation.name)
            if operation.allow_migrate_model(alias, model):
                throughs = filter(None, map(through_of, model._meta.local_many_to_many))
                made += [one._meta.db_table for one in (model, *throughs)]
    return [table for table in made if table not in olds]


def _locks_of(operation: Operation, app_label: str, there: ProjectState) -> Iterator[Locked]:
    if isinstance(operation, migrations.CreateModel):
        for _, value in operation.fields:
            yield from _parents(value, app_label, operation.name_lower, there)
        return
    if isinstance(operation, migrations.RenameModel):
        for name in (operation.old_name_lower, operation.new_name_lower):
            yield from _table(app_label, name, there, LockMode.ACCESS_EXCLUSIVE)
        return
    if isinstance(operation, FieldOperation | IndexOperation):
        yield from _table(app_label, operation.model_name_lower, there, _mode(operation))
    elif isinstance(operation, ModelOperation):
        yield from _table(app_label, operation.name_lower, there, LockMode.ACCESS_EXCLUSIVE)
    if isinstance(operation, migrations.AddField | migrations.AlterField):
        model = operation.model_name_lower
        yield from _parents(operation.field, app_label, model, there)


def _mode(operation: Operation) -> LockMode:
    """AddIndex lets reads through; everything else that Django sends does not."""
    if isinstance(operation, migrations.AddIndex):
        return LockMode.SHARE
    return LockMode.ACCESS_EXCLUSIVE


def _parents(value: Any, app_label: str, model: str, there: ProjectState) -> Iterator[Locked]:
    """A foreign key puts triggers on the table that it refers to."""
    remote = getattr(value, "remote_field", None)
    if remote is None or not getattr(remote, "model", None):
        return
    app, name = resolve_relation(remote.model, app_label, model)
    yield from _table(app, name, there, LockMode.SHARE_ROW_EXCLUSIVE)


def _table(
    app_label: str, model_name: str, there: ProjectState, mode: LockMode
) -> Iterator[Locked]:
    state = there.models.get((app_label, model_name))
    if state is None or state.options.get("proxy") or not state.options.get("managed", True):
        return
    model = there.apps.get_model(app_label, model_name)
    if model._meta.swapped:
        return
    yield model, mode
