"""The process ends before any statement, as by SIGKILL; the next one does what is left, once."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import F, Q

from safemigrate.backfill import Backfill, control, forget, run
from safemigrate.backfill.store import Store
from tests.deaths import Life
from tests.operations.shop import Axe, Killed

from .shared import ROWS as MANY
from .shared import many_orders, small_ranges
from .tables import Order
from .test_trouble import KILLED_WORK, ROOT, hurry

ROWS = 40


def killed_at(connection, backfill, statement):
    """Run it in a process that dies before this statement; False if it came to its end."""
    axe = Axe(connection, statement, after=False)
    with suppress(Killed), connection.execute_wrapper(axe):
        run(connection, backfill, key="k")
    connection.close()
    return axe.fallen


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
@pytest.mark.once
@pytest.mark.parametrize("way", WAYS)
def test_killed_before_any_statement_each_row_is_done_once(make, pg, monkeypatch, way):
    monkeypatch.setattr("safemigrate.backfill.restraint.LOOK_SECONDS", 3600)
    make(Order, rows=[{"amount": n} for n in range(ROWS)])
    orders = Order._base_manager.using(pg.alias)
    backfill = Backfill(Order, batch_rows=10, **WAYS[way])
    undone = {7} if way == "with failures" else set()
    Store(pg).ensure_schema()
    life = Life()
    with pg.execute_wrapper(life):
        run(pg, backfill, key="k")
    deaths = life.deaths()
    assert len(deaths) > ROWS / 10
    for statement in deaths:
        forget(pg, "k")
        orders.update(n=0)
        assert killed_at(pg, backfill, statement)
        run(pg, backfill, key="k")
        assert set(orders.exclude(amount__in=undone).values_list("n", flat=True)) == {1}, statement
        assert set(orders.filter(amount__in=undone).values_list("n", flat=True)) <= {0}
        [seen] = control.seen(pg)
        assert (seen.state, seen.rows_done) == ("done", ROWS - len(undone)), statement
        assert Store(pg).failures().count() == len(undone)


@pytest.mark.slow
@pytest.mark.once
def test_workers_killed_again_and_again_lose_no_row_and_do_none_twice(
    make, pg, server, monkeypatch
):
    orders = many_orders(make, pg)
    with pg.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$; "
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
                time.sleep(0.01)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(30)
    assert batches(pg) < MANY / 100
    hurry(pg)
    small_ranges(monkeypatch)
    monkeypatch.setattr("safemigrate.backfill.leases.LEASE", timedelta(seconds=1))
    run(pg, replace(KILLED_WORK, workers=2), key="k")
    assert set(orders.values_list("n", flat=True)) == {1}
    [seen] = control.seen(pg)
    assert (seen.state, seen.rows_done) == ("done", MANY)


def batches(pg):
    return sum(run.batches for run in control.seen(pg))
