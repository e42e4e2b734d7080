"""Locks held by others, deadlocks, kills and lost connections."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.db import connections
from django.db.models import F, Q

from safemigrate.backends.postgresql import server
from safemigrate.backfill import STATE_TABLE, Backfill, control, run, trouble
from safemigrate.facts.errors import BackfillFailed

from .tables import Order

ROOT = Path(__file__).parents[2]
UNFILLED = Q(total__isnull=True)
KILLED_WORK = Backfill(Order, values={"n": F("n") + 1}, batch_rows=100)


@pytest.fixture
def orders(make, pg):
    make(Order, rows=[{"amount": n} for n in range(1, 2_001)])
    return Order._base_manager.using(pg.alias)


def hold(other, sql, seconds):
    """Lock something in another session, and let it go after a while."""
    other.execute(sql)
    timer = threading.Timer(seconds, other.rollback)
    timer.start()
    return timer


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM shop_order WHERE id = 1500 FOR UPDATE",
        "LOCK TABLE shop_order IN ACCESS EXCLUSIVE MODE",
    ],
)
def test_a_lock_held_by_somebody_else_is_waited_for_in_short_tries(orders, pg, other, sql):
    timer = hold(other, sql, 1.2)
    result = run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=500), key="k")
    timer.join()
    assert result.rows == 2_000
    assert set(orders.values_list("n", flat=True)) == {1}


@pytest.mark.slow
def test_a_lock_that_is_never_let_go_ends_in_an_error_that_names_its_holder(
    orders, pg, other, monkeypatch
):
    monkeypatch.setattr(trouble, "TRIES", 3)
    other.execute("SELECT 1 FROM shop_order WHERE id = 1500 FOR UPDATE")
    with pytest.raises(BackfillFailed) as failed:
        run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=500), key="k")
    pid = other.info.backend_pid
    assert "did not get through in 3 tries" in failed.value.what
    assert "a lock was not had in time" in failed.value.what
    assert f"process {pid} (shop, idle in transaction, SELECT, transaction open" in str(
        failed.value
    )
    # Halved batches came as near to the held row as they could.
    kept, _, batch = failed.value.changed.partition(" rows were filled and stay; the batch of keys")
    first, _, last = batch.removesuffix(" was rolled back.").partition("..")
    assert int(kept.replace(",", "")) == int(first) - 1 >= 1_000
    assert int(first) <= 1_500 <= int(last)
    other.rollback()
    result = run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=500), key="k")
    assert result.rows_total == 2_000
    assert set(orders.values_list("n", flat=True)) == {1}


@pytest.mark.slow
def test_a_statement_that_takes_too_long_is_tried_with_fewer_rows(orders, pg, monkeypatch):
    """A trigger of 10 ms for each row: 100 rows do not fit into the limit, 12 do."""
    with pg.cursor() as cursor:
        cursor.execute(
            "DELETE FROM shop_order WHERE id > 100; "
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$; "
            "CREATE TRIGGER slow BEFORE UPDATE ON shop_order "
            "FOR EACH ROW EXECUTE FUNCTION slow()"
        )
    from safemigrate.backends.postgresql.server import PostgresServer

    begin = PostgresServer.begin_batch
    monkeypatch.setattr(PostgresServer, "begin_batch", lambda self, limit: begin(self, limit / 25))
    result = run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=100), key="k")
    assert result.rows == 100
    assert result.batches > 4
    assert set(orders.values_list("n", flat=True)) == {1}


@pytest.mark.parametrize("sqlstate", ["40P01", "53200"])
def test_a_deadlock_or_too_little_memory_is_tried_again(orders, pg, monkeypatch, sqlstate):
    """The server may choose our batch as the victim; it rolls back whole and comes again."""
    from safemigrate.backfill.filling import ByServer

    fill, times = ByServer.fill, iter(range(2))

    def deadlocks(self, span):
        filled = fill(self, span)
        if next(times, None) is not None:
            with pg.cursor() as cursor:
                cursor.execute(
                    f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{sqlstate}'; END $$"
                )
        return filled

    monkeypatch.setattr(ByServer, "fill", deadlocks)
    assert run(pg, Backfill(Order, values={"n": F("n") + 1}), key="k").rows == 2_000
    assert set(orders.values_list("n", flat=True)) == {1}


def test_too_little_memory_each_time_is_not_said_to_be_a_lock(orders, pg, other, monkeypatch):
    """Whoever holds a lock of the table meanwhile has nothing to do with it."""
    monkeypatch.setattr(trouble, "TRIES", 2)
    with pg.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION big() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'out of shared memory' USING ERRCODE = '53200'; END $$; "
            "CREATE TRIGGER big BEFORE UPDATE ON shop_order EXECUTE FUNCTION big()"
        )
    other.execute("LOCK TABLE shop_order IN ROW EXCLUSIVE MODE")
    with pytest.raises(BackfillFailed, match="in 2 tries") as failed:
        run(pg, Backfill(Order, values={"n": F("n") + 1}), key="k")
    other.rollback()
    assert failed.value.what.endswith("too little memory for it: out of shared memory.")
    assert failed.value.do.startswith("Give the server the memory it asks for")


@pytest.mark.slow
def test_a_killed_process_loses_at_most_one_batch_and_no_row_is_done_twice(orders, pg, server):
    """SIGKILL in the middle; the next deploy goes on. Each row counts how often it was done."""
    with pg.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$; "
            "CREATE TRIGGER slow AFTER UPDATE ON shop_order EXECUTE FUNCTION slow()"
        )
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.backfill.killed", str(server.socket_dir)], cwd=ROOT
    )
    try:
        seen = _wait_for_batches(pg, 2)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    assert seen < 20, "the child was done before it was killed"
    hurry(pg)
    result = run(pg, KILLED_WORK, key="k")
    assert result.resumed
    assert result.rows_total == 2_000
    assert set(orders.values_list("n", flat=True)) == {1}
    # Rows, not batches: one that met what the dead left in the server came again as two.
    assert result.rows <= 2_000 - 100 * seen
    with pg.cursor() as cursor:
        cursor.execute(f"SELECT state, rows_done FROM {STATE_TABLE}")
        assert cursor.fetchall() == [("done", 2_000)]


def hurry(pg):
    with pg.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RETURN NULL; END $$"
        )


def _wait_for_batches(pg, wanted):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with pg.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [STATE_TABLE])
            if cursor.fetchone()[0]:
                cursor.execute(f"SELECT max(batches) FROM {STATE_TABLE}")
                done = cursor.fetchone()[0] or 0
                if done >= wanted:
                    return done
        time.sleep(0.01)
    raise AssertionError("the child did not get that far")


@pytest.mark.slow
def test_a_server_process_left_over_by_a_kill_is_waited_for(orders, pg, other):
    """Its transaction still holds the state row; both must never fill at once."""
    with pytest.raises(BackfillFailed):
        run(pg, Backfill(Order, function="tests.backfill.tables.raises_late", batch_rows=100),
            key="k")  # fmt: skip
    timer = hold(other, f"SELECT 1 FROM {STATE_TABLE} FOR UPDATE", 0.7)
    began = time.monotonic()
    with pytest.raises(BackfillFailed, match="no such price"):
        run(pg, Backfill(Order, function="tests.backfill.tables.raises_late", batch_rows=100),
            key="k")  # fmt: skip
    timer.join()
    assert time.monotonic() - began > 0.5


def test_a_lost_connection_says_that_the_next_run_goes_on(orders, pg, other, monkeypatch):
    from safemigrate.backfill.filling import ByServer

    fill, times = ByServer.fill, iter(range(2))
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=500)
    monkeypatch.setattr(trouble, "RECONNECT", timedelta(0))

    def loses(self, span):
        if next(times, None) is None:
            other.execute("SELECT pg_terminate_backend(%s)", [pg.connection.info.backend_pid])
        return fill(self, span)

    monkeypatch.setattr(ByServer, "fill", loses)
    with pytest.raises(BackfillFailed) as failed:
        run(pg, backfill, key="k")
    assert "The connection to the database was lost" in failed.value.what
    assert failed.value.changed == (
        "At least 1,000 rows were filled and stay; at most one batch was rolled back."
    )
    assert "it goes on where this run stopped" in failed.value.do
    monkeypatch.undo()
    assert run(pg, backfill, key="k").rows == 1_000
    assert set(orders.values_list("n", flat=True)) == {1}


def test_a_server_that_goes_in_the_middle_of_the_proof_is_asked_again(
    orders, pg, other, monkeypatch, heard
):
    from safemigrate.backfill import engine

    remaining, first = engine.remaining, iter([True])

    def goes(*args):
        if next(first, False):
            other.execute("SELECT pg_terminate_backend(%s)", [pg.connection.info.backend_pid])
        return remaining(*args)

    monkeypatch.setattr(engine, "remaining", goes)
    work = Backfill(Order, values={"total": 1}, where=UNFILLED)
    assert run(pg, work, key="k").rows == 2_000
    assert any("terminating connection" in line for line in heard)
    assert control.seen(pg)[0].state == "done"


def test_a_full_disk_ends_the_run_with_what_to_do(orders, pg):
    with pg.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; "
            "CREATE TRIGGER t BEFORE UPDATE ON shop_order FOR EACH ROW WHEN (OLD.id > 500) "
            "EXECUTE FUNCTION full_disk()"
        )
    with pytest.raises(BackfillFailed, match="SQLSTATE 53100") as failed:
        run(pg, Backfill(Order, values={"n": 1}, batch_rows=500, error_budget=9), key="k")
    assert failed.value.changed.startswith("500 rows were filled and stay")
    assert failed.value.do.startswith("Make room on the server's disk and run migrate again")


def test_two_answers_at_once_from_a_pooler_that_hangs_up_are_a_lost_connection(
    orders, pg, monkeypatch
):
    """psycopg names no SQLSTATE then, and InternalError is not its word for a lost one."""
    commit, times = type(pg)._commit, []

    def hangs_up(self):
        times.append(self)
        if len(times) != 5:
            return commit(self)
        self.connection.close()
        with self.wrap_database_errors:
            raise psycopg.InternalError("received 2 results from command 'COMMIT'")

    monkeypatch.setattr(type(pg), "_commit", hangs_up)
    run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=500), key="k")
    assert len(times) > 5
    assert set(orders.values_list("n", flat=True)) == {1}


@pytest.mark.parametrize(
    ("order", "sqlstate", "remedy"),
    [
        ("ALTER TABLE shop_order RENAME TO elsewhere", "42P01", "See who renamed or dropped it"),
        ("DROP TABLE shop_order CASCADE", "42P01", "See who renamed or dropped it"),
        ("ALTER TABLE shop_order DROP COLUMN n", "42703", "See who renamed or dropped it"),
        (
            "ALTER TABLE shop_order ALTER id DROP IDENTITY; "
            "ALTER TABLE shop_order ALTER id TYPE text USING lpad(id::text, 9, '0')",
            "42883",
            "See who changed the type of a column",
        ),
        (
            "ALTER ROLE postgres SET default_transaction_read_only = on; "
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
            "25006",
            "Let this role's transactions write",
        ),
    ],
)
def test_what_somebody_does_to_the_table_ends_the_run_by_name(
    orders, pg, other, monkeypatch, order, sqlstate, remedy
):
    from safemigrate.backfill.walking import Walk

    batch, left = Walk.batch, iter(range(3))

    def changes(self, *args):
        if next(left, None) == 2:
            other.execute(order)
            other.commit()
        return batch(self, *args)

    monkeypatch.setattr(Walk, "batch", changes)
    try:
        with pytest.raises(BackfillFailed) as failed:
            run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=100), key="k")
    finally:
        other.execute("ALTER ROLE postgres RESET default_transaction_read_only")
        other.commit()
    assert f"SQLSTATE {sqlstate}" in failed.value.what
    assert failed.value.changed.startswith("200 rows were filled and stay")
    assert failed.value.do.startswith(f"{remedy}")
    assert "and run migrate again: it goes on" in failed.value.do
    if sqlstate != "25006":  # there nothing can be written down
        assert control.seen(pg)[0].state == "failed"


def test_a_table_that_came_back_is_gone_on_with(orders, pg, other):
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=100)
    other.execute("ALTER TABLE shop_order ALTER id TYPE integer")
    other.commit()
    assert run(pg, backfill, key="k").rows == 2_000


@pytest.mark.slow
def test_a_batch_that_the_server_ends_for_its_idleness_comes_again_with_fewer_rows(
    orders, pg, monkeypatch
):
    """A function that is slow for a thousand rows; whoever waits for them does not for ever."""
    monkeypatch.setattr(server, "IDLE_LIMIT", timedelta(milliseconds=300))
    result = run(pg, Backfill(Order, function=f"{__name__}.slow", batch_rows=500), key="k")
    assert result.rows == 2_000
    assert set(orders.values_list("total", flat=True)) == {1}


def slow(rows):
    time.sleep(0.6 if len(rows) > 250 else 0)
    return [{"total": 1} for _ in rows]


def test_the_roles_own_timeouts_are_not_those_of_a_batch(orders, pg):
    """A role for requests: everything over a second is a mistake there."""
    with pg.cursor() as cursor:
        cursor.execute(
            "SET statement_timeout = '150ms'; SET idle_in_transaction_session_timeout = '150ms';"
            "SET lock_timeout = '10ms'"
        )
    result = run(pg, Backfill(Order, function=f"{__name__}.rather_slow", batch_rows=1000), key="k")
    assert (result.rows, result.batches) == (2_000, 2)


def rather_slow(rows):
    time.sleep(0.3)
    return [{"total": 1} for _ in rows]


def test_the_roles_own_limit_for_transactions_is_not_that_of_a_batch(orders, pg):
    if pg.pg_version < 170000:
        pytest.skip("transaction_timeout -> PostgreSQL 17")
    with pg.cursor() as cursor:
        cursor.execute("SET transaction_timeout = '150ms'")
    backfill = Backfill(Order, function=f"{__name__}.rather_slow", where=UNFILLED, batch_rows=1000)
    result = run(pg, backfill, key="k")
    assert (result.rows, result.batches) == (2_000, 2)


def test_two_that_run_the_same_do_each_row_once(orders, pg):
    """Two terminals, the same migration, without the lock that keeps two deploys apart."""
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=50)

    def one():
        connection = connections[pg.alias]  # this thread's own
        try:
            return run(connection, backfill, key="k").rows
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as both:
        rows = [began.result(60) for began in [both.submit(one), both.submit(one)]]
    assert sum(rows) == 2_000
    assert set(orders.values_list("n", flat=True)) == {1}
    [seen] = control.seen(pg)
    assert (seen.state, seen.rows_done) == ("done", 2_000)


def test_forgotten_while_it_runs_it_stops(orders, pg, monkeypatch):
    """Somebody unapplied the migration in another terminal."""
    from safemigrate.backfill.walking import Walk

    batch, left = Walk.batch, iter(range(2))

    def forgets(self, *args):
        if next(left, None) is None:
            self.store.forget("k")
        return batch(self, *args)

    monkeypatch.setattr(Walk, "batch", forgets)
    with pytest.raises(BackfillFailed, match="was deleted while it ran"):
        run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=100), key="k")
