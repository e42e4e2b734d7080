"""A run cut into ranges that several workers share: who works on which, and how far it is."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.apps.registry import Apps
from django.db import models, transaction
from django.db.models import Q

from safemigrate.backfill.orders import Orders, orders_of
from safemigrate.backfill.store import KEPT, STATE_TABLE, Store, made_of
from safemigrate.backfill.tables import OwnTables
from safemigrate.backfill.walking import Counts

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from safemigrate.backfill.filling import Filled
    from safemigrate.backfill.work import Backfill

RANGE_TABLE = "safemigrate_backfill_range"

OPEN, LEASED, DONE = "open", "leased", "done"

# Whoever works on a range has its row locked, so only a worker that neither works nor waits can
# lose it: one that was killed. What it lost is done again by nobody: its batch was rolled back.
LEASE = timedelta(seconds=15)
BEAT = timedelta(seconds=5)  # of a worker that waits; one that works beats with each batch

_model: type[models.Model] | None = None


def _range_model() -> Any:
    """Return the table's model; as with the runs, no migration makes it."""
    global _model
    if _model is None:

        class Range(models.Model):
            id = models.BigAutoField(primary_key=True)
            run_id = models.BigIntegerField()
            number = models.IntegerField()
            cursor = models.TextField(default="")  # JSON; done up to here, at first where it begins
            upto = models.TextField()  # JSON; the last key
            state = models.CharField(max_length=10, default=OPEN)
            worker = models.TextField(default="")
            beat_at = models.DateTimeField(null=True)  # by the server's clock
            process = models.IntegerField(null=True)  # of the server, that the worker talks to
            rows_done = models.BigIntegerField(default=0)
            batches = models.IntegerField(default=0)

            class Meta:
                apps = Apps()
                app_label = "safemigrate"
                db_table = RANGE_TABLE
                constraints = [
                    models.UniqueConstraint(
                        fields=["run_id", "number"], name="safemigrate_backfill_range_number"
                    )
                ]

            def __str__(self) -> str:
                return f"{self.run_id}.{self.number} {self.state}"

        _model = Range
    return _model


class LeaseLost(Exception):
    """Somebody else has taken the range over: this worker seemed to be dead."""


@dataclass(frozen=True)
class Lease:
    """A range that one worker works on. Shape: upto: the last key, as text."""

    id: int
    run_id: int
    upto: str
    worker: str


class Leases:
    """The ranges on one database. Each call is a transaction, or part of the caller's."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self._tables = OwnTables(connection, _range_model())

    def exist(self) -> bool:
        return self._tables.exist()

    def ensure_schema(self) -> None:
        self._tables.ensure()

    def cut(self, run_id: int, after: str, bounds: Sequence[str]) -> None:
        """Make the ranges from ``after`` to the last of ``bounds``; the caller holds the run."""
        ranges = []
        for number, upto in enumerate(bounds):
            ranges.append(_range_model()(run_id=run_id, number=number, cursor=after, upto=upto))
            after = upto
        self._rows().bulk_create(ranges)

    def take(
        self, run_id: int, worker: str, *, most: int | None = None, process: int | None = None
    ) -> Lease | None:
        """
        Lease the first range that nobody works on, None if there is none now.

        ``most``: None too while so many ranges have somebody at work. The run is locked for it,
        or those that begin together would all count before any of them has a range.
        """
        with transaction.atomic(using=self.connection.alias):
            dead = self._now() - LEASE
            if most is not None:
                Store(self.connection).lock(run_id)
                if self.at_work(run_id) >= most:
                    return None
            free = Q(state=OPEN) | Q(state=LEASED, beat_at__lt=dead)
            rows = self._rows().filter(free, run_id=run_id).order_by("number")
            found = rows.select_for_update(skip_locked=True).first()
            if found is None:
                return None
            self._rows().filter(pk=found.pk).update(
                state=LEASED, worker=worker, beat_at=self._now(), process=process
            )
        return Lease(found.pk, run_id, found.upto, worker)

    def give_back(self, lease: Lease, *, state: str = OPEN) -> None:
        """Let the range go, ``DONE`` or for somebody else to go on with."""
        mine = self._rows().filter(pk=lease.id, worker=lease.worker)
        mine.update(state=state, worker="")

    def beat(self, lease: Lease) -> None:
        """Say that the worker of this range is alive, though it waits."""
        self._rows().filter(pk=lease.id, worker=lease.worker).update(beat_at=self._now())

    def at_work(self, run_id: int) -> int:
        """Return how many ranges have somebody at work, as far as their leases say."""
        return int(self._at_work(run_id).count())

    def processes(self, run_id: int) -> set[int]:
        """Return the server's processes of those workers, as far as they are known."""
        known = self._at_work(run_id).filter(process__isnull=False)
        return set(known.values_list("process", flat=True))

    def left(self, run_id: int) -> int:
        """Return how many ranges are not done."""
        return int(self._rows().filter(run_id=run_id).exclude(state=DONE).count())

    def last(self, run_id: int) -> str | None:
        """Return where the ranges of this run end, None if it has none."""
        rows = self._rows().filter(run_id=run_id).order_by("-number")
        found: str | None = rows.values_list("upto", flat=True).first()
        return found

    def forget(self, run_ids: Sequence[int]) -> None:
        if self.exist():
            self._rows().filter(run_id__in=run_ids).delete()

    def _at_work(self, run_id: int) -> Any:
        dead = self._now() - LEASE
        return self._rows().filter(run_id=run_id, state=LEASED, beat_at__gte=dead)

    def _rows(self) -> Any:
        return _range_model()._base_manager.using(self.connection.alias)

    def _now(self) -> datetime.datetime:
        """Return the server's time: workers on two machines need not agree on theirs."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_TIMESTAMP")
            found: datetime.datetime = cursor.fetchone()[0]
        return found


class RangeSeat:
    """A walk over one range keeps its cursor there, and adds to the numbers of the run."""

    def __init__(self, leases: Leases, lease: Lease, backfill: Backfill) -> None:
        self.leases, self.lease, self.backfill = leases, lease, backfill
        self.run_id = lease.run_id
        self._beat_at = datetime.datetime.min

    def lock(self) -> Any | None:
        """
        Return the range with its run, only the range locked: workers must not wait in a row.

        Raises:  LeaseLost.
        """
        return self._read("FOR UPDATE OF part")

    def orders(self, row: Any) -> Orders:
        return orders_of(row.run, self.backfill)

    def glance(self) -> Orders | None:
        now = datetime.datetime.now()
        if now - self._beat_at > BEAT:
            self._beat_at = now
            self.leases.beat(self.lease)
        row = self._read("")
        return row and self.orders(row)

    def processes(self) -> set[int]:
        return self.leases.processes(self.run_id)

    def moved(self, row: Any, filled: Filled, seen: int, counts: Counts) -> None:
        quote = self.leases.connection.ops.quote_name
        with self.leases.connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {quote(RANGE_TABLE)} SET cursor = %s, beat_at = CURRENT_TIMESTAMP, "  # noqa: S608  (quoted)
                "rows_done = rows_done + %s, batches = batches + 1 WHERE id = %s",
                [row.cursor, filled.changed, self.lease.id],
            )
            # Last, because all workers meet in this row: it is locked for no more than the COMMIT.
            cursor.execute(
                f"UPDATE {quote(STATE_TABLE)} SET rows_done = rows_done + %s, "  # noqa: S608  (quoted)
                "pass_rows = pass_rows + %s, pass_seen = pass_seen + %s, batches = batches + 1, "
                "updated_at = CURRENT_TIMESTAMP WHERE id = %s",
                [filled.changed, filled.changed, seen, self.lease.run_id],
            )
        counts.run_rows = row.run.rows_done + filled.changed
        counts.seen = row.run.pass_seen + seen

    def _read(self, lock: str) -> Any | None:
        connection = self.leases.connection
        quote = connection.ops.quote_name
        columns = ", ".join(f"run.{quote(name)}" for name in KEPT)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT part.worker, part.cursor, {columns} FROM {quote(RANGE_TABLE)} part "  # noqa: S608  (quoted)
                f"JOIN {quote(STATE_TABLE)} run ON run.id = part.run_id WHERE part.id = %s {lock}",
                [self.lease.id],
            )
            found = cursor.fetchone()
        if found is None:
            return None
        worker, at, *kept = found
        if worker != self.lease.worker:
            raise LeaseLost(self.lease.worker)
        return _Sat(at, made_of(self.lease.run_id, KEPT, kept))


class _Sat:
    """What a batch of a range reads: its cursor, and the run."""

    def __init__(self, cursor: str, run: Any) -> None:
        self.cursor, self.run = cursor, run
