"""What the rows forbid is found before anything is undone."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.db.migrations.migration import Migration
from django.db.migrations.state import ProjectState

from safemigrate.operations import SafeOperation
from safemigrate.operations.phases import flat, stays_as_it_is
from safemigrate.planner.register import Key

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def states_before(
    plan: Sequence[Migration],
    everything: Sequence[Migration],
    applied: Container[Key],
    state: ProjectState,
) -> dict[Key, ProjectState]:
    """
    Return what each of ``plan`` started from, as it was applied.

    ``everything``: parents first; ``state``: of the apps without migrations, changed in place.
    """
    wanted = {(migration.app_label, migration.name) for migration in plan}
    states: dict[Key, ProjectState] = {}
    for migration in everything:
        key = (migration.app_label, migration.name)
        if key in wanted:
            states[key] = state.clone()
        if key in applied:
            state = migration.mutate_state(state, preserve=False)
    return states


def refuse_whole(
    connection: BaseDatabaseWrapper,
    plan: Sequence[Migration],
    states: Mapping[Key, ProjectState],
) -> None:
    """
    Raise for what the rows forbid behind the first of ``plan``, as far as it can be told here.

    ``plan``: in the order in which it is undone; its first is asked about when its turn comes,
    which is still before anything is undone. ``states``: before each. A column that only the way
    back makes again is looked at when it is there; behind code, which may change the rows,
    nothing is.
    """
    for undone, migration in pairwise(plan):
        if any(_is_code(operation) for operation in flat(undone.operations)):
            return
        state = states.get((migration.app_label, migration.name))
        if state is not None:
            refuse_one(connection, migration, state, suppress(DatabaseError))


def refuse_one(
    connection: BaseDatabaseWrapper,
    migration: Migration,
    before: ProjectState,
    around: AbstractContextManager[Any] | None = None,
) -> None:
    """Before the first operation of ``migration`` is undone; ``around`` each question."""
    state = before.clone()
    with connection.schema_editor(atomic=False) as editor:
        for written in migration.operations:
            for operation in flat([written]):
                if isinstance(operation, SafeOperation):
                    with around or nullcontext():
                        operation.check_backwards(migration.app_label, editor, state)
            written.state_forwards(migration.app_label, state)


def _is_code(operation: Any) -> bool:
    return not isinstance(operation, SafeOperation) and stays_as_it_is(operation)
