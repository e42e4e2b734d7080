"""Walk a table in batches, each its own transaction, and remember how far it came."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.utils import timezone

from safemigrate.backends import PlainServer, server_for
from safemigrate.backends.base import project_settings
from safemigrate.backfill import failing, states, store
from safemigrate.backfill.aside import open_keys
from safemigrate.backfill.checking import check
from safemigrate.backfill.evidence import REMAINING_CAP, looking, remaining, unfilled
from safemigrate.backfill.identity import fingerprint
from safemigrate.backfill.keys import KEY_CHARACTERS
from safemigrate.backfill.orders import orders_of
from safemigrate.backfill.ranges import Keys
from safemigrate.backfill.shifts import Helped, InWork, NotNeeded, Shift, ShiftSeat
from safemigrate.backfill.states import Event, State
from safemigrate.backfill.telling import Progress, final_line
from safemigrate.backfill.trouble import STOPPED
from safemigrate.backfill.walking import Counts, RunSeat, Walk
from safemigrate.backfill.work import Backfill, Result
from safemigrate.backfill.workers import LOOK_SECONDS, by_one_of_many, by_workers, end_sharing
from safemigrate.facts.errors import BackfillFailed, WrongOperation
from safemigrate.facts.progress import say

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

MAX_PASSES = 3
ASK_EVERY = timedelta(seconds=0.5)  # whether a pause is over


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
    backfill = _complete(backfill, key)
    connection = connections[connection.alias]  # not the proxy, which is slow to ask per row
    server = server_for(connection)
    own = not connection.in_atomic_block and connection.get_autocommit()
    if own:
        with server.at_work():
            return _Engine(connection, server, backfill, key, own=True).run()
    may = allow_atomic or server.shares_transactions
    if not may and Keys(backfill.model, connection).all().exists():
        raise failing.needs_autocommit(backfill.table)
    with transaction.atomic(using=connection.alias):  # all of it or, after a failure, nothing
        return _Engine(connection, server, backfill, key, own=False).run()


def help_with(
    connection: BaseDatabaseWrapper, backfill: Backfill, *, key: str, shift: Shift
) -> Helped:
    """
    Be one of a run's workers, until the run is over or held, or the shift ends.

    Whoever finds nothing left ends the run, so it is ended whichever worker was killed.
    Raises:  WrongOperation, BackfillFailed: what this worker failed at.
    """
    connection = connections[connection.alias]
    backfill = _complete(backfill, key)
    server = server_for(connection)
    with server.at_work():
        return _Helper(connection, server, backfill, key, own=True).help(shift)


def _complete(backfill: Backfill, key: str) -> Backfill:
    """
    Return it with the project's settings where it says nothing.

    Raises:  WrongOperation.
    """
    check(backfill)
    if not 0 < len(key) <= KEY_CHARACTERS:
        raise WrongOperation(
            f"A backfill's key has {len(key)} characters.", do=f"Use 1 to {KEY_CHARACTERS}."
        )
    if backfill.rate is None:
        backfill = replace(backfill, rate=project_settings().backfill_rate or None)
    if backfill.workers is None:
        backfill = replace(backfill, workers=project_settings().backfill_workers)
    return backfill


def enqueue(connection: BaseDatabaseWrapper, backfill: Backfill, *, key: str) -> int | None:
    """
    Ask for the work without doing it, and return the run; None if nothing is left to do.

    Re-run:  a run of the same work that is there already, in whatever state, is the one.
    Raises:  WrongOperation, BackfillFailed.
    """
    check(backfill)
    connection = connections[connection.alias]
    server = server_for(connection)
    with server.at_work():
        return _Engine(connection, server, backfill, key, own=True).enqueue()


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
        self.work = fingerprint(backfill)
        self.walk = Walk(
            connection, server, backfill, key, own=own, tell=self._tell, waiting=self._waiting
        )
        self.keys, self.trouble, self.counts = self.walk.keys, self.walk.trouble, self.walk.counts
        self.began = time.perf_counter()
        self.resumed = False
        self.run_id: int | None = None
        self.passes = 0
        self.pass_no: int | None = None
        self.progress = Progress(self.table, None)

    def run(self) -> Result:
        run_id = self._begin()
        if run_id is None:
            say(f"{self.table}: this backfill is already done")
            return self._result()
        while True:  # _turn ends it after MAX_PASSES
            self._look_at_pass(run_id)
            whole = self._fill(run_id)
            if self._was_held(run_id) or not whole:
                continue  # the pass goes on at its cursor
            if self._is_over(run_id):
                break
        result = self._result()
        say(final_line(self.table, result))
        if open_rows := self.trouble.patiently(self.store.failures().filter(run_id=run_id).count):
            say(failing.set_aside(self.table, open_rows, run_id))
        return result

    def enqueue(self) -> int | None:
        self.trouble.patiently(self.store.ensure_schema)
        run, is_done = self.trouble.patiently(lambda: self._open(again=False, state=State.QUEUED))
        if is_done:
            left = partial(remaining, self.connection, self.backfill, self._aside(run.pk))
            if not self.trouble.patiently(left):
                return None
            run, _ = self.trouble.patiently(lambda: self._open(again=True, state=State.QUEUED))
        return int(run.pk)

    def _look_at_pass(self, run_id: int) -> None:
        """Remember which pass this process walks: by its end others may be in the next one."""
        run = self.trouble.patiently(partial(self._glance, run_id))
        self.pass_no = run.pass_no if run else None
        if run and run.shared:
            end_sharing(self.walk, run_id)

    def _fill(self, run_id: int) -> bool:
        """
        Do one pass: its ranges by several workers, if it has any, and what comes behind them.

        False if rows are left: somebody held the run, began to share it, or set more workers.
        """
        run = self.trouble.patiently(partial(self._glance, run_id))
        if self.own and not by_workers(self.walk, run_id, self._waiting):
            return False
        workers = orders_of(run, self.backfill).workers if self.own and run else None
        seat = RunSeat(self.store, run_id, self.backfill, workers)
        self.walk.over_all(seat)
        return not seat.shared and not seat.joined

    def _was_held(self, run_id: int) -> bool:
        """
        Whether the pass was left for a pause, which is over now.

        Raises:  BackfillFailed: somebody canceled the run, another process failed at it, or the
                 pause outlasted what a backfill waits for at most.
        """
        held, waits_until = False, time.monotonic() + self.walk.deadline / timedelta(seconds=1)
        while True:
            run = self.trouble.patiently(partial(self._glance, run_id))
            if run is None:
                raise self._forgotten()
            kept = failing.stays(run.rows_done, None, own=self.own)
            if run.state == State.CANCELED:
                raise failing.canceled(self.table, run_id, run.note, kept)
            if run.state == State.FAILED:
                raise failing.elsewhere(self.table, run.error, kept)
            if run.state != State.PAUSED:
                return held
            if not held:
                self.progress.pause(run_id, run.note)
            held = True
            if time.monotonic() >= waits_until:
                raise failing.paused(self.table, run_id, run.note, self.walk.deadline, kept)
            time.sleep(ASK_EVERY / timedelta(seconds=1))

    def _glance(self, run_id: int) -> Any:
        with looking(self.connection, self.server):
            return self.store.glance(run_id)

    def _forgotten(self) -> BackfillFailed:
        kept = failing.stays(self.counts.run_rows, None, own=self.own)
        return failing.forgotten(self.table, kept)

    # Begin and end -----------------------------------------------------------------------------

    def _begin(self) -> int | None:
        """Return the run to work on, None if there is nothing to do."""
        self.trouble.patiently(self.store.ensure_schema)
        run, is_done = self.trouble.patiently(lambda: self._open(again=False))
        if is_done:
            if not self.trouble.patiently(
                lambda: remaining(self.connection, self.backfill, self._aside(run.pk))
            ):
                return None
            run, _ = self.trouble.patiently(lambda: self._open(again=True))
        self.walk.place.rows_done = self.counts.run_rows = run.rows_done
        if self.resumed:
            say(f"{self.table}: going on after {run.rows_done:,} rows")
        if self.own:
            self.trouble.patiently(lambda: self.server.learn(self.table))
        total = self.trouble.patiently(lambda: self.server.estimated_rows(self.table))
        if total != run.total:
            run.total = total
            self.trouble.patiently(partial(self.store.save, run, "total"))
        self.progress = Progress(self.table, total, seen=run.pass_seen, pass_no=run.pass_no)
        self.run_id = int(run.pk)
        return self.run_id

    def _open(self, *, again: bool, state: State = State.RUNNING) -> tuple[Any, bool]:
        """
        Find or make the run; the second value says that the newest one is done.

        Shape:   state: of a run that is made; QUEUED leaves one that is there as it is.
        """
        with self.walk.transaction():
            self.server.only_one_starts(self.key)
            run = self.store.latest(self.key)
            if run is None or run.fingerprint != self.work or (again and run.state == store.DONE):
                return self.store.start(self.key, self.table, self.work, state), False
            if run.state == store.DONE:
                return run, True
            self.resumed = run.state != State.QUEUED
            if state == State.QUEUED or run.state in (State.PAUSED, State.CANCELED):
                return run, False  # somebody's order outlasts the process that obeyed it
            run.state, run.error = states.after(run.state, Event.START), ""
            self.store.save(run, "state", "error")
            return run, False

    def _is_over(self, run_id: int) -> bool:
        """
        End the run if nothing is left, else begin its next pass.

        Raises:  BackfillFailed: another pass would not help.
        """
        # Counting without an index may take long; tried ten times it would take ten times that.
        left = self.trouble.patiently(partial(self._proof, run_id), but_not=frozenset({STOPPED}))
        run = self.trouble.patiently(lambda: self._turn(run_id, left or 0))
        self.passes += 1
        if not isinstance(run, _Ended):
            return bool(run.state == store.DONE)
        count = f"{left:,}" if left and left < REMAINING_CAP else f"{REMAINING_CAP - 1:,} or more"
        query = self.server.worded(unfilled(self.keys, self.backfill, 10, self._aside(run_id)))
        text = failing.where_refills if run.pass_rows else failing.where_left
        kept = failing.stays(run.rows_done, None, own=self.own)
        raise text(self.table, count, query, run.pass_no, kept)

    def _proof(self, run_id: int) -> int | None:
        """Return how many rows still match, None without a where."""
        with looking(self.connection, self.server):
            if not self.server.may_prove(self.key):
                self._second_to_prove()
            return remaining(self.connection, self.backfill, self._aside(run_id))

    def _second_to_prove(self) -> None:
        """Another process looks already. This one has to answer for the end, so it looks too."""

    def _aside(self, run_id: int) -> list[Any]:
        return open_keys(self.keys, self.store, run_id)

    def _turn(self, run_id: int, left: int) -> Any:
        """Write down what follows after a whole pass: done, failed, or the next one."""
        # Not as a batch: this commit is flushed, and all batches before it with it.
        with self.walk.transaction():
            run = self.store.lock(run_id)
            if run is None:
                raise self._forgotten()
            if run.state != store.RUNNING or run.pass_no != self.pass_no or run.shared:
                return run  # another process ended it or this pass or shares it, or it is held
            run.cursor = ""
            run.batch_ms_median = self.counts.median_ms()
            fields = ["cursor", "batch_ms_median", "state", "pass_no", "pass_seen", "pass_rows"]
            if not left:
                run.state, run.finished_at = states.after(run.state, Event.FINISH), timezone.now()
                self.store.save(run, *fields, "finished_at")
                return run
            if run.pass_no >= MAX_PASSES or not run.pass_rows:
                # The next run has all its passes again.
                report = _Ended(store.FAILED, run.pass_no, run.pass_rows, run.rows_done)
                run.state, run.error = states.after(run.state, Event.FAIL), "rows still match"
                run.pass_no, run.pass_seen, run.pass_rows = 1, 0, 0
                self.store.save(run, *fields, "error")
                return report
            run.pass_no, run.pass_seen, run.pass_rows = run.pass_no + 1, 0, 0
            self.store.save(run, *fields)
            self.progress = Progress(self.table, self.progress.total, pass_no=run.pass_no)
            return run

    # Numbers -----------------------------------------------------------------------------------

    def _tell(self, counts: Counts) -> None:
        self.progress.tell(counts.seen)

    def _waiting(self, why: str | None) -> None:
        if why:
            say(f"{self.table}: waiting: {why}", passing=True)
        if self.own and self.run_id is not None:
            # Others read it in the list, and that there is somebody who waits.
            self.trouble.patiently(partial(self._write_waiting, why))

    def _write_waiting(self, why: str | None) -> None:
        with self.walk.transaction():
            self.store.note_waiting(self.run_id, why)

    def _result(self) -> Result:
        return Result(
            rows=self.counts.rows,
            rows_total=self.counts.run_rows,
            batches=self.counts.batches,
            passes=self.passes,
            took=timedelta(seconds=time.perf_counter() - self.began),
            batch_ms_median=self.counts.median_ms(),
            resumed=self.resumed,
        )


class _Helper(_Engine):
    """One of several processes that share a run, none of which is the first."""

    why: str | None = None  # it was held back at last

    def help(self, shift: Shift) -> Helped:
        run_id = self._begin()
        if run_id is None:
            return Helped(State.DONE)
        while True:  # _turn ends it after MAX_PASSES
            self._look_at_pass(run_id)
            try:
                run = self._after_its_part(run_id, shift)
                if run.state != State.RUNNING or shift.over():
                    self._note_shift(run_id, shift)
                    return Helped(run.state, self.counts.rows, run.state == State.RUNNING)
                if not run.shared and self._is_over(run_id):
                    return Helped(State.DONE, self.counts.rows)
            except NotNeeded:
                return Helped(State.RUNNING, self.counts.rows)

    def _after_its_part(self, run_id: int, shift: Shift) -> Any:
        """Walk what this worker gets of the pass, and return the run as it is then."""
        if by_one_of_many(self.walk, run_id, shift):
            self._alone(run_id, shift)
        run = self.trouble.patiently(partial(self._glance, run_id))
        if run is None:
            raise self._forgotten()
        return run

    def _alone(self, run_id: int, shift: Shift) -> None:
        """
        Walk what is not cut into ranges.

        Raises:  NotNeeded: another worker does.
        """
        seat = ShiftSeat(self.store, run_id, self.backfill, shift)
        while True:
            try:
                return self.walk.over_all(seat)
            except InWork:
                if shift.over():
                    return None
                time.sleep(LOOK_SECONDS)

    def _second_to_prove(self) -> None:
        # The query may read the whole table for minutes; once is enough.
        raise NotNeeded

    def _open(self, *, again: bool, state: State = State.RUNNING) -> tuple[Any, bool]:
        """Find the run; one that others work on is not locked, for a batch may have it for long."""
        run = self.store.newest(self.key)
        if run is not None and run.state == State.RUNNING and run.fingerprint == self.work:
            self.resumed = True
            return run, False
        return super()._open(again=again, state=state)

    def _waiting(self, why: str | None) -> None:
        self.why = why or self.why
        super()._waiting(why)

    def _note_shift(self, run_id: int, shift: Shift) -> None:
        """
        Count time held back over all shifts, for no process lives through it.

        A worker that got no range knows nothing of it: it neither did something nor was it held.
        Raises:  BackfillFailed: it lasted longer than HELD_BACK_DEADLINE.
        """
        if self.counts.batches:
            self.trouble.patiently(lambda: self.store.note_shift(run_id, None))
        elif self.why is not None:
            began = timezone.now() - shift.lasts
            since = self.trouble.patiently(lambda: self.store.note_shift(run_id, began))
            if since and timezone.now() - since > self.walk.deadline:
                raise self.trouble.held_back(self.walk.deadline, self.why)


class _Ended:
    """A failed run as it was before its row was made ready for the next try."""

    def __init__(self, state: str, pass_no: int, pass_rows: int, rows_done: int) -> None:
        self.state, self.pass_no = state, pass_no
        self.pass_rows, self.rows_done = pass_rows, rows_done
