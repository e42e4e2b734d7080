"""Orders to a run from another process: what it obeys with its next batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import OperationalError, transaction
from django.db.models import Count
from django.utils import timezone

from safemigrate.backends import server_for
from safemigrate.backfill import states
from safemigrate.backfill.leases import Leases
from safemigrate.backfill.states import Event, State
from safemigrate.backfill.store import Store
from safemigrate.facts.errors import LockNotObtained, WrongOperation

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")

DEADLINE = timedelta(seconds=75)
"""How long an order tries to get the run's row, which each batch has for as long as it takes: a
minute, if a function of the project hangs in it."""
MOST_WORKERS = 64

_DONE_BY = {Event.PAUSE: "paused", Event.CANCEL: "canceled"}


@dataclass(frozen=True)
class Seen:
    """
    A run as somebody who looks at the table sees it.

    Units:   total: rows of the table, about; None is unknown. silent: since the last batch, or
             the last sign of a process that waits. started, finished: as the database has them.
    """

    id: int
    key: str
    table: str
    state: str
    rows_done: int
    seen: int
    total: int | None
    failures: int
    pass_no: int
    batches: int
    rate: int | None
    workers: int | None
    waiting: str
    note: str
    error: str
    queue: str
    started: datetime
    finished: datetime | None
    silent: timedelta

    @property
    def migration(self) -> str:
        """The migration that asked for it: "shop.0007_order_backfill"."""
        return self.key.partition(":")[0]

    @property
    def percent(self) -> int | None:
        if self.state == State.DONE:
            return 100
        if not self.total or self.seen > self.total:
            return None
        return 100 * self.seen // self.total


def seen(connection: BaseDatabaseWrapper, *ids: int) -> list[Seen]:
    """Return the runs, oldest first; all of them if none is named. Changes no run."""
    store = Store(connection)
    if not store.has_tables():
        return []
    counted = store.failures().order_by().values_list("run_id").annotate(n=Count("id"))
    failures = dict(counted)
    runs = store.runs().filter(pk__in=ids) if ids else store.runs()
    return [_seen(run, failures.get(run.pk, 0)) for run in runs]


def _seen(run: Any, failures: int) -> Seen:
    return Seen(
        id=run.pk,
        key=run.key,
        table=run.table_name,
        state=run.state,
        rows_done=run.rows_done,
        seen=run.pass_seen,
        total=run.total,
        failures=failures,
        pass_no=run.pass_no,
        batches=run.batches,
        rate=run.rate,
        workers=run.workers,
        waiting=run.waiting or "",
        note=run.note or "",
        error=run.error,
        queue=run.queue or "",
        started=run.started_at,
        finished=run.finished_at,
        silent=max(run.server_now - run.updated_at, timedelta(0)),
    )


def order(connection: BaseDatabaseWrapper, run_id: int, event: Event, *, by: str) -> Seen:
    """
    Pause, resume or cancel a run; whoever works on it obeys with the next batch.

    Locks:   the run's row, for an instant, waiting for the batch that has it.
    Raises:  WrongOperation: no such run, or it cannot follow; LockNotObtained.
    """

    def change(store: Store, run: Any) -> None:
        run.state = states.after(run.state, event)
        # What moves needs no explanation; whoever finds it standing wants to know who.
        run.note = f"{_DONE_BY[event]} by {by} at {_now()}" if event in _DONE_BY else None
        store.save(run, "state", "note")

    return _changed(connection, run_id, change)


def sent(connection: BaseDatabaseWrapper, run_id: int, queue: str) -> Seen:
    """
    Write down which queue was asked to work on a run; one that had failed is tried again.

    Makes the table of ranges too: the role of the workers need not be allowed to.
    Raises:  WrongOperation: no such run, or it is held or over.
    """

    def change(store: Store, run: Any) -> None:
        if run.state != State.QUEUED:
            run.state = states.after(run.state, Event.START)
        run.queue, run.held_since, run.error = queue, None, ""
        store.save(run, "state", "queue", "held_since", "error")

    Leases(connection).ensure_schema()
    return _changed(connection, run_id, change)


def not_sent(connection: BaseDatabaseWrapper, before: Seen, after: Seen) -> None:
    """
    Take back what ``sent`` wrote: the queue took no task.

    Shape:   before, after: the run as it was, and as ``sent`` left it; one that somebody has
             changed since stays.
    Raises:  LockNotObtained.
    """

    def change(store: Store, run: Any) -> None:
        if run.state == after.state:
            run.state, run.queue, run.error = before.state, before.queue or None, before.error
            store.save(run, "state", "queue", "error")

    _changed(connection, before.id, change)


def set_pace(
    connection: BaseDatabaseWrapper,
    run_id: int,
    *,
    rate: int | None = None,
    workers: int | None = None,
) -> Seen:
    """
    Change how fast a run goes; 0 for ``rate`` takes its cap away.

    Raises:  WrongOperation: no such run, it is over, or a number that makes no sense.
    """
    if rate is None and workers is None:
        raise WrongOperation("Nothing to set was named.", do="Give --rate, --workers or both.")
    if rate is not None and rate < 0:
        raise WrongOperation(f"--rate is {rate}.", do="Give rows per second, 0 for no cap.")
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise WrongOperation(f"--workers is {workers}.", do=f"Give 1 to {MOST_WORKERS}.")

    def change(store: Store, run: Any) -> None:
        if run.state == State.DONE:
            raise WrongOperation(
                f"Backfill {run_id} is done.", do="There is nothing left to make faster or slower."
            )
        if rate is not None:
            run.rate = rate
        if workers is not None:
            run.workers = workers
        store.save(run, "rate", "workers")

    return _changed(connection, run_id, change)


def holding(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """
    Return what contracts wait for: the runs that are not done, or have rows set aside.

    Shape:   the run's key -> one sentence without a full stop.
    """
    newest = {run.key: run for run in seen(connection)}
    found = {}
    for run in newest.values():
        if run.state != State.DONE:
            far = f" at {run.percent} %" if run.percent is not None else ""
            found[run.key] = (
                f"backfill {run.id} of {run.table} is {run.state}{far}; "
                "see manage.py safemigrate backfills"
            )
        elif run.failures:
            found[run.key] = (
                f"backfill {run.id} of {run.table} has {run.failures:,} rows set aside; "
                f"see manage.py safemigrate backfills show {run.id}, correct them and run "
                f"manage.py safemigrate backfills retry {run.id}"
            )
    return found


def existing(connection: BaseDatabaseWrapper, run_id: int) -> Seen:
    """
    Return the run.

    Raises:  WrongOperation, naming the runs that there are.
    """
    found = seen(connection, run_id)
    if not found:
        raise _unknown(connection, run_id)
    return found[0]


def _unknown(connection: BaseDatabaseWrapper, run_id: int) -> WrongOperation:
    there = [str(run.id) for run in seen(connection)]
    known = f"There are: {', '.join(there[-20:])}" if there else "There is none on this database"
    return WrongOperation(
        f"There is no backfill {run_id}.", do=f"{known}; see manage.py safemigrate backfills."
    )


def _changed(
    connection: BaseDatabaseWrapper, run_id: int, change: Callable[[Store, Any], None]
) -> Seen:
    store = Store(connection)
    if not store.has_tables():
        raise _unknown(connection, run_id)
    server = server_for(connection)
    until = time.monotonic() + DEADLINE / timedelta(seconds=1)
    while True:
        try:
            with server.at_work(), transaction.atomic(using=connection.alias):
                server.begin_looking(DEADLINE)
                run = store.lock(run_id)
                if run is None:
                    raise _unknown(connection, run_id)
                change(store, run)
            break
        except OperationalError as error:
            if not server.retry_reason(error):
                raise
            if time.monotonic() >= until:
                raise LockNotObtained(
                    f"Backfill {run_id} was busy with one batch for {DEADLINE.seconds} s.",
                    do="See what it waits for (manage.py safemigrate backfills) and try again.",
                ) from error
    return existing(connection, run_id)


def _now() -> str:
    return timezone.now().strftime("%Y-%m-%d %H:%M:%S")
