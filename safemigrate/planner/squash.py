"""A finished chain as the plain operations that lead to the same schema in a new table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.state import ProjectState

from safemigrate.backends.fields import named
from safemigrate.operations import AlterIndex, Assured, BatchedBackfill, SafeOperation
from safemigrate.operations.assured import inner
from safemigrate.operations.phases import stays_as_it_is
from safemigrate.planner.refusals import ModelKey
from safemigrate.planner.walk import note_new
from safemigrate.rules.base import model_name_of


class PlainOptimizer(MigrationOptimizer):
    """What squashmigrations optimizes with."""

    def optimize(self, operations: Any, app_label: str | None) -> list[Operation]:
        optimized: list[Operation] = []
        waiting: list[Operation] = []
        for operation in plain_operations(operations, app_label or ""):
            waiting.append(operation)
            if isinstance(operation, migrations.RenameModel):
                # Django would create the model under its new name before others that refer to
                # it under its old one.
                optimized += [*super().optimize(waiting[:-1], app_label), operation]
                waiting = []
        return [*optimized, *super().optimize(waiting, app_label)]


def plain_operations(operations: Iterable[Operation], app_label: str) -> Iterator[Operation]:
    """
    Django's own operations for tables that are made among ``operations``.

    For any other table ours stay: a database where the squash is not applied may use it.
    """
    operations = list(operations)
    rows = _models_with_rows(operations, app_label)
    new_models: set[ModelKey] = set()
    state = ProjectState()
    for operation in operations:
        model = (app_label, model_name_of(inner(operation)))
        note_new(operation, app_label, new_models)
        before = state.clone()
        for one in _told(operation, app_label, new_models):
            one.state_forwards(app_label, state)
        if model not in new_models or model in rows:
            yield operation
        elif isinstance(operation, migrations.RenameIndex) and operation.old_name:
            yield from _renamed_index(operation, before.models[model].options["indexes"])
        elif isinstance(operation, SafeOperation | AlterIndex):
            yield from operation.plain(app_label, before)
        elif isinstance(operation, Assured):
            yield operation.operation
        else:
            yield operation


def _told(
    operation: Operation, app_label: str, new_models: Collection[ModelKey]
) -> Iterator[Operation]:
    """What it tells the state about new models; the state knows no others."""
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        for one in operation.state_operations:
            yield from _told(one, app_label, new_models)
    elif (app_label, model_name_of(inner(operation))) in new_models:
        yield operation


def _renamed_index(
    operation: migrations.RenameIndex, indexes: Iterable[Any]
) -> Iterator[Operation]:
    """Anew: that of a new table is built at the migration's end, after it would be renamed."""
    for index in indexes:
        if index.name == operation.old_name:
            yield migrations.RemoveIndex(operation.model_name, index.name)
            new: Any = named(index, operation.new_name)
            yield migrations.AddIndex(operation.model_name, new)


def _models_with_rows(operations: Iterable[Operation], app_label: str) -> set[ModelKey]:
    """Those that are filled after code which may have made rows: each must get its own value."""
    found: set[ModelKey] = set()
    code = False
    for operation in operations:
        code = code or _may_make_rows(operation)
        if code and isinstance(operation, BatchedBackfill):
            found.add((app_label, operation.model_name_lower))
    return found


def _may_make_rows(operation: Operation) -> bool:
    if isinstance(operation, SafeOperation | migrations.SeparateDatabaseAndState | Assured):
        return False
    return stays_as_it_is(operation) and not operation.elidable
