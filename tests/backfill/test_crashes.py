"""The process ends before any statement, as by SIGKILL; the next one does what is left, once."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import F, Q

from safemigrate.backfill import Backfill, control, forget, run
from safemigrate.backfill.store import Store

from .shared import ROWS as MANY
from .shared import many_orders, small_ranges
from .tables import Order
from .test_trouble import KILLED_WORK, ROOT

ROWS = 40


class Killed(BaseException):
    """Nothing catches it, and the server rolls back what was not committed."""


def dying(connection, statement):
    """Raise before the given statement, counted from one; count them all if it is None."""
    sent = []

    def execute(run_it, sql, params, many, context):
        sent.append(sql)
        if len(sent) == statement:
            connection.connection.close()  # no farewell, and no ROLLBACK
            raise Killed(sql)
        return run_it(sql, params, many, context)

    return execute, sent


def killed_at(connection, backfill, statement):
    execute, sent = dying(connection, statement)
    with connection.execute_wrapper(execute):
        try:
            run(connection, backfill, key="k")
        except Killed:
            connection.close()
    return len(sent)


WAYS = {
    "by the server": {"values": {"n": F("n") + 1}},
    "by the server, with where": {"values": {"n": F("n") + 1}, "where": Q(n=0)},
    "by a function": {"function": f"{__name__}.add_one"},
    "with failures": {"function": f"{__name__}.add_one_but", "error_budget": 5},
}


def add_one(rows):
    return [{"n": row.n + 1} for row in rows]


def add_one_but(rows):
    if any(row.amount == 7 for row in rows):
        raise ValueError("seven")
    return add_one(rows)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_killed_before_any_statement_each_row_is_done_once(make, pg, way):
    make(Order, rows=[{"amount": n} for n in range(ROWS)])
    orders = Order._base_manager.using(pg.alias)
    backfill = Backfill(Order, batch_rows=20, **WAYS[way])
    undone = {7} if way == "with failures" else set()
    killed_at(pg, backfill, None)  # makes the tables
    forget(pg, "k")
    statement, last = 0, False
    while not last:
        statement += 1
        orders.update(n=0)
        last = killed_at(pg, backfill, statement) < statement
        run(pg, backfill, key="k")
        assert set(orders.exclude(amount__in=undone).values_list("n", flat=True)) == {1}, statement
        assert set(orders.filter(amount__in=undone).values_list("n", flat=True)) <= {0}
        [seen] = control.seen(pg)
        assert (seen.state, seen.rows_done) == ("done", ROWS - len(undone)), statement
        assert Store(pg).failures().count() == len(undone)
        forget(pg, "k")
    assert statement > 20


@pytest.mark.slow
def test_workers_killed_again_and_again_lose_no_row_and_do_none_twice(
    make, pg, server, monkeypatch
):
    orders = many_orders(make, pg)
    with pg.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END $$; "
            "CREATE TRIGGER slow AFTER UPDATE ON shop_order EXECUTE FUNCTION slow()"
        )
    words = [sys.executable, "-m", "tests.backfill.killed", str(server.socket_dir), "2"]
    for _ in range(4):
        before = batches(pg)
        child = subprocess.Popen(words, cwd=ROOT)
        try:
            deadline = time.monotonic() + 60
            while batches(pg) < before + 3:
                assert time.monotonic() < deadline
                assert child.poll() is None
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(30)
    assert batches(pg) < MANY / 100
    small_ranges(monkeypatch)
    monkeypatch.setattr("safemigrate.backfill.leases.LEASE", timedelta(seconds=1))
    run(pg, replace(KILLED_WORK, workers=2), key="k")
    assert set(orders.values_list("n", flat=True)) == {1}
    [seen] = control.seen(pg)
    assert (seen.state, seen.rows_done) == ("done", MANY)


def batches(pg):
    return sum(run.batches for run in control.seen(pg))
