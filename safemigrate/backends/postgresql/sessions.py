"""Who is connected, which release they run, and who may migrate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import Error

from safemigrate.backends.base import Session
from safemigrate.backends.postgresql.catalog import Catalog
from safemigrate.facts.errors import AnotherRunner, UnsupportedDatabase
from safemigrate.facts.progress import say
from safemigrate.facts.release import label

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# Two halves of one 64-bit key: "safe", "migr" in ASCII. Advisory locks are per database.
RUNNER_LOCK = (0x73616665, 0x6D696772)


class Sessions(Catalog):
    def sessions(self) -> list[Session]:
        """
        Source: https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
        """
        rows = self._ask(
            """
            SELECT pid, application_name, usename, backend_start FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
              AND coalesce(backend_type, 'client backend') = 'client backend'
            ORDER BY pid
            """,
            [],
        )
        return [Session(pid, name or "", user or "", start) for pid, name, user, start in rows]

    def user(self) -> str:
        return str(self._ask("SELECT session_user", [])[0][0])

    def let_all_read(self, table: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"GRANT SELECT ON {self._quote(table)} TO PUBLIC")

    def carry_release(self, release: str) -> None:
        """One statement when the connection opens; none if its pool has labelled it before."""
        driver = self.connection.connection
        known = driver.info.parameter_status("application_name") or ""
        wanted = label(known, release)
        if known == wanted:
            return
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", [wanted])
        if not self.connection.get_autocommit():
            # A rollback of the first transaction would take the name back.
            self.connection.commit()

    @contextmanager
    def one_runner(self, wait: timedelta) -> Iterator[None]:
        """
        A lock that ends with its owner, killed or not, and is safe behind a pooler.

        It is held by an open transaction on a connection of its own: a session-level lock
        would be lost (or found) by other clients of a pooler in transaction mode. Between
        statements that transaction holds no snapshot and no row, so it delays no vacuum and
        no concurrent build.
        Source: https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
        """
        guard = apart(self.connection)
        try:
            with transaction_on(guard):
                _refuse_read_only(guard)
                self._take_runner_lock(guard, wait)
                yield
        finally:
            guard.close()

    def _take_runner_lock(self, guard: BaseDatabaseWrapper, wait: timedelta) -> None:
        started = time.monotonic()
        with guard.cursor() as cursor:
            cursor.execute(
                "SET LOCAL idle_in_transaction_session_timeout = 0; "
                "SET LOCAL application_name = 'safemigrate: holds the right to migrate'"
            )
            while True:
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", RUNNER_LOCK)
                if cursor.fetchone()[0]:
                    return
                waited = time.monotonic() - started
                if waited >= wait.total_seconds():
                    raise AnotherRunner(
                        f"Another migrate is at work on this database: {self._runner()}. "
                        f"It did not end within {wait}.",
                        do="Wait for it and run migrate again; "
                        "nothing it has finished is done twice.",
                    )
                say(f"waiting for another migrate: {self._runner()}", passing=True)
                time.sleep(min(0.2, wait.total_seconds()))

    def _runner(self) -> str:
        rows = self._ask(
            """
            SELECT a.pid, a.usename, coalesce(a.client_addr::text, 'a local socket'),
                   date_trunc('second', clock_timestamp() - a.xact_start)::text
            FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
            WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """,
            list(RUNNER_LOCK),
        )
        if not rows:
            return "it is just ending"
        pid, user, address, age = rows[0]
        return f"server process {pid} of {user} from {address}, for {age or 'an unknown time'}"


@contextmanager
def transaction_on(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """``transaction.atomic`` for a connection that is not registered under an alias."""
    connection.set_autocommit(False)
    try:
        yield
    finally:
        # If it was lost its transaction is over, and what was done meanwhile stays done.
        with suppress(Error):
            if connection.connection is not None:
                connection.rollback()
                connection.set_autocommit(True)


def apart(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """
    A second connection to the same database, not from the project's pool.

    A pool may hold no more than the one that is in use, and it would keep what we set.
    """
    twin: BaseDatabaseWrapper = connection.copy()
    twin.settings_dict["OPTIONS"] = {
        name: value for name, value in twin.settings_dict["OPTIONS"].items() if name != "pool"
    }
    return twin


def _refuse_read_only(guard: BaseDatabaseWrapper) -> None:
    with guard.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        if cursor.fetchone()[0] == "on":
            raise UnsupportedDatabase(
                f"The database {guard.alias!r} can only be read: it is a standby, or "
                "default_transaction_read_only is on for it or its role.",
                do="Point DATABASES at the primary, or switch that off, then run migrate again.",
            )
