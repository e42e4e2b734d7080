"""Which tables a migration of one transaction will lock, so that it can take them beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import FieldOperation
from django.db.migrations.operations.models import IndexOperation, ModelOperation
from django.db.migrations.state import ProjectState
from django.db.migrations.utils import resolve_relation

from safemigrate.facts.locks import LockMode, TableLock
from safemigrate.operations.phases import STATE_ONLY, flat


def table_locks(migration: Migration, before: ProjectState) -> list[TableLock]:
    """
    The locks on tables that exist before ``migration``.

    Not complete, and it need not be: a lock that nobody foresaw waits for an instant only,
    and is refused like the others.
    """
    return [
        lock
        for operation in flat(migration.operations)
        if not isinstance(operation, STATE_ONLY)
        for lock in _locks_of(operation, migration.app_label, before)
    ]


def _locks_of(operation: Operation, app_label: str, before: ProjectState) -> Iterator[TableLock]:
    if isinstance(operation, migrations.CreateModel):
        for _, value in operation.fields:
            yield from _parents(value, app_label, operation.name_lower, before)
        return
    if isinstance(operation, migrations.RenameModel):
        yield from _table(app_label, operation.old_name_lower, before, LockMode.ACCESS_EXCLUSIVE)
        return
    if isinstance(operation, FieldOperation | IndexOperation):
        yield from _table(app_label, operation.model_name_lower, before, _mode(operation))
    elif isinstance(operation, ModelOperation):
        yield from _table(app_label, operation.name_lower, before, LockMode.ACCESS_EXCLUSIVE)
    if isinstance(operation, migrations.AddField | migrations.AlterField):
        model = operation.model_name_lower
        yield from _parents(operation.field, app_label, model, before)


def _mode(operation: Operation) -> LockMode:
    """AddIndex lets reads through; everything else that Django sends does not."""
    if isinstance(operation, migrations.AddIndex):
        return LockMode.SHARE
    return LockMode.ACCESS_EXCLUSIVE


def _parents(value: Any, app_label: str, model: str, before: ProjectState) -> Iterator[TableLock]:
    """A foreign key puts triggers on the table that it refers to."""
    remote = getattr(value, "remote_field", None)
    if remote is None or not getattr(remote, "model", None):
        return
    app, name = resolve_relation(remote.model, app_label, model)
    yield from _table(app, name, before, LockMode.SHARE_ROW_EXCLUSIVE)


def _table(
    app_label: str, model_name: str, before: ProjectState, mode: LockMode
) -> Iterator[TableLock]:
    state = before.models.get((app_label, model_name))
    if state is None or state.options.get("proxy") or not state.options.get("managed", True):
        return
    model = before.apps.get_model(app_label, model_name)
    if model._meta.swapped:
        return
    yield TableLock(model._meta.db_table, mode)
