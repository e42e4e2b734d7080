"""Asking the queue: by ``migrate`` for what it has only begun, by a person for one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from safemigrate.backfill import control
from safemigrate.backfill.states import State
from safemigrate.executor import backfills
from safemigrate.facts import settings
from safemigrate.facts.errors import BackfillFailed, QueueUnusable, SafeMigrateError, WrongOperation
from safemigrate.queues.base import configured

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from safemigrate.backfill.control import Seen
    from safemigrate.queues.base import Queue

Write = Callable[[str], None]


def send_what_waits(connection: BaseDatabaseWrapper, write: Write, *, may_work: bool) -> None:
    """
    Ask the queue for each run that waits for one; say what cannot be asked for, and why.

    ``may_work``: where tasks run at once, do them here; False leaves them for the next migrate.
    Raises:  what a backfill fails at that runs here.
    """
    due = backfills.for_a_queue(connection)
    if not due:
        return
    try:
        queue = configured()
    except QueueUnusable as error:
        ids = ", ".join(str(run.id) for run in due)
        write(f"Backfills that stay as they are: {ids}. {error} Or do them without: {_by_hand()}")
        return
    if queue is None or (queue.at_once and not may_work):
        return
    for run in due:
        try:
            ask(connection, queue, run, write)
        except BackfillFailed:
            raise
        except SafeMigrateError as error:
            write(f"Backfill {run.id} is {run.state} and stays so. {error} {_by_hand(run)}")


def ask(
    connection: BaseDatabaseWrapper,
    queue: Queue,
    run: Seen,
    write: Write,
    workers: int | None = None,
) -> None:
    """
    Send a task for each worker that the run may have, and say so.

    Raises:  QueueUnusable: it took none; WrongOperation: the run is held, over, or of other code.
    """
    task = backfills.work_of(connection, run)
    if queue.at_once:
        write(
            f"{queue.name} runs tasks where they are sent, so this process does backfill {run.id}."
        )
        backfills.work_on(connection, run.id)
        return
    if workers is not None:
        run = control.set_pace(connection, run.id, workers=workers)
    before, run = run, control.sent(connection, run.id, queue.name)
    number = run.workers or task.workers or settings.current().backfill_workers
    sent, why = 0, ""
    try:
        while sent < number:
            queue.send(run.id, connection.alias)
            sent += 1
    except QueueUnusable as error:
        if not sent:
            control.not_sent(connection, before, run)
            raise
        why = f" {number} were to be. {error}"
    write(
        f"Backfill {run.id} of {run.table}: {sent} task{'' if sent == 1 else 's'} sent to "
        f"{queue.name}.{why}"
    )


def ask_for(
    connection: BaseDatabaseWrapper, run_id: int | None, write: Write, workers: int | None
) -> None:
    """
    Ask the queue for one run, or for all that wait.

    Raises:  QueueUnusable, WrongOperation.
    """
    queue = configured()
    if queue is None:
        raise WrongOperation(
            "There is no task queue in the settings.",
            do='Name it: SAFEMIGRATE["BACKFILL_QUEUE"] = "celery" or "django-tasks".',
        )
    runs = backfills.for_a_queue(connection)
    if run_id is not None:
        runs = [control.existing(connection, run_id)]
        _refuse_held(runs[0])
    if not runs:
        write("No backfill waits for a task queue.")
    for run in runs:
        ask(connection, queue, run, write, workers)


def _refuse_held(run: Seen) -> None:
    if run.state == State.DONE:
        raise WrongOperation(f"Backfill {run.id} is done.", do="There is nothing left to do.")
    if run.state in (State.PAUSED, State.CANCELED):
        raise WrongOperation(
            f"Backfill {run.id} is {run.state}.",
            do=f"To let it go on: manage.py safemigrate backfills resume {run.id}",
        )


def _by_hand(run: Seen | None = None) -> str:
    return f"manage.py safemigrate backfills run{f' {run.id}' if run else ''}"
