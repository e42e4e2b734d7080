"""Walk a table in batches, each its own transaction, and remember how far it came."""

from __future__ import annotations

import time
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.utils import timezone

from safemigrate.backfill import failing, store
from safemigrate.backfill.checking import check
from safemigrate.backfill.evidence import REMAINING_CAP, looking, remaining, unfilled
from safemigrate.backfill.filling import filler_for
from safemigrate.backfill.identity import fingerprint
from safemigrate.backfill.keys import KEY_CHARACTERS
from safemigrate.backfill.pace import Pace
from safemigrate.backfill.ranges import Key, Keys, Span, narrowed
from safemigrate.backfill.server import PlainServer, server_for
from safemigrate.backfill.telling import Progress, final_line
from safemigrate.backfill.trouble import STOPPED, Place, Trouble, WhereStays
from safemigrate.backfill.work import Backfill, Result
from safemigrate.facts.errors import WrongOperation
from safemigrate.facts.progress import say

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

MAX_PASSES = 3
MAX_LAPS = 20  # of one pass: each walks to the end that the table had when it began


def run(
    connection: BaseDatabaseWrapper, backfill: Backfill, *, key: str, allow_atomic: bool = False
) -> Result:
    """
    Fill what is not filled yet, and return when a query finds nothing left.

    Locks:   the rows of one batch, FOR NO KEY UPDATE, for about ``batch_target``; waits for
             others' row locks at most LOCK_WAIT at a time.
    Re-run:  an unfinished run of the same key and the same work goes on at its cursor; a finished
             one fills what matches ``where`` by now, and without a ``where`` does nothing. Other
             work under the same key starts over.
    Raises:  WrongOperation, NeedsAutocommit, BackfillFailed. Batches before a failure stay done.
    """
    check(backfill)
    if not 0 < len(key) <= KEY_CHARACTERS:
        raise WrongOperation(
            f"A backfill's key has {len(key)} characters.", do=f"Use 1 to {KEY_CHARACTERS}."
        )
    connection = connections[connection.alias]  # not the proxy, which is slow to ask per row
    server = server_for(connection)
    own = not connection.in_atomic_block and connection.get_autocommit()
    if own:
        return _Engine(connection, server, backfill, key, own=True).run()
    may = allow_atomic or server.shares_transactions
    if not may and Keys(backfill.model, connection).all().exists():
        raise failing.needs_autocommit(backfill.table)
    with transaction.atomic(using=connection.alias):  # all of it or, after a failure, nothing
        return _Engine(connection, server, backfill, key, own=False).run()


class _Engine:
    """
    One call of ``run``.

    The truth is the run's row in the state table, read anew under its lock by each batch;
    what is kept here is for pace and messages. ``own``: each batch is a transaction of ours.
    """

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        server: PlainServer,
        backfill: Backfill,
        key: str,
        *,
        own: bool,
    ) -> None:
        self.connection, self.server, self.backfill, self.key = connection, server, backfill, key
        self.own = own
        self.table = backfill.table
        self.store = store.Store(connection)
        self.keys = Keys(backfill.model, connection)
        self.pace = Pace(backfill.batch_target, backfill.batch_rows)
        self.work = fingerprint(backfill)
        self.place = Place()
        self.trouble = Trouble(
            self.keys, server, self.store, key, self.pace, self.place, retries=own
        )
        self.filler = self.trouble.patiently(lambda: filler_for(backfill, self.keys, server))
        self.statement_limit = min(
            max(backfill.batch_target * 50, timedelta(seconds=5)), timedelta(seconds=60)
        )
        self.began = time.perf_counter()
        self.resumed = self.probed = False
        self.rows = self.passes = 0
        self.durations_ms: list[float] = []  # sorted
        self.progress = Progress(self.table, None)

    def run(self) -> Result:
        run_id = self._begin()
        if run_id is None:
            say(f"{self.table}: this backfill is already done")
            return self._result()
        for _ in range(MAX_PASSES):
            self._pass(run_id)
            if self._is_over(run_id):
                break
        result = self._result()
        say(final_line(self.table, result))
        return result

    # Begin and end -----------------------------------------------------------------------------

    def _begin(self) -> int | None:
        """Return the run to work on, None if there is nothing to do."""
        self.trouble.patiently(self.store.ensure_schema)
        run, is_done = self.trouble.patiently(lambda: self._open(again=False))
        if is_done:
            if not self.trouble.patiently(lambda: remaining(self.connection, self.backfill)):
                return None
            run, _ = self.trouble.patiently(lambda: self._open(again=True))
        self.place.rows_done = run.rows_done
        if self.resumed:
            say(f"{self.table}: going on after {run.rows_done:,} rows")
        total = self.trouble.patiently(lambda: self.server.estimated_rows(self.table))
        self.progress = Progress(self.table, total, seen=run.pass_seen, pass_no=run.pass_no)
        return int(run.pk)

    def _open(self, *, again: bool) -> tuple[Any, bool]:
        """Find or make the run; the second value says that the newest one is done."""
        with self._transaction():
            self.server.only_one_starts(self.key)
            run = self.store.latest(self.key)
            if run is None or run.fingerprint != self.work or (again and run.state == store.DONE):
                return self.store.start(self.key, self.table, self.work), False
            if run.state == store.DONE:
                return run, True
            self.resumed = True
            run.state, run.error = store.RUNNING, ""
            self.store.save(run, "state", "error")
            return run, False

    def _is_over(self, run_id: int) -> bool:
        """
        End the run if nothing is left, else begin its next pass.

        Raises:  BackfillFailed: another pass would not help.
        """
        # Counting without an index may take long; tried ten times it would take ten times that.
        left = self.trouble.patiently(
            lambda: remaining(self.connection, self.backfill), but_not=frozenset({STOPPED})
        )
        run = self.trouble.patiently(lambda: self._turn(run_id, left or 0))
        self.passes += 1
        if run.state != store.FAILED:
            return bool(run.state == store.DONE)
        count = f"{left:,}" if left and left < REMAINING_CAP else f"{REMAINING_CAP - 1:,} or more"
        query = self.server.worded(unfilled(self.keys, self.backfill, 10))
        text = failing.where_refills if run.pass_rows else failing.where_left
        kept = failing.stays(run.rows_done, None, own=self.own)
        raise text(self.table, count, query, run.pass_no, kept)

    def _turn(self, run_id: int, left: int) -> Any:
        """Write down what follows after a whole pass: done, failed, or the next one."""
        # Not as a batch: this commit is flushed, and all batches before it with it.
        with self._transaction():
            run = self._locked(run_id)
            if run.state == store.DONE:
                return run  # another process ended it
            run.cursor = ""
            run.batch_ms_median = self._median()
            fields = ["cursor", "batch_ms_median", "state", "pass_no", "pass_seen", "pass_rows"]
            if not left:
                run.state, run.finished_at = store.DONE, timezone.now()
                self.store.save(run, *fields, "finished_at")
                return run
            if run.pass_no >= MAX_PASSES or not run.pass_rows:
                # The next run has all its passes again.
                report = _Ended(store.FAILED, run.pass_no, run.pass_rows, run.rows_done)
                run.state, run.error = store.FAILED, "rows still match"
                run.pass_no, run.pass_seen, run.pass_rows = 1, 0, 0
                self.store.save(run, *fields, "error")
                return report
            run.pass_no, run.pass_seen, run.pass_rows = run.pass_no + 1, 0, 0
            self.store.save(run, *fields)
            self.progress = Progress(self.table, self.progress.total, pass_no=run.pass_no)
            return run

    # Batches -----------------------------------------------------------------------------------

    def _pass(self, run_id: int) -> None:
        """
        Fill every range once.

        A lap has a fixed end, so it ends however fast others append; the next lap takes what they
        appended, and each is shorter than the one before.
        """
        for _ in range(MAX_LAPS):
            last = self.trouble.patiently(self._last)
            batches = 0
            while last is not None and self.trouble.patiently(partial(self._batch, run_id, last)):
                batches += 1
            if not batches:
                return

    def _last(self) -> Key | None:
        with looking(self.connection, self.server):
            return self.keys.last()

    def _batch(self, run_id: int, last: Key) -> bool:
        """Fill the next range and move the cursor, in one transaction; False at the end."""
        began = time.perf_counter()
        with self._transaction(batch=True):
            run = self._locked(run_id)
            self.place.after = self.keys.load(run.cursor) if run.cursor else None
            self.place.end = None
            if run.state != store.RUNNING:
                return False
            self.place.end = self.keys.end_of_batch(self.place.after, last, self.pace.rows)
            if self.place.end is None:
                return False
            span = self.keys.span(self.place.after, self.place.end)
            # Only from here on is anybody kept waiting, so the aim is about this part alone.
            holding = time.perf_counter()
            filled = self.filler.fill(span)
            if filled.changed and not self.probed:
                self._refuse_a_where_that_stays(span, filled.matched)
            run.cursor = self.keys.dump(self.place.end)
            run.rows_done += filled.changed
            run.pass_rows += filled.changed
            run.pass_seen += self.pace.rows if self.backfill.where else filled.matched
            run.batches += 1
            run.batch_ms_median = self._median()
            self.store.save(
                run, "cursor", "rows_done", "pass_rows", "pass_seen", "batches", "batch_ms_median"
            )
        ended = time.perf_counter()
        self.place.after = self.place.end = None
        self.probed = self.probed or filled.changed > 0
        self.rows += filled.changed
        self.place.rows_done = run.rows_done
        insort(self.durations_ms, (ended - began) * 1000)
        self.pace.finished(timedelta(seconds=ended - holding))
        self.progress.tell(run.pass_seen)
        return True

    def _refuse_a_where_that_stays(self, span: Span, matched: int) -> None:
        """
        Look, after the first rows were changed, whether that took them out of ``where``.

        Else ``F("n") + 1`` would be added in each of three passes before anybody is told.
        """
        where = self.backfill.where
        if where is not None and narrowed(span.rows, where).count() >= matched:
            raise WhereStays(matched)

    def _locked(self, run_id: int) -> Any:
        run = self.store.lock(run_id)
        if run is None:
            raise failing.forgotten(
                self.table, failing.stays(self.place.rows_done, None, own=self.own)
            )
        return run

    @contextmanager
    def _transaction(self, *, batch: bool = False) -> Iterator[None]:
        if not self.own:
            # SET LOCAL would last to the end of the caller's transaction.
            yield
            return
        with transaction.atomic(using=self.connection.alias, durable=True):
            if batch:
                self.server.begin_batch(self.statement_limit)
            else:
                self.server.begin_looking(self.statement_limit)
            yield

    # Numbers -----------------------------------------------------------------------------------

    def _median(self) -> float:
        times = self.durations_ms
        return times[len(times) // 2] if times else 0.0

    def _result(self) -> Result:
        return Result(
            rows=self.rows,
            rows_total=self.place.rows_done,
            batches=len(self.durations_ms),
            passes=self.passes,
            took=timedelta(seconds=time.perf_counter() - self.began),
            batch_ms_median=self._median(),
            resumed=self.resumed,
        )


class _Ended:
    """A failed run as it was before its row was made ready for the next try."""

    def __init__(self, state: str, pass_no: int, pass_rows: int, rows_done: int) -> None:
        self.state, self.pass_no = state, pass_no
        self.pass_rows, self.rows_done = pass_rows, rows_done
