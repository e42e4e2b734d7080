"""The durable memory of runs: one row each, in a table of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps.registry import Apps
from django.db import DatabaseError, models, transaction
from django.utils import timezone

from safemigrate.backfill.keys import KEY_CHARACTERS

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

STATE_TABLE = "safemigrate_backfill"

RUNNING, DONE, FAILED = "running", "done", "failed"

_model: type[models.Model] | None = None


def _run_model() -> Any:
    """
    Return the model of the table, in an app registry of its own.

    No migration makes this table: it must be there before the first one, on each database.
    Built when first asked for, so that this module imports before the apps are ready.
    Source:  django/db/migrations/recorder.py:24 (5.2)
    """
    global _model
    if _model is None:

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

            class Meta:
                apps = Apps()
                app_label = "safemigrate"
                db_table = STATE_TABLE
                constraints = [
                    models.UniqueConstraint(
                        fields=["key", "started_at"], name="safemigrate_backfill_run"
                    )
                ]

            def __str__(self) -> str:
                return f"{self.key} {self.state}"

        _model = Run
    return _model


KEPT = ("state", "cursor", "pass_no", "pass_rows", "pass_seen", "rows_done", "batches")
"""What a batch reads of its run. By hand, like the UPDATE: the ORM would build both anew for
each batch, and a batch is a few milliseconds."""


class Store:
    """The runs on one database."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def has_table(self) -> bool:
        with self.connection.cursor() as cursor:
            return STATE_TABLE in self.connection.introspection.table_names(cursor)

    def ensure_schema(self) -> None:
        """
        Make the table if it is not there.

        Re-run:  two processes may do it at once: PostgreSQL lets one of them fail on the catalog.
        """
        if self.has_table():
            return
        # The editor only words the statement. Entered, it would refuse inside a transaction on
        # SQLite, and run what is deferred in it; this table has nothing deferred.
        editor = self.connection.SchemaEditorClass(self.connection, atomic=False)
        sql, params = editor.table_sql(_run_model())
        try:
            with (
                transaction.atomic(using=self.connection.alias),
                self.connection.cursor() as cursor,
            ):
                cursor.execute(sql, params or None)
        except DatabaseError:
            if not self.has_table():
                raise

    def latest(self, key: str) -> Any | None:
        """Return the newest run of ``key``, locked, or None."""
        return self._rows().select_for_update().filter(key=key).order_by("-id").first()

    def start(self, key: str, table: str, fingerprint: str) -> Any:
        return self._rows().create(key=key, table_name=table, fingerprint=fingerprint)

    def lock(self, run_id: int) -> Any | None:
        """
        Return the run, locked until the end of the transaction; None if it was forgotten.

        Whoever holds it does the next batch. A killed process may leave a server process that is
        still busy with its batch; its successor waits here until that is rolled back.
        """
        lock = "FOR UPDATE" if self.connection.features.has_select_for_update else ""
        return self._read(run_id, lock)

    def glance(self, run_id: int) -> Any | None:
        """Return the run as it stands, without a lock: what a walk that waits looks at."""
        return self._read(run_id, "")

    def _read(self, run_id: int, lock: str) -> Any | None:
        quote = self.connection.ops.quote_name
        columns = ", ".join(map(quote, KEPT))
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {columns} FROM {quote(STATE_TABLE)} WHERE id = %s {lock}",  # noqa: S608  (quoted)
                [run_id],
            )
            row = cursor.fetchone()
        return _run_model()(pk=run_id, **dict(zip(KEPT, row, strict=True))) if row else None

    def save(self, run: Any, *fields: str) -> None:
        run.updated_at = timezone.now()
        quote, names = self.connection.ops.quote_name, [*fields, "updated_at"]
        sets = ", ".join(f"{quote(name)} = %s" for name in names)
        values = [
            run._meta.get_field(name).get_db_prep_save(getattr(run, name), self.connection)
            for name in names
        ]
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {quote(STATE_TABLE)} SET {sets} WHERE id = %s",  # noqa: S608  (quoted)
                [*values, run.pk],
            )

    def forget(self, key: str) -> None:
        if self.has_table():
            self._rows().filter(key=key).delete()

    def _rows(self) -> Any:
        return _run_model()._base_manager.using(self.connection.alias)


def forget(connection: BaseDatabaseWrapper, key: str) -> None:
    """Delete the runs of ``key``: after the way back, the way forwards starts over."""
    Store(connection).forget(key)
