"""From a run in the state table back to the work that a migration asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from django.db import connections
from django.db.migrations.migration import Migration

from safemigrate import backfill
from safemigrate.backends import server_for
from safemigrate.backends.base import project_settings
from safemigrate.backfill import aside, control
from safemigrate.backfill.estimate import Estimate, estimated, said
from safemigrate.backfill.ranges import Keys
from safemigrate.backfill.states import State
from safemigrate.backfill.store import Store
from safemigrate.backfill.work import is_called_per_row
from safemigrate.executor.executor import SafeExecutor
from safemigrate.executor.gathering import RunOptions
from safemigrate.facts.errors import OtherCode
from safemigrate.operations import BatchedBackfill
from safemigrate.operations.phases import flat

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from safemigrate.backends.server import Size
    from safemigrate.backfill.control import Seen


GONE = timedelta(seconds=60)  # without a sign: a worker that waits gives one each second
BACKLOG = timedelta(hours=1)
"""How long tasks may wait for their turn before they are taken for lost."""


def work_of(connection: BaseDatabaseWrapper, run: Seen) -> backfill.Backfill:
    """
    Return what the run does, over the models as the database has them now.

    Raises:  OtherCode: this release has no such migration, or it asks for other work by now.
    """
    executor = SafeExecutor(connection, options=RunOptions(once=True))
    app_label, _, name = run.migration.partition(".")
    key = (app_label, name)
    if key in executor.loader.graph.nodes:
        migration = cast("Migration", executor.loader.graph.nodes[key])
        state = executor.state_now(key)
        for operation in flat(migration.operations):
            if not isinstance(operation, BatchedBackfill):
                continue
            if (app_label, operation.model_name_lower) not in state.models:
                continue
            with backfill.for_migration(run.migration):
                task = operation.work(app_label, state)
                if operation.key(app_label, task) == run.key:
                    return task
    raise OtherCode(
        f"Backfill {run.id} belongs to {run.migration}, and in this code no BatchedBackfill there "
        "asks for the same work.",
        do="Run this command in the release that began it. A copy that belongs to a rename or a "
        "new type is gone on with by migrate.",
    )


def waiting(connection: BaseDatabaseWrapper) -> list[int]:
    """Return the runs that a worker may take: asked for, failed, or left by one that is gone."""
    return [
        run.id
        for run in control.seen(connection)
        if run.state in (State.QUEUED, State.FAILED)
        or (run.state == State.RUNNING and run.silent > GONE)
    ]


def work_on(connection: BaseDatabaseWrapper, run_id: int) -> backfill.Result:
    """
    Do one run in this process, to its end.

    Raises:  WrongOperation: no such run, or one that this code does not know; BackfillFailed.
    """
    run = control.existing(connection, run_id)
    task = work_of(connection, run)
    connection = connections[connection.alias]
    with backfill.for_migration(run.migration):
        return backfill.run(connection, task, key=run.key)


def help_with(connection: BaseDatabaseWrapper, run: Seen, shift: backfill.Shift) -> backfill.Helped:
    """
    Be one of the workers of a run, in this process, for a shift.

    Raises:  OtherCode; BackfillFailed: what this worker failed at.
    """
    if run.state not in (State.QUEUED, State.RUNNING):
        return backfill.Helped(run.state)
    task = work_of(connection, run)
    with backfill.for_migration(run.migration):
        return backfill.help_with(connection, task, key=run.key, shift=shift)


def for_a_queue(connection: BaseDatabaseWrapper) -> list[Seen]:
    """Return the runs that a task queue is to be asked for, or asked again."""
    return [
        run
        for run in control.seen(connection)
        if (run.state == State.QUEUED and not run.queue)
        or (run.queue and run.state == State.FAILED)
        or (run.queue and run.state == State.QUEUED and run.silent > BACKLOG)
        or (run.queue and run.state == State.RUNNING and run.silent > GONE)
    ]


def estimates(executor: SafeExecutor) -> list[str]:
    """Return a line for each backfill that is planned; the database is only asked."""
    connection = connections[executor.connection.alias]
    server = server_for(connection)
    lines = []
    for key in executor.planned:
        migration = cast("Migration", executor.loader.graph.nodes[key])
        found = [o for o in flat(migration.operations) if isinstance(o, BatchedBackfill)]
        if not found:
            continue
        state = executor.loader.project_state(key)
        for operation in found:
            task = operation.work(key[0], state)
            size = server.size_of(task.table)
            if size is not None:
                lines.append(f"{'.'.join(key)}: {said(task.table, _estimate(task, size))}")
    return lines


def _estimate(task: backfill.Backfill, size: Size) -> Estimate:
    settings = project_settings()
    return estimated(
        size,
        by_python=task.function is not None
        or any(is_called_per_row(value) for value in (task.values or {}).values()),
        batch_rows=task.batch_rows,
        batch_target=task.batch_target,
        rate=task.rate or settings.backfill_rate or None,
        workers=task.workers or settings.backfill_workers,
    )


def retry(connection: BaseDatabaseWrapper, run_id: int) -> tuple[int, int]:
    """
    Fill the rows that the run has set aside, and return how many are filled and how many not.

    Locks:   one row at a time.
    Raises:  WrongOperation.
    """
    run = control.existing(connection, run_id)
    if not run.failures:
        return 0, 0
    task = work_of(connection, run)
    connection = connections[connection.alias]
    keys = Keys(task.model, connection)
    return aside.replay(task, keys, server_for(connection), Store(connection), run_id)
