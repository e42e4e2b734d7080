"""
Locks that are taken when they are free, and never queued for.

A request that waits for ACCESS EXCLUSIVE stands in front of every later query on the table, so
it is not made: ``LOCK TABLE ... NOWAIT`` in the transaction that needs it, again as soon as nobody
is seen to hold the table.
Sources: https://www.postgresql.org/docs/current/sql-lock.html and
https://www.postgresql.org/docs/current/view-pg-locks.html
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import DatabaseError, Error

from safemigrate.backends.base import Take, project_settings
from safemigrate.backends.postgresql.catalog import Catalog
from safemigrate.facts.errors import LockNotObtained
from safemigrate.facts.locks import TableLock, canonical
from safemigrate.facts.patience import Patience
from safemigrate.facts.progress import say

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor

T = TypeVar("T")

# Of databases that were made of one template, tables have the same oids. A prepared transaction has
# no pid.
HOLDERS = """
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.relation = to_regclass(%s) AND l.granted AND l.mode = ANY (%s)
      AND l.pid IS DISTINCT FROM pg_backend_pid()
"""

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK_DETECTED = "40P01"
QUERY_CANCELED = "57014"


def sqlstate(error: BaseException | None) -> str:
    """The five characters that tell what went wrong in every language; ``""`` if there are none."""
    while error is not None:
        # psycopg 3 calls it sqlstate, psycopg2 pgcode.
        if state := getattr(error, "sqlstate", None) or getattr(error, "pgcode", None):
            return str(state)
        error = error.__cause__
    return ""


def milliseconds(duration: timedelta) -> int:
    """For a timeout setting, where zero would mean for ever."""
    return max(1, round(duration.total_seconds() * 1000))


class Locking(Catalog):
    # https://www.postgresql.org/docs/current/wal-async-commit.html: what is committed after it,
    # be it by others, is on the disk only behind it.
    let_go_early = ("SET LOCAL synchronous_commit = off",)
    _printed_together = False
    """Whether sqlmigrate is inside of a transaction that it prints."""

    def lock_was_refused(self, error: BaseException) -> bool:
        return sqlstate(error) in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED)

    def send_together(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        self._send("; ".join(self.composed(sql, params) for sql, params in statements))

    def composed(self, sql: str, params: Sequence[Any] | None) -> str:
        if params is None:
            return sql
        operations: Any = self.connection.ops
        return str(operations.compose_sql(sql, params))

    def _send(self, words: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(words)

    def retrying(self, locks: Sequence[TableLock], attempt: Callable[[Take], T]) -> T:
        wanted = canonical(locks)
        started = time.monotonic()
        patience = Patience()
        tries = refused = 0
        said_at = 0.0
        refusal: DatabaseError | None = None
        while True:
            elapsed = timedelta(seconds=time.monotonic() - started)
            starved = patience.is_starved(elapsed, refused)
            tries += 1
            if refusal is None or not self._is_held(wanted, patience.hopeless(starved=starved)):
                first = self._first_words(wanted, patience.wait(starved=starved))
                try:
                    return attempt(Take(first, self._send))
                except DatabaseError as error:
                    if not self.lock_was_refused(error):
                        raise
                    refusal = error
                    refused += 1
            if tries == 1:
                patience = Patience(deadline=project_settings().lock_deadline)
            elapsed = timedelta(seconds=time.monotonic() - started)
            if patience.is_over(elapsed):
                raise self._not_obtained(wanted, elapsed, tries) from refusal
            if elapsed.total_seconds() - said_at >= 1:
                said_at = elapsed.total_seconds()
                say(self._waiting(wanted, elapsed), passing=True)
            # The pauses are spread so that two runners do not probe in step; no secret hangs on it.
            pause = patience.pause_before(random.random(), starved=starved)  # noqa: S311
            time.sleep(pause.total_seconds())

    def _locked(
        self,
        editor: BaseDatabaseSchemaEditor,
        locks: Sequence[TableLock],
        work: Callable[[], None],
    ) -> None:
        """``patiently``; while sqlmigrate collects, the transaction of the try that gets them."""
        if not editor.collect_sql:
            self.patiently(locks, work)
        elif self.in_transaction or self._printed_together:
            work()
        else:
            self._print_together(editor, locks, work)

    def _print_together(
        self,
        editor: BaseDatabaseSchemaEditor,
        locks: Sequence[TableLock],
        work: Callable[[], None],
    ) -> None:
        begin = len(editor.collected_sql)
        for words in ("BEGIN", *self._first_words(canonical(locks), timedelta(0))):
            editor.execute(words, params=None)
        alone = len(editor.collected_sql)
        self._printed_together = True
        try:
            work()
        finally:
            self._printed_together = False
        if len(editor.collected_sql) == alone:
            del editor.collected_sql[begin:]
        else:
            editor.execute("COMMIT", params=None)

    def _first_words(self, locks: Sequence[TableLock], wait: timedelta) -> list[str]:
        """
        Take ``locks`` now or fail; later statements of the transaction wait only a moment.

        A statement may need a lock that nobody foresaw (a FK's parent); it is then refused,
        rolled back and tried again like the others.
        """
        statements = [self._lock_timeout(wait or Patience.short_wait)]
        nowait = "" if wait else " NOWAIT"
        return statements + [
            f"LOCK TABLE {self._quote(lock.table)} IN {lock.mode.value} MODE{nowait}"
            for lock in locks
        ]

    def _lock_timeout(self, wait: timedelta) -> str:
        return f"SET LOCAL lock_timeout = {milliseconds(wait)}"

    def bound_transaction(self, editor: BaseDatabaseSchemaEditor, wait: timedelta) -> None:
        editor.execute(self._lock_timeout(wait), params=None)

    @contextmanager
    def bounded(self, wait: timedelta) -> Iterator[None]:
        with self._session_settings(lock_timeout=milliseconds(wait)):
            yield

    def takes_its_time(self, statement: object) -> bool:
        """CREATE, DROP, REINDEX or DETACH ... CONCURRENTLY: no transaction and no lock_timeout."""
        return "CONCURRENTLY" in str(statement).upper().split()

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """
        A lock_timeout inside a concurrent build would leave an INVALID index.

        Parallel workers would finish a build sooner, and have the traffic wait for a core.
        """
        settings = project_settings()
        with self._session_settings(
            lock_timeout=0,
            statement_timeout=milliseconds(settings.build_deadline),
            max_parallel_maintenance_workers=settings.build_workers,
            max_parallel_workers_per_gather=settings.build_workers,
        ):
            yield

    @contextmanager
    def _session_settings(self, **wanted: int) -> Iterator[None]:
        """Set timeouts (milliseconds, 0 for none) and limits for the session; put the old back."""
        before = {
            name: self._ask("SELECT current_setting(%s)", [name])[0][0] for name in sorted(wanted)
        }
        self._set_session({name: str(value) for name, value in wanted.items()})
        try:
            yield
        except BaseException:
            # A connection that was lost takes its settings with it; that must not hide why.
            with suppress(Error):
                self._put_back(before)
            raise
        self._put_back(before)

    def _put_back(self, before: dict[str, str]) -> None:
        # A transaction that is still broken here is rolled back by whoever opened it, to
        # settings made before it.
        if self.connection.connection is not None and not self.connection.needs_rollback:
            self._set_session(before)

    def _set_session(self, values: dict[str, str]) -> None:
        for name, value in values.items():
            self._ask("SELECT set_config(%s, %s, false)", [name, value])

    def _waiting(self, locks: Sequence[TableLock], elapsed: timedelta) -> str:
        who = self._blockers(locks)
        held = f", held by {who[0]}" if who else ""
        return f"waiting for {_names(locks)} for {elapsed.total_seconds():.0f} s{held}"

    def _not_obtained(
        self, locks: Sequence[TableLock], elapsed: timedelta, tries: int
    ) -> LockNotObtained:
        who = self._blockers(locks)
        held = " ".join(f"{blocker} holds it." for blocker in who) or (
            "Nobody holds it at this moment; it is busy without a pause."
        )
        return LockNotObtained(
            f"Could not lock {_names(locks)} within {elapsed.total_seconds():.0f} s "
            f"({tries} tries). {held}",
            changed="Nothing of this step was changed, and no query was kept waiting.",
            do="Run migrate again, or end that session first.",
        )

    def _is_held(self, locks: Sequence[TableLock], hopeless: timedelta) -> bool:
        """Whether a transaction that is at least as old as ``hopeless`` is in the way."""
        # One whose age this role may not see counts as new.
        asked = f"SELECT EXISTS (SELECT {HOLDERS} AND greatest(now() - a.xact_start, '0') >= %s)"
        return any(self._ask(asked, [*self._held(lock), hopeless])[0][0] for lock in locks)

    def _held(self, lock: TableLock) -> tuple[str, list[str]]:
        """What ``HOLDERS`` asks for."""
        return self._regclass(lock.table), [mode.pg_locks_name for mode in lock.mode.conflicts()]

    def _blockers(self, locks: Sequence[TableLock]) -> list[str]:
        """Who holds what stands in the way, oldest transaction first, five at most."""
        asked = f"""
            SELECT DISTINCT a.pid, a.application_name, a.state, left(a.query, 120),
                   a.xact_start, date_trunc('second', clock_timestamp() - a.xact_start)::text
            {HOLDERS} ORDER BY a.xact_start NULLS LAST LIMIT 5
        """
        found = [_told(*row) for lock in locks for row in self._ask(asked, self._held(lock))]
        return found[:5]


def _told(
    pid: int | None, name: str | None, state: str | None, query: str | None, _: object, age: str
) -> str:
    if pid is None:
        return "A prepared transaction (pg_prepared_xacts names it)"
    return (
        f"Process {pid} ({name or 'no application_name'}, {state or 'state unknown'}, "
        f"transaction open for {age or 'an unknown time'}, "
        f"last query: {' '.join((query or 'not shown to this role').split())})"
    )


def _names(locks: Sequence[TableLock]) -> str:
    return ", ".join(lock.table for lock in locks) or "the tables of this step"
