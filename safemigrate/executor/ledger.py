"""Who changed the schema, when, how long it took, and under which release."""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from django.apps.registry import Apps
from django.db import DatabaseError, models
from django.utils.timezone import now

from safemigrate.backends import backend_for
from safemigrate.version import VERSION

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "safemigrate_ledger"
Key = tuple[str, str]
Statement = tuple[str, Sequence[Any]]


@cache
def row_model() -> type[models.Model]:
    """
    The table's model, in a registry of its own.

    It must be there before the first migration and on every alias, so it is not part of the
    project's graph: the pattern of django_migrations.
    """

    class LedgerRow(models.Model):
        run = models.UUIDField()
        # run, install, apply, unapply, fake, hold, leave, owe
        action = models.CharField(max_length=16)
        app = models.CharField(max_length=255, default="")
        name = models.CharField(max_length=255, default="")
        phase = models.CharField(max_length=16, default="")
        release = models.CharField(max_length=64, default="")
        who = models.CharField(max_length=255)
        host = models.CharField(max_length=255)
        pid = models.IntegerField()
        version = models.CharField(max_length=32)
        started = models.DateTimeField()
        duration_ms = models.BigIntegerField(null=True)
        outcome = models.CharField(max_length=16)  # begun, done, failed, held
        error = models.CharField(max_length=64, default="")  # class and SQLSTATE, never values

        class Meta:
            apps = Apps()
            app_label = "safemigrate"
            db_table = TABLE

        def __str__(self) -> str:
            return f"{self.action} {self.app}.{self.name}"

    return LedgerRow


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that no password file knows.
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def person() -> str:
    """Who gives an order, as the ledger names them."""
    return f"{_who()}@{socket.gethostname()}"


def insert(
    connection: BaseDatabaseWrapper, model: type[models.Model], row: Mapping[str, Any]
) -> Statement:
    """INSERT one row; the columns are named as the fields."""
    quote = connection.ops.quote_name
    columns = ", ".join(map(quote, row))
    places = ", ".join(["%s"] * len(row))
    sql = f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({places})"  # noqa: S608  (quoted)
    fields = {field.name: field for field in model._meta.concrete_fields}
    return sql, [fields[name].get_db_prep_save(v, connection) for name, v in row.items()]


def named_error(error: BaseException) -> str:
    """Class and SQLSTATE; never the text, which may hold values."""
    name, state = type(error).__name__, ""
    cause: BaseException | None = error
    while cause is not None and not state:
        state = getattr(cause, "sqlstate", None) or ""
        cause = cause.__cause__
    return f"{name} {state}" if state else name


@dataclass
class Ledger:
    """The rows of one run of ``migrate`` on one database."""

    connection: BaseDatabaseWrapper
    release: str
    run: uuid.UUID = field(default_factory=uuid.uuid4)
    _who: str = field(default_factory=_who)
    _host: str = field(default_factory=socket.gethostname)
    _is_there: bool = False

    def rows(self) -> models.QuerySet[Any]:
        return row_model()._default_manager.using(self.connection.alias)

    def exists(self) -> bool:
        self._is_there = self._is_there or TABLE in self.connection.introspection.table_names()
        return self._is_there

    def ensure_table(self) -> None:
        """Make the table if it is not there; another process may do so at the same moment."""
        if self.exists():
            return
        try:
            with self.connection.schema_editor() as editor:
                editor.create_model(row_model())
        except DatabaseError:
            if not self.exists():
                raise

    def begin(self) -> None:
        """Note that this release has come to this database; the order of releases is theirs."""
        self._write("run", outcome="done")

    def begin_install(self) -> None:
        """Note that the first ``migrate`` of this database has begun, until ``end_install``."""
        self._write("install", outcome="begun")

    def end_install(self) -> None:
        self.rows().filter(action="install", outcome="begun").update(outcome="done")

    def unfinished_install(self) -> str | None:
        """The release whose first ``migrate`` was stopped half-way; None if none was."""
        if not self.exists():
            return None
        begun = self.rows().filter(action="install", outcome="begun")
        found: str | None = begun.values_list("release", flat=True).first()
        return found

    def record(
        self,
        action: str,
        key: Key,
        phase: str,
        started: datetime,
        *,
        error: str = "",
        beside: Sequence[Statement] = (),
    ) -> None:
        """
        One migration applied or unapplied; in its transaction where it has one.

        ``beside``: what else to write in the same journey to the server.
        """
        own = self._insert(
            action,
            app=key[0],
            name=key[1],
            phase=phase,
            started=started,
            duration_ms=max(0, round((now() - started) / timedelta(milliseconds=1))),
            outcome="failed" if error else "done",
            error=error[:64],
        )
        backend_for(self.connection).send_together([*beside, own])

    def about(self, key: Key, action: str) -> Statement:
        """A row about a part of a package's migration; ``owe``: a contract that is to come."""
        outcome = "held" if action == "owe" else "done"
        return self._insert(action, app=key[0], name=key[1], outcome=outcome)

    def parts(self) -> dict[Key, tuple[str, datetime]]:
        """What was said last of each part of a rewritten migration, and when; not if unapplied."""
        if not self.exists():
            return {}
        rows = self.rows().filter(name__contains=" (", outcome__in=["done", "held"])
        rows = rows.exclude(action__in=["hold", "leave"]).order_by("id")
        last = {
            (app, name): (action, started)
            for action, app, name, started in rows.values_list("action", "app", "name", "started")
        }
        return {key: said for key, said in last.items() if said[0] != "unapply"}

    def _write(self, action: str, **values: Any) -> None:
        backend_for(self.connection).send_together([self._insert(action, **values)])

    def _insert(self, action: str, **values: Any) -> Statement:
        """
        One row as a statement.

        Not by the ORM, which builds the same INSERT anew each time: that would be felt in the two
        hundred migrations of a test database.
        """
        row = {**self._same_in_every_row, "action": action, "started": now(), **values}
        return insert(self.connection, row_model(), row)

    @cached_property
    def _same_in_every_row(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "app": "",
            "name": "",
            "phase": "",
            "release": self.release,
            "who": self._who[:255],
            "host": self._host[:255],
            "pid": os.getpid(),
            "version": VERSION,
            "duration_ms": None,
            "error": "",
        }

    def hold(self, keys: Iterable[Key]) -> None:
        """Note which release first came with migrations that wait; what drops needs to know."""
        if not self.release:
            return
        known = self.brought_by()
        for app, name in keys:
            if (app, name) not in known:
                self._write("hold", app=app, name=name, outcome="held")

    def brought_by(self) -> dict[Key, str]:
        """The release that came with each migration that was held back and has not left since."""
        return {key: release for key, release in self._held().items() if release is not None}

    def left(self) -> set[Key]:
        """Migrations that were held back and then taken out of the code, back by now or not."""
        return {(app, name) for app, name in self._held_rows("leave").values_list("app", "name")}

    def leave(self, known: Container[Key], apps: Container[str]) -> None:
        """
        Note which migrations that were held back are not in the code any more.

        Code that runs under this release uses what they drop, whoever brings them again. ``apps``:
        those that this code has; another project on the same database may have others.
        """
        if not self.release:
            return
        for key in self.brought_by():
            if key not in known and key[0] in apps:
                self._write("leave", app=key[0], name=key[1], outcome="done")

    def _held(self) -> dict[Key, str | None]:
        found: dict[Key, str | None] = {}
        rows = self._held_rows("hold", "leave", "unapply").order_by("id")
        for action, app, name, release in rows.values_list("action", "app", "name", "release"):
            if action != "hold":
                found[app, name] = None
            elif found.get((app, name)) is None:
                found[app, name] = release
        return found

    def _held_rows(self, *actions: str) -> models.QuerySet[Any]:
        return self.rows().filter(action__in=actions).exclude(outcome="failed")

    def releases(self) -> list[str]:
        """Oldest first, as ``migrate`` first saw them here."""
        rows = self.rows().exclude(release="").values("release").annotate(first=models.Min("id"))
        return [row["release"] for row in rows.order_by("first")]

    def applied_under(self, applied: dict[Key, datetime]) -> dict[Key, str]:
        """
        The release that each applied migration belongs to.

        From the row of its last application; for one that was applied without us, also after we
        had unapplied it, the release that was the newest at that time; ``""`` if that was before
        the first.
        """
        rows = list(
            self.rows()
            .filter(outcome="done")
            .order_by("id")
            .values_list("action", "app", "name", "release", "started")
        )
        own: dict[Key, str] = {}
        for action, app, name, release, _ in rows:
            if action in ("unapply", "leave"):
                own.pop((app, name), None)
            elif app:
                own[app, name] = release
        seen = [(started, release) for *_, release, started in rows if release]
        return {
            key: own[key]
            if key in own
            else next((release for started, release in reversed(seen) if started <= at), "")
            for key, at in applied.items()
        }
