"""The primary dies while a backfill runs; a replica takes over, and the same run ends there."""

import itertools
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import psycopg
import pytest
from django.db import connections
from django.db.models import F

from safemigrate.backends.postgresql.liveness import watch_socket
from safemigrate.backfill import STATE_TABLE, Backfill, control, run, trouble
from safemigrate.backfill.walking import Walk
from safemigrate.facts.errors import BackfillFailed
from testproject import database

from .replicas import standby_of
from .shared import small_ranges
from .tables import Order

ALIAS = "bf_failover"
ROWS = 20_000
SEEN, DONE_BEFORE = (
    10,
    20,
)  # batches: what must have reached the standby, where the run waits for it


class Pair:
    """A primary and its standby; ``alias`` is what a project would have in its settings."""

    def __init__(self, primary, standby, folder) -> None:
        self.primary, self.standby = primary, standby
        self.address = folder / "db"
        self.address.symlink_to(primary.socket_dir)

    def session(self, server):
        return psycopg.connect(
            host=str(server.socket_dir), user="postgres", dbname="postgres", autocommit=True
        )

    def kill(self) -> None:
        """As a machine that loses its power: no farewell, and it does not come back."""
        os.kill(self.primary.process.pid, signal.SIGKILL)
        self.primary.process.wait(30)

    def promote(self) -> None:
        with self.session(self.standby) as session:
            session.execute("SELECT pg_promote()")

    def move_address(self) -> None:
        new = self.address.with_name("new")
        new.symlink_to(self.standby.socket_dir)
        new.rename(self.address)


@pytest.fixture
def pair(tmp_path):
    with (
        database.start(tmp_path / "primary", durable=False) as primary,
        standby_of(primary, tmp_path / "standby") as standby,
    ):
        yield Pair(primary, standby, tmp_path)


def connected(host, **options):
    """Return the alias on that host, with a table to fill."""
    given = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": host,
        "OPTIONS": options,
    }
    configured = connections.configure_settings({"default": {}, ALIAS: given})
    connections.settings[ALIAS] = configured[ALIAS]
    with connections[ALIAS].schema_editor() as editor:
        editor.create_model(Order)
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO shop_order (amount, n) SELECT g, 0 FROM generate_series(1, {ROWS}) g"
        )
    return connections[ALIAS]


@pytest.fixture
def strikes(monkeypatch) -> threading.Event:
    """The run waits for it in the middle of its table, else a quick one might be over before."""
    event, batch, batches = threading.Event(), Walk.batch, itertools.count()

    def waits(self, seat, last):
        if next(batches) >= DONE_BEFORE:
            assert event.wait(60)
        return batch(self, seat, last)

    monkeypatch.setattr(Walk, "batch", waits)
    return event


@pytest.fixture(autouse=True)
def _forget_alias(django_db_blocker, monkeypatch):
    small_ranges(monkeypatch)
    with django_db_blocker.unblock():
        yield
        if ALIAS in connections.settings:
            connections[ALIAS].close()
            del connections[ALIAS]
            del connections.settings[ALIAS]


class Disaster(threading.Thread):
    """Wait until some batches have reached the standby, then do what is to happen."""

    def __init__(self, pair, strikes, *steps) -> None:
        super().__init__()
        self.pair, self.strikes, self.steps = pair, strikes, steps

    def run(self) -> None:
        with self.pair.session(self.pair.standby) as session:
            eventually(lambda: self.batches(session) >= SEEN)
        self.strikes.set()
        for step in self.steps:
            step()

    def batches(self, session) -> int:
        with suppress(psycopg.errors.UndefinedTable):
            (found,) = session.execute(f"SELECT max(batches) FROM {STATE_TABLE}").fetchone()
            return found or 0
        return 0


def pause():
    """For the run to notice, and to try in vain."""
    time.sleep(1.5)


def every_row_once(pair):
    with pair.session(pair.standby) as session:
        assert session.execute("SELECT n, count(*) FROM shop_order GROUP BY n").fetchall() == [
            (1, ROWS)
        ]
        found = session.execute(f"SELECT state, error, rows_done FROM {STATE_TABLE}").fetchall()
        assert found == [("done", "", ROWS)]


def backfill(workers=1):
    return Backfill(Order, values={"n": F("n") + 1}, batch_rows=100, workers=workers)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_run_goes_on_at_the_replica_that_takes_over(pair, heard, strikes, workers):
    """Two hosts in the settings, as libpq takes them; nobody does anything for the run."""
    hosts = f"{pair.primary.socket_dir},{pair.standby.socket_dir}"
    connection = connected(hosts, target_session_attrs="read-write")
    disaster = Disaster(pair, strikes, pair.kill, pause, pair.promote)
    disaster.start()
    run(connection, backfill(workers), key="k")
    disaster.join()
    assert any("the connection was lost" in line for line in heard)
    every_row_once(pair)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_address_that_leads_to_a_standby_at_first_is_waited_for(pair, heard, strikes, workers):
    """The name moves before the promotion: there is a server that answers and takes no writes."""
    connection = connected(str(pair.address))
    disaster = Disaster(pair, strikes, pair.kill, pair.move_address, pause, pair.promote)
    disaster.start()
    run(connection, backfill(workers), key="k")
    disaster.join()
    assert any("the connection was lost" in line for line in heard)
    every_row_once(pair)


@pytest.mark.slow
def test_a_database_that_does_not_come_back_in_time_ends_the_run_and_the_next_goes_on(
    pair, strikes, monkeypatch
):
    connection = connected(str(pair.address))
    monkeypatch.setattr(trouble, "RECONNECT", timedelta(seconds=2))
    disaster = Disaster(pair, strikes, pair.kill)
    disaster.start()
    with pytest.raises(BackfillFailed) as failed:
        run(connection, backfill(), key="k")
    disaster.join()
    assert "The connection to the database was lost" in failed.value.what
    assert "Run migrate again when the database answers" in failed.value.do
    pair.move_address()
    pair.promote()
    assert control.seen(connection)[0].state == "running"
    assert run(connection, backfill(), key="k").resumed
    every_row_once(pair)


@pytest.mark.slow
def test_a_server_that_crashes_and_comes_back_has_lost_batches_and_cursor_alike(tmp_path, strikes):
    """Batches are not flushed one by one: what a crash takes, it takes with the place reached."""
    flushed = {"synchronous_commit": "on"}  # as elsewhere; a batch sets its own
    with database.start(tmp_path / "data", durable=False, options=flushed) as server:
        address = tmp_path / "db"
        address.symlink_to(server.socket_dir)
        connection = connected(str(address))
        with ThreadPoolExecutor(1) as elsewhere:
            running = elsewhere.submit(run_in_thread, backfill())
            eventually(lambda: batches(connection) >= SEEN)
            connection.close()
            strikes.set()
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait(30)
            with database.start(tmp_path / "data", durable=False) as again:
                address.with_name("new").symlink_to(again.socket_dir)
                address.with_name("new").rename(address)
                running.result(120)
                with connection.cursor() as cursor:
                    cursor.execute("SELECT n, count(*) FROM shop_order GROUP BY n")
                    assert cursor.fetchall() == [(1, ROWS)]
                    cursor.execute(f"SELECT state, rows_done FROM {STATE_TABLE}")
                    assert cursor.fetchall() == [("done", ROWS)]
                connection.close()


def run_in_thread(backfill):
    connection = connections[ALIAS]  # this thread's own
    try:
        return run(connection, backfill, key="k")
    finally:
        connection.close()


def batches(connection):
    return sum(run.batches for run in control.seen(connection))


def eventually(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="set on Linux alone")
def test_a_connection_over_the_network_is_given_up_after_a_minute_without_an_answer():
    with (
        socket.create_server(("127.0.0.1", 0)) as door,
        socket.create_connection(door.getsockname()) as end,
    ):
        watch_socket(end)
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
