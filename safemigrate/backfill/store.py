"""The durable memory of runs, and of the rows that they could not fill, in tables of our own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.apps.registry import Apps
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from safemigrate.backfill.keys import KEY_CHARACTERS
from safemigrate.backfill.states import State
from safemigrate.backfill.tables import OwnTables

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

STATE_TABLE = "safemigrate_backfill"

FAILURE_TABLE = "safemigrate_backfill_failure"

RUNNING, DONE, FAILED = State.RUNNING.value, State.DONE.value, State.FAILED.value

_models: tuple[Any, Any] | None = None


def _both() -> tuple[Any, Any]:
    """
    Return the models of our two tables, in an app registry of their own.

    Built when first asked for, so that this module imports before the apps are ready.
    """
    global _models
    if _models is None:
        registry = Apps()

        class Run(models.Model):
            id = models.BigAutoField(primary_key=True)
            key = models.CharField(max_length=KEY_CHARACTERS)
            table_name = models.TextField()
            fingerprint = models.CharField(max_length=64)
            cursor = models.TextField(default="")  # JSON; empty is before the first key
            pass_no = models.IntegerField(default=1)
            pass_rows = models.BigIntegerField(default=0)  # changed in this pass
            pass_seen = models.BigIntegerField(default=0)  # looked at in this pass
            rows_done = models.BigIntegerField(default=0)  # changed in all passes
            batches = models.IntegerField(default=0)
            batch_ms_median = models.FloatField(null=True)
            state = models.CharField(max_length=10, default=RUNNING)
            started_at = models.DateTimeField(default=timezone.now)
            updated_at = models.DateTimeField(default=timezone.now)
            finished_at = models.DateTimeField(null=True)
            error = models.TextField(default="")  # class and SQLSTATE, never a value
            total = models.BigIntegerField(
                null=True
            )  # rows of the table, as estimated at the start
            rate = models.IntegerField(null=True)  # rows/s, told from another terminal
            workers = models.IntegerField(null=True)  # the same
            # An older version's table gets these columns without a rewrite: NULL, not "".
            waiting = models.TextField(null=True)  # noqa: DJ001  (see above)  why no batch is in work
            note = models.TextField(null=True)  # noqa: DJ001  (see above)  who ordered what, and when
            shared = models.BooleanField(null=True)  # what is left of the pass is in ranges
            queue = models.TextField(null=True)  # noqa: DJ001  (see above)  that was asked to help
            held_since = models.DateTimeField(null=True)  # the shifts of a queue do nothing

            class Meta:
                apps = registry
                app_label = "safemigrate"
                db_table = STATE_TABLE
                constraints = [
                    models.UniqueConstraint(
                        fields=["key", "started_at"], name="safemigrate_backfill_run"
                    )
                ]

            def __str__(self) -> str:
                return f"{self.key} {self.state}"

        class Failure(models.Model):
            id = models.BigAutoField(primary_key=True)
            run_id = models.BigIntegerField()
            row_key = models.TextField()  # JSON, as the cursor
            batch = models.TextField()  # first..last key of the batch that it failed in
            error = models.TextField()  # class, SQLSTATE and the server's first line
            tries = models.IntegerField(default=1)
            failed_at = models.DateTimeField(default=timezone.now)

            class Meta:
                apps = registry
                app_label = "safemigrate"
                db_table = FAILURE_TABLE
                constraints = [
                    models.UniqueConstraint(
                        fields=["run_id", "row_key"], name="safemigrate_backfill_failure_row"
                    )
                ]

            def __str__(self) -> str:
                return f"{self.row_key} {self.error}"

        _models = Run, Failure
    return _models


def _run_model() -> Any:
    return _both()[0]


def _failure_model() -> Any:
    return _both()[1]


KEPT = (
    *("state", "cursor", "pass_no", "pass_rows", "pass_seen", "rows_done", "batches"),
    *("rate", "workers", "shared"),
)
"""What a batch reads of its run. By hand, like the UPDATE: the ORM would build both anew for
each batch, and a batch is a few milliseconds."""


def made_of(run_id: int, names: Sequence[str], row: Sequence[Any]) -> Any:
    """Return the run with the values that were read."""
    return _run_model()(pk=run_id, **dict(zip(names, row, strict=True)))


class Store:
    """The runs on one database."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self._tables = OwnTables(connection, *_both())

    def has_tables(self) -> bool:
        """Whether anything was ever written down here; what an older version lacked is added."""
        return self._tables.ensure_if_any()

    def ensure_schema(self) -> None:
        """Make the tables, or what they lack; two processes may do it at once."""
        self._tables.ensure()

    def latest(self, key: str) -> Any | None:
        """Return the newest run of ``key``, locked, or None."""
        return self._rows().select_for_update().filter(key=key).order_by("-id").first()

    def start(self, key: str, table: str, fingerprint: str, state: str = RUNNING) -> Any:
        """Begin a run; it comes to every row, so what earlier ones had set aside is forgotten."""
        earlier = list(self._rows().filter(key=key).values_list("pk", flat=True))
        self.failures().filter(run_id__in=earlier).delete()
        return self._rows().create(
            key=key, table_name=table, fingerprint=fingerprint, state=state, updated_at=Now()
        )

    def newest(self, key: str) -> Any | None:
        """Return the newest run of ``key`` as it was last committed, without waiting, or None."""
        return self._rows().filter(key=key).order_by("-id").first()

    def lock(self, run_id: int, *, wait: bool = True) -> Any | None:
        """
        Return the run, locked until the end of the transaction; None if it was forgotten.

        Whoever holds it does the next batch. A killed process may leave a server process that is
        still busy with its batch; its successor waits here until that is rolled back.

        ``wait``: False returns None too if somebody has it.
        """
        lock = (
            f"FOR UPDATE{'' if wait else ' SKIP LOCKED'}"
            if self.connection.features.has_select_for_update
            else ""
        )
        return self._kept(run_id, KEPT, lock)

    def glance(self, run_id: int) -> Any | None:
        """Return the run as it was last committed, without waiting; None if it was forgotten."""
        return self._kept(run_id, (*KEPT, "note", "error"), "")

    def _kept(self, run_id: int, names: Sequence[str], lock: str) -> Any | None:
        quote = self.connection.ops.quote_name
        columns = ", ".join(map(quote, names))
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {columns} FROM {quote(STATE_TABLE)} WHERE id = %s {lock}",  # noqa: S608  (quoted)
                [run_id],
            )
            row = cursor.fetchone()
        return made_of(run_id, names, row) if row else None

    def save(self, run: Any, *fields: str) -> None:
        quote = self.connection.ops.quote_name
        sets = ", ".join(f"{quote(name)} = %s" for name in fields)
        values = [
            run._meta.get_field(name).get_db_prep_save(getattr(run, name), self.connection)
            for name in fields
        ]
        # By the server's clock: whoever asks how long it was silent need not agree with ours.
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {quote(STATE_TABLE)} SET {sets}, "  # noqa: S608  (quoted)
                f"{quote('updated_at')} = CURRENT_TIMESTAMP WHERE id = %s",
                [*values, run.pk],
            )

    def set_aside(self, run_id: int, row_key: str, batch: str, error: str) -> None:
        """Write down a row that failed, or that it failed again."""
        same = self.failures().filter(run_id=run_id, row_key=row_key)
        now = timezone.now()
        if not same.update(batch=batch, error=error, tries=models.F("tries") + 1, failed_at=now):
            self.failures().create(run_id=run_id, row_key=row_key, batch=batch, error=error)

    def failed_again(self, failure_id: int, error: str) -> None:
        """Write down why, unless somebody else has filled the row since."""
        self.failures().filter(pk=failure_id).update(
            error=error, tries=models.F("tries") + 1, failed_at=timezone.now()
        )

    def note_waiting(self, run_id: int | None, why: str | None) -> None:
        self._rows().filter(pk=run_id).update(waiting=why, updated_at=Now())

    def note_shift(self, run_id: int, held_since: datetime | None) -> datetime | None:
        """
        Write down that a queue's worker did something, or since when none could.

        Returns the start of the time in which none could, which may be an earlier worker's.
        """
        rows = self._rows().filter(pk=run_id)
        if held_since is None:
            rows.filter(held_since__isnull=False).update(held_since=None)
            return None
        rows.filter(held_since__isnull=True).update(held_since=held_since)
        found: datetime | None = rows.values_list("held_since", flat=True).first()
        return found

    def forget(self, key: str) -> None:
        if not self.has_tables():
            return
        from safemigrate.backfill.leases import Leases

        runs = self._rows().filter(key=key)
        ids = list(runs.values_list("pk", flat=True))
        self.failures().filter(run_id__in=ids).delete()
        Leases(self.connection).forget(ids)
        runs.delete()

    def runs(self) -> Any:
        """
        Return all runs, oldest first, as a queryset; the table must be there.

        Shape:   with ``server_now``, to compare with ``updated_at``.
        """
        return self._rows().annotate(server_now=Now()).order_by("id")

    def failures(self) -> Any:
        """Return the rows that were set aside and are still open, as a queryset."""
        return _failure_model()._base_manager.using(self.connection.alias).order_by("id")

    def _rows(self) -> Any:
        return _run_model()._base_manager.using(self.connection.alias)


def forget(connection: BaseDatabaseWrapper, key: str) -> None:
    """Delete the runs of ``key``: after the way back, the way forwards starts over."""
    Store(connection).forget(key)
