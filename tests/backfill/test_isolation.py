"""Projects whose transactions are REPEATABLE READ or SERIALIZABLE; batches are not."""

import random
import threading
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connections
from django.db.models import F, Q
from psycopg import IsolationLevel

from safemigrate.backends.postgresql.server import PostgresServer
from safemigrate.backfill import Backfill, control, enqueue, run
from safemigrate.backfill.states import Event

from .conftest import POSTGRES
from .shared import ROWS, many_orders, ranges, small_ranges
from .tables import Order

LEVELS = {
    "repeatable read": IsolationLevel.REPEATABLE_READ,
    "serializable": IsolationLevel.SERIALIZABLE,
}
seen: set[str] = set()


@pytest.fixture(params=LEVELS)
def level(request):
    return request.param


@pytest.fixture(params=["OPTIONS", "role"])
def strict(request, pg, level, connected_with):
    """A project that asks for that level, in its settings or by its role."""
    if request.param == "OPTIONS":
        connected_with("OPTIONS", {"isolation_level": LEVELS[level]})
    else:
        _as_role(pg, f"SET default_transaction_isolation = '{level}'")
    pg.close()
    yield pg
    if request.param == "role":
        _as_role(pg, "RESET default_transaction_isolation")


def _as_role(pg, what):
    with pg.cursor() as cursor:
        cursor.execute(f"ALTER ROLE postgres {what}")


@pytest.fixture
def orders(make, strict, monkeypatch):
    small_ranges(monkeypatch)
    return many_orders(make, strict)


def tells_its_level(rows):
    with connections[POSTGRES].cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        seen.add(cursor.fetchone()[0])
    return [{"total": row.amount} for row in rows]


@contextmanager
def traffic(server, level):
    """Write single rows all over the table, again where the server says so; count what was done."""
    over, counts = threading.Event(), [0, 0]

    def write(n):
        with psycopg.connect(
            host=str(server.socket_dir), user="postgres", dbname="postgres", autocommit=True
        ) as session:
            session.execute(f"SET default_transaction_isolation = '{level}'")
            while not over.is_set():
                try:
                    session.execute(
                        "UPDATE shop_order SET amount = amount + 1 WHERE id = %s",
                        [random.randint(1, ROWS) ** 2],
                    )
                    counts[n] += 1
                except psycopg.errors.SerializationFailure:
                    continue

    threads = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_beside_traffic_on_the_same_rows_no_batch_is_begun_anew(
    orders, strict, server, level, workers, monkeypatch
):
    """A row that was changed meanwhile is waited for; nobody's change is lost, none done twice."""
    failed = []
    reason = PostgresServer.retry_reason

    def notes(self, error):
        failed.append(self.sqlstate(error))
        return reason(self, error)

    monkeypatch.setattr(PostgresServer, "retry_reason", notes)
    with strict.cursor() as cursor:
        cursor.execute("UPDATE shop_order SET amount = 0")
    with traffic(server, level) as written:
        backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=500, workers=workers)
        result = run(strict, backfill, key="k")
    assert result.rows == ROWS
    assert "40001" not in failed  # a row that is held for long may fail a batch, a change may not
    assert set(orders.values_list("n", flat=True)) == {1}
    assert sum(orders.values_list("amount", flat=True)) == sum(written) > 0
    assert ranges(strict) == [(0,)] if workers > 1 else True


def test_a_batch_is_read_committed_and_what_comes_after_is_not(orders, strict, level):
    seen.clear()
    backfill = Backfill(Order, function=f"{__name__}.tells_its_level", where=Q(total=None))
    assert run(strict, backfill, key="k").rows == ROWS
    assert seen == {"read committed"}
    seen.clear()
    tells = Backfill(Order, function=f"{__name__}.tells_its_level", where=Q(total=None), workers=2)
    orders.update(total=None)
    assert run(strict, tells, key="workers").rows == ROWS
    assert seen == {"read committed"}
    from django.db import transaction

    with transaction.atomic(using=strict.alias), strict.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone()[0] == level


def test_it_stays_so_on_a_new_connection(orders, strict, other, monkeypatch):
    from safemigrate.backfill.walking import Walk

    seen.clear()
    batch, times = Walk.batch, iter(range(3))

    def loses(self, *args):
        if next(times, None) == 2:
            seen.clear()
            other.execute(
                "SELECT pg_terminate_backend(%s)", [self.connection.connection.info.backend_pid]
            )
        return batch(self, *args)

    monkeypatch.setattr(Walk, "batch", loses)
    backfill = Backfill(Order, function=f"{__name__}.tells_its_level", batch_rows=5_000)
    assert run(strict, backfill, key="k").rows == ROWS
    assert seen == {"read committed"}


def test_an_order_comes_through_though_each_batch_changes_the_run(orders, strict, other):
    """It waits for the batch in work, whose commit would make it fail at the stricter levels."""
    run_id = enqueue(strict, Backfill(Order, values={"n": 1}), key="k")
    tries = []

    def watch(execute, sql, params, many, context):
        if "FOR UPDATE" in sql:
            tries.append(sql)
        return execute(sql, params, many, context)

    other.execute("UPDATE safemigrate_backfill SET batches = batches + 1")
    threading.Timer(0.1, other.commit).start()
    with strict.execute_wrapper(watch):
        assert control.order(strict, run_id, Event.PAUSE, by="me").state == "paused"
    assert len(tries) == 1
