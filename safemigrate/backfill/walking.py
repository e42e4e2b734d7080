"""One connection's way over a table, or over one range of it: batch after batch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from django.db import transaction

from safemigrate.backends.base import project_settings
from safemigrate.backfill import failing, store
from safemigrate.backfill.aside import SettingAside
from safemigrate.backfill.bounded import Bounded
from safemigrate.backfill.evidence import looking
from safemigrate.backfill.filling import Filled, Filler, filler_for
from safemigrate.backfill.lines import line_of
from safemigrate.backfill.orders import Orders, orders_of
from safemigrate.backfill.pace import Pace
from safemigrate.backfill.ranges import Key, Span, narrowed
from safemigrate.backfill.restraint import (
    HELD_SECONDS,
    Allowance,
    ProbeFailed,
    Restraint,
    limits_of,
    probe_of,
)
from safemigrate.backfill.trouble import Place, Trouble, WhereStays
from safemigrate.facts.progress import say

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from safemigrate.backends import PlainServer
    from safemigrate.backfill.work import Backfill
    from safemigrate.facts.settings import Settings

KEPT_TIMES = 500  # of batches, for their median
TRAVELS_BYTES = 4 * 2**20  # of a batch, as stored: unpacked, and twice in memory, it is far more
LEAST_TRAVEL = 10  # rows, however large: what the server knows of them may be old
MAX_LAPS = 20  # of one pass: each walks to the end that the table had when it began


class Seat(Protocol):
    """
    The row that keeps a walk's cursor: read anew under its lock by each batch.

    Shape:   what ``lock`` returns has ``cursor``, the key that is done as text, empty at first.
    """

    run_id: int

    def lock(self) -> Any | None:
        """Return the row, locked until the transaction ends; None if it was forgotten."""
        ...

    def orders(self, row: Any) -> Orders: ...

    def glance(self) -> Orders | None:
        """Return the orders as they stand, without a lock; None if the row was forgotten."""
        ...

    def processes(self) -> set[int]:
        """Return the server's processes that are known to work on the run."""
        ...

    def moved(self, row: Any, filled: Filled, seen: int, counts: Counts) -> None:
        """Write down the row's new cursor and what the batch did."""
        ...


@dataclass
class Counts:
    """
    What this process did.

    Shape:   durations_ms: of the last batches, so that it does not grow with the table. run_rows:
             changed by the whole run, as far as this process knows; seen: rows of the pass that
             were looked at.
    """

    rows: int = 0
    run_rows: int = 0
    seen: int = 0
    batches: int = 0
    durations_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_TIMES))

    def add(self, other: Counts) -> None:
        """Add what another connection of this process did."""
        self.rows += other.rows
        self.batches += other.batches
        self.durations_ms.extend(other.durations_ms)

    def median_ms(self) -> float:
        times = sorted(self.durations_ms)
        return times[len(times) // 2] if times else 0.0


class RunSeat:
    """
    A run that one walk does alone keeps the cursor in its own row.

    Shape:   workers: that it was found not worth sharing among, or too few; more of them end the
             walk, so that it may be shared. None: it goes on alone.
    """

    def __init__(
        self, kept: store.Store, run_id: int, backfill: Backfill, workers: int | None = None
    ) -> None:
        self.store, self.run_id, self.backfill = kept, run_id, backfill
        self.workers = workers
        self.shared = False  # by now: another process has cut the rest into ranges
        self.joined = False  # by now: there are to be several workers

    def lock(self) -> Any | None:
        return self.store.lock(self.run_id)

    def orders(self, row: Any) -> Orders:
        self.shared = bool(row.shared)
        orders = orders_of(row, self.backfill)
        self.joined = self.workers is not None and 1 < orders.workers != self.workers
        return orders.stopped() if self.shared or self.joined else orders

    def glance(self) -> Orders | None:
        run = self.store.glance(self.run_id)
        return run and orders_of(run, self.backfill)

    def processes(self) -> set[int]:
        return set()

    def moved(self, row: Any, filled: Filled, seen: int, counts: Counts) -> None:
        row.rows_done += filled.changed
        row.pass_rows += filled.changed
        row.pass_seen += seen
        row.batches += 1
        row.batch_ms_median = counts.median_ms()
        self.store.save(
            row, "cursor", "rows_done", "pass_rows", "pass_seen", "batches", "batch_ms_median"
        )
        counts.run_rows, counts.seen = row.rows_done, row.pass_seen


class Walk:
    """
    The batches of one connection.

    Shape:   own: each batch is a transaction of ours. tell: called after each batch. waiting:
             called with the reason while the next batch is held back, with None at the end of it.
             beside: asked for the server's processes behind this process's other connections.
    """

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        server: PlainServer,
        backfill: Backfill,
        key: str,
        *,
        own: bool,
        tell: Callable[[Counts], None],
        waiting: Callable[[str | None], None],
        beside: Callable[[], set[int]] = set,
    ) -> None:
        self.connection, self.server, self.backfill, self.key = connection, server, backfill, key
        self.own, self.tell, self.waiting, self.beside = own, tell, waiting, beside
        self.table = backfill.table
        self.store = store.Store(connection)
        self.keys = line_of(backfill.model, connection, server)
        if self.keys.needs_where and backfill.where is None:
            raise failing.needs_where(self.table, self.keys.names)
        hidden = server.hides_rows(self._read())
        if hidden is not None:
            raise failing.hidden_rows(self.table, *hidden)
        self.pace = Pace(backfill.batch_target, backfill.batch_rows)
        self.place, self.counts = Place(), Counts()
        self.trouble = Trouble(
            self.keys, server, self.store, key, self.pace, self.place, retries=own
        )
        if backfill.function is not None and backfill.batch_rows is None:
            self._fit_into_memory()
        filler: Filler = self.trouble.patiently(
            lambda: filler_for(backfill, self.keys, server, own=own)
        )
        # In somebody else's transaction nothing can be tried twice.
        budget = backfill.error_budget if own else 0
        self.filler = SettingAside(filler, self.keys, server, self.store, budget)
        self.trouble.aside = self.filler
        self.statement_limit = backfill.statement_limit
        self.probed = False
        self.ours: Callable[[], set[int]] = beside
        self.allowance, self.orders = Allowance(), Orders(store.RUNNING, backfill.rate)
        settings = project_settings()
        self.deadline = settings.held_back_deadline
        self.restraint = self._restrained(settings)

    def over_all(self, seat: Seat) -> None:
        """
        Fill every range of the table once.

        A lap has a fixed end, so it ends however fast others append; the next lap takes what they
        appended, and each is shorter than the one before.
        """
        for _ in range(MAX_LAPS):
            last = self.trouble.patiently(self.last)
            if last is None or not self.to(seat, last):
                return

    def last(self) -> Key | None:
        with looking(self.connection, self.server):
            return self.keys.last()

    def to(self, seat: Seat, last: Key) -> int:
        """Walk from the seat's cursor to ``last`` and return the number of batches."""
        batches = 0
        self.filler.run_id = seat.run_id
        self.ours = lambda: self.beside() | seat.processes()
        while self._may_go_on(seat) and self.trouble.patiently(partial(self.batch, seat, last)):
            batches += 1
        return batches

    def batch(self, seat: Seat, last: Key) -> bool:
        """Fill the next range and move the cursor, in one transaction; False at the end."""
        began = time.perf_counter()
        with self.transaction(batch=True):
            row = self._locked(seat)
            self.place.after = self.keys.load(row.cursor) if row.cursor else None
            self.place.end = None
            self.orders = seat.orders(row)
            if not self.orders.go_on:
                return False
            rows = self.pace.rows
            if self.orders.rate:
                rows = min(rows, Allowance.most_rows(self.orders.rate))
            self.place.end = self.keys.end_of_batch(self.place.after, last, rows)
            if self.place.end is None:
                return False
            span = self.keys.span(self.place.after, self.place.end)
            # Only from here on is anybody kept waiting, so the aim is about this part alone.
            holding = time.perf_counter()
            filled = self.filler.fill(span)
            if filled.changed and not self.probed:
                self._refuse_a_where_that_stays(span, filled)
            row.cursor = self.keys.dump(self.place.end)
            seen = rows if self.backfill.where else filled.matched
            seat.moved(row, filled, seen, self.counts)
        ended = time.perf_counter()
        self.place.after = self.place.end = None
        self.probed = self.probed or filled.changed > 0
        self.counts.rows += filled.changed
        self.place.rows_done = self.counts.run_rows
        self.counts.batches += 1
        self.counts.durations_ms.append((ended - began) * 1000)
        if rows == self.pace.rows:  # one that a cap made small says little about the next
            self.pace.finished(timedelta(seconds=ended - holding))
        if self.orders.rate:
            self.allowance.used(filled.matched, self.orders.rate, began)
        self.tell(self.counts)
        if self.connection.queries_logged and not self.connection.force_debug_cursor:
            self.connection.queries_log.clear()  # DEBUG keeps 9,000, each with a batch's values
        return True

    def _read(self) -> list[str]:
        """Return the tables that rows are looked for in: a row hidden in one is left out."""
        rows, parents = self.keys.all(), []
        if self.backfill.where is not None:
            rows = rows.filter(self.backfill.where)
        if self.backfill.function is not None:  # it is given whole rows
            parents = [parent._meta.db_table for parent in self.keys.model._meta.all_parents]
        joins = [rows.query.alias_map[alias] for alias, n in rows.query.alias_refcount.items() if n]
        joined = [str(join.table_name) for join in joins]
        return list(dict.fromkeys([*self.keys.tables, *parents, *joined]))

    def _fit_into_memory(self) -> None:
        """Bound batches whose rows travel: a thousand documents of a megabyte do not fit."""
        size = self.trouble.patiently(lambda: self.server.size_of(self.table))
        if size is not None and size.rows and size.whole_bytes:
            fit = int(TRAVELS_BYTES * size.rows / size.whole_bytes)
            self.pace.at_most(max(fit, LEAST_TRAVEL))

    # Held back ---------------------------------------------------------------------------------

    def _may_go_on(self, seat: Seat) -> bool:
        """
        Wait between two batches as long as there is a reason; False if the run was stopped.

        Raises:  BackfillFailed: the reason lasted too long.
        """
        if not self.own:
            return True
        began, told = time.perf_counter(), False
        try:
            while why := self._why_wait():
                told = True
                self.waiting(why)
                if time.perf_counter() - began > self.deadline.total_seconds():
                    raise self.trouble.held_back(self.deadline, why)
                time.sleep(HELD_SECONDS)
                if not self._still_ordered(seat):
                    return False
        finally:
            if told:
                self.waiting(None)
        return self._saved_up(seat)

    def _saved_up(self, seat: Seat) -> bool:
        """Pause for the cap in rows per second."""
        while self.orders.rate and (pause := self.allowance.pause(time.perf_counter())):
            time.sleep(min(pause, HELD_SECONDS))
            if pause > HELD_SECONDS and not self._still_ordered(seat):
                return False
        return True

    def _still_ordered(self, seat: Seat) -> bool:
        orders = self.trouble.patiently(lambda: self._orders_now(seat))
        if orders is not None and orders.rate != self.orders.rate:
            self.allowance = Allowance()  # what the old cap made us owe is forgiven
        self.orders = orders or self.orders
        return orders is None or orders.go_on  # a run that is gone is the next batch's to tell

    def _orders_now(self, seat: Seat) -> Orders | None:
        with looking(self.connection, self.server):
            return seat.glance()

    def _why_wait(self) -> str | None:
        try:
            why = self.restraint.why()
        except ProbeFailed as error:
            raise self.trouble.refused(error, f"its probe {error}.") from error
        self.pace.in_company(self.restraint.alone)
        return why

    def _restrained(self, settings: Settings) -> Restraint:
        return Restraint(
            lambda: self.server.load(self.table, self.ours()),
            limits_of(settings),
            probe=self._probe(settings),
            warn=self._say,
            passes=self.trouble.passes,
        )

    def _probe(self, settings: Settings) -> Callable[[], str | None] | None:
        probe = probe_of(settings)
        if probe is None:
            return None
        bounded = Bounded(self.connection, self.server.lets_go_after, self._say)
        return partial(bounded.call, settings.backfill_probe, partial(probe, self.connection.alias))

    def _say(self, line: str) -> None:
        say(f"{self.table}: {line}")

    # A batch's transaction -----------------------------------------------------------------------

    def _refuse_a_where_that_stays(self, span: Span, filled: Filled) -> None:
        """
        Look, after the first rows were changed, whether that took them out of ``where``.

        Else ``F("n") + 1`` would be added in each of three passes before anybody is told.
        """
        where = self.backfill.where
        if where is None:
            return
        if narrowed(span.rows, where).count() - filled.failed >= filled.matched:
            raise WhereStays(filled.matched)

    def _locked(self, seat: Seat) -> Any:
        row = seat.lock()
        if row is None:
            raise failing.forgotten(
                self.table, failing.stays(self.place.rows_done, None, own=self.own)
            )
        return row

    @contextmanager
    def transaction(self, *, batch: bool = False) -> Iterator[None]:
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
