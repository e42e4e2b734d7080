"""Several connections of one process share a run: each row once, no deadlock, nothing lost."""

import datetime as dt
import itertools
import threading
import time
import uuid
from types import SimpleNamespace

import psycopg
import pytest
from django.db import connections
from django.db.models import F, Q
from django.test import override_settings

from safemigrate.backends import server_for
from safemigrate.backends.postgresql import statistics
from safemigrate.backfill import (
    STATE_TABLE,
    Backfill,
    forget,
    run,
    workers,
)
from safemigrate.backfill.engine import _Engine
from safemigrate.backfill.leases import RANGE_TABLE, Leases, RangeSeat
from safemigrate.backfill.lines import inner_bounds
from safemigrate.backfill.pace import Pace
from safemigrate.backfill.walking import Walk
from safemigrate.facts.errors import BackfillFailed

from .shared import ROWS, many_orders, ranges, small_ranges
from .tables import ByPair, ByText, ByUuid, Order


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    small_ranges(monkeypatch)


@pytest.fixture
def orders(make, pg):
    return many_orders(make, pg)


def names_seen(monkeypatch):
    """Which threads did a batch."""
    seen, batch = set(), Walk.batch

    def watched(self, seat, last):
        seen.add(threading.current_thread().name)
        return batch(self, seat, last)

    monkeypatch.setattr(Walk, "batch", watched)
    return seen


def test_two_workers_do_each_row_once(orders, pg, monkeypatch):
    seen = names_seen(monkeypatch)
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=2)
    result = run(pg, backfill, key="k")
    assert (result.rows, result.rows_total) == (ROWS, ROWS)
    assert result.batches >= ROWS / 200
    assert set(orders.values_list("n", flat=True)) == {1}
    assert {"backfill-0", "backfill-1"} <= seen
    assert ranges(pg) == [(0,)]
    assert run(pg, backfill, key="k").rows == 0


def test_the_setting_counts_where_a_backfill_says_nothing(orders, pg, monkeypatch):
    seen = names_seen(monkeypatch)
    with override_settings(SAFEMIGRATE={"BACKFILL_WORKERS": 2}):
        run(pg, Backfill(Order, values={"n": 1}), key="k")
    assert "backfill-1" in seen


@pytest.mark.parametrize(
    ("model", "insert"),
    [
        (ByUuid, "INSERT INTO shop_byuuid SELECT gen_random_uuid(), 0 FROM generate_series(1, %s)"),
        (ByText, "INSERT INTO shop_bytext SELECT md5(g::text), 0 FROM generate_series(1, %s) g"),
        (
            ByPair,
            "INSERT INTO shop_bypair SELECT g %% 7, md5(g::text), 0 FROM generate_series(1, %s) g",
        ),
    ],
)
def test_any_kind_of_key_is_cut_into_ranges_of_about_the_same_size(make, pg, model, insert):
    make(model)
    with pg.cursor() as cursor:
        cursor.execute(insert, [ROWS])
    walk = Walk(
        pg, server_for(pg), Backfill(model, values={"n": 1}), "k",
        own=True, tell=lambda counts: None, waiting=lambda why: None,
    )  # fmt: skip
    bounds = inner_bounds(walk.keys.span(None, walk.last()), walk.server, 8)
    assert len(bounds) == 7
    ends = [None, *bounds, walk.last()]
    sizes = [walk.keys.span(after, upto).rows.count() for after, upto in itertools.pairwise(ends)]
    assert sum(sizes) == ROWS
    assert min(sizes) > ROWS / 8 * 0.9
    assert run(pg, Backfill(model, values={"n": F("n") + 1}, workers=2), key="k").rows == ROWS


def test_of_a_large_sample_some_rows_are_enough(orders, pg, monkeypatch):
    monkeypatch.setattr(statistics, "SAMPLED_ROWS", 2_000)
    with pg.cursor() as cursor:
        cursor.execute("ANALYZE shop_order")
    walk = Walk(
        pg, server_for(pg), Backfill(Order, values={"n": 1}), "k",
        own=True, tell=lambda counts: None, waiting=lambda why: None,
    )  # fmt: skip
    bounds = inner_bounds(walk.keys.span(None, walk.last()), walk.server, 4)
    ends = [None, *bounds, walk.last()]
    sizes = [walk.keys.span(after, upto).rows.count() for after, upto in itertools.pairwise(ends)]
    assert len(sizes) == 4
    assert sum(sizes) == ROWS
    assert max(sizes) < ROWS / 4 * 1.5
    assert len(set(sizes)) > 1  # all rows would have parted it evenly


def test_a_small_table_is_not_worth_a_second_connection(make, pg, monkeypatch):
    make(Order, rows=[{} for _ in range(100)])
    seen = names_seen(monkeypatch)
    assert run(pg, Backfill(Order, values={"n": 1}, workers=4), key="k").rows == 100
    assert seen == {threading.current_thread().name}


def test_rows_that_fail_in_one_worker_stop_the_others_and_all_goes_on_later(orders, pg):
    """A bad row in the middle: nothing is lost, and a second run does the rest."""
    bad = (ROWS // 2) ** 2
    orders.filter(pk=bad).update(amount=2**31 - 1)
    backfill = Backfill(
        Order, values={"total": F("amount") * 2, "n": F("n") + 1}, batch_rows=200, workers=2
    )
    with pytest.raises(BackfillFailed, match="22003"):
        run(pg, backfill, key="k")
    assert 0 < orders.filter(n=1).count() < ROWS
    orders.filter(pk=bad).update(amount=1)
    result = run(pg, backfill, key="k")
    assert result.resumed
    assert result.rows_total == ROWS
    assert set(orders.values_list("n", flat=True)) == {1}


def test_a_range_whose_worker_was_killed_comes_free(orders, pg, monkeypatch):
    """Its lease runs out; its cursor stands where its last batch was committed."""
    monkeypatch.setattr("safemigrate.backfill.leases.LEASE", dt.timedelta(seconds=1))
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=2)
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    run_id = engine._begin()
    assert workers.cut(engine.walk, run_id, 2)
    leases = Leases(pg)
    lease = leases.take(run_id, "a dead one")
    assert leases.take(run_id, "another") != lease
    leases.give_back(leases.take(run_id, "a third"))
    result = run(pg, backfill, key="k")
    assert result.rows == ROWS
    assert set(orders.values_list("n", flat=True)) == {1}


def test_a_worker_that_lost_its_lease_changes_nothing_more(orders, pg):
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=2)
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    run_id = engine._begin()
    workers.cut(engine.walk, run_id, 2)
    leases = Leases(pg)
    lease = leases.take(run_id, "slow")
    with pg.cursor() as cursor:
        cursor.execute(f"UPDATE {RANGE_TABLE} SET worker = 'quick' WHERE id = %s", [lease.id])
    seat = workers._Stoppable(leases, lease, backfill, lambda: False)
    with pytest.raises(workers.LeaseLost):
        engine.walk.to(seat, engine.keys.load(lease.upto))
    assert orders.filter(n=1).count() == 0


def test_a_paused_run_gives_its_ranges_back(orders, pg, other, monkeypatch):
    """Seen by each worker at its next batch; what it has done stays."""
    batch, batches = Walk.batch, []

    def pauses(self, seat, last):
        batches.append(last)
        if len(batches) == 10:
            other.execute(f"UPDATE {STATE_TABLE} SET state = 'paused'")
            other.commit()
        return batch(self, seat, last)

    monkeypatch.setattr(Walk, "batch", pauses)
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=2)
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    run_id = engine._begin()
    workers.by_workers(engine.walk, run_id, lambda why: None)
    assert 0 < orders.filter(n=1).count() <= 12 * 200
    assert not {state for (state,) in ranges(pg, "DISTINCT state")} - {"open", "done"}
    monkeypatch.undo()
    monkeypatch.setattr(workers, "LEAST_PAGES", 5)
    other.execute(f"UPDATE {STATE_TABLE} SET state = 'running'")
    other.commit()
    assert run(pg, backfill, key="k").rows_total == ROWS
    assert set(orders.values_list("n", flat=True)) == {1}


def test_forgotten_with_its_ranges(orders, pg):
    backfill = Backfill(Order, values={"n": F("n") + 1}, workers=2)
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    workers.cut(engine.walk, engine._begin(), 2)
    forget(pg, "k")
    assert ranges(pg) == [(0,)]


def test_workers_beside_traffic_do_each_row_once_and_the_traffic_loses_nothing(orders, pg, other):
    """Somebody changes rows all the time, in no order; both sides' work is in every row."""
    stop, done = threading.Event(), []

    def traffic():
        while not stop.is_set():
            number = uuid.uuid4().int % ROWS + 1
            other.execute("UPDATE shop_order SET amount = amount + 1 WHERE id = %s", [number**2])
            other.commit()
            done.append(number)

    before = sum(orders.values_list("amount", flat=True))
    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=500, workers=2)
        result = run(pg, backfill, key="k")
    finally:
        stop.set()
        thread.join(10)
    assert result.rows == ROWS
    assert set(orders.values_list("n", flat=True)) == {1}
    assert sum(orders.values_list("amount", flat=True)) == before + len(done)


def test_more_workers_set_in_the_middle_share_what_is_left(orders, pg, other, monkeypatch):
    """From another terminal; the one that walked alone ends its batch and cuts the rest."""
    seen, batch, batches = names_seen(monkeypatch), Walk.batch, []

    def sets(self, seat, last):
        batches.append(last)
        if len(batches) == 5:
            other.execute(f"UPDATE {STATE_TABLE} SET workers = 2")
            other.commit()
        return batch(self, seat, last)

    monkeypatch.setattr(Walk, "batch", sets)
    result = run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=100), key="k")
    assert result.rows == ROWS
    assert {"MainThread", "backfill-0", "backfill-1"} <= seen
    assert set(orders.values_list("n", flat=True)) == {1}


def test_more_workers_for_what_is_not_worth_it_change_nothing(orders, pg, other, monkeypatch):
    monkeypatch.setattr(workers, "LEAST_PAGES", 10**6)
    batch, batches = Walk.batch, []

    def sets(self, seat, last):
        batches.append(last)
        if len(batches) in (5, 10):
            other.execute(f"UPDATE {STATE_TABLE} SET workers = {len(batches)}")
            other.commit()
        return batch(self, seat, last)

    monkeypatch.setattr(Walk, "batch", sets)
    assert run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=500), key="k").rows == ROWS
    assert set(orders.values_list("n", flat=True)) == {1}


def test_workers_of_a_run_are_no_company_to_each_other(orders, pg, monkeypatch):
    """Nobody waits for their rows, so their batches are long ones; the main thread looks on."""
    monkeypatch.setattr("safemigrate.backfill.restraint.LOOK_SECONDS", 0)
    found, in_company = [], Pace.in_company

    def watched(self, alone):
        found.append(alone)
        in_company(self, alone)

    monkeypatch.setattr(Pace, "in_company", watched)
    run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=100, workers=2), key="k")
    # Not while one of them begins or ends, when its session is there and its number is not known.
    assert set(found[len(found) // 4 : -len(found) // 4]) == {True}


def test_workers_of_another_process_are_known_by_their_ranges(orders, pg, other, monkeypatch):
    monkeypatch.setattr("safemigrate.backfill.restraint.LOOK_SECONDS", 0)
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=2)
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    run_id = engine._begin()
    workers.cut(engine.walk, run_id, 2)
    leases, found = Leases(pg), []
    theirs = leases.take(run_id, "elsewhere", process=other.info.backend_pid)
    for _ in range(2):
        other.execute("SELECT 1")
        lease = leases.take(run_id, "here", process=engine.server.process())
        seat = RangeSeat(leases, lease, backfill)
        engine.walk.to(seat, engine.keys.load(lease.upto))
        found.append(engine.walk.pace.alone)
        leases.give_back(lease, state="done")
        leases.give_back(theirs)
    assert found == [True, False]


def test_the_connections_of_workers_are_closed(orders, pg):
    run(pg, Backfill(Order, values={"n": 1}, where=Q(n=0), workers=2), key="k")
    with connections[pg.alias].cursor() as cursor:
        deadline = time.monotonic() + 60
        while True:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            if cursor.fetchone() == (0,):
                break
            assert time.monotonic() < deadline


@pytest.fixture
def cramped(server, orders, pg, connected_with, monkeypatch):
    """The alias with a role that may have few connections, and with the tables made."""
    with pg.cursor() as cursor:
        cursor.execute(
            "CREATE ROLE cramped LOGIN; GRANT ALL ON SCHEMA public TO cramped; "
            "GRANT pg_read_all_data, pg_write_all_data TO cramped"
        )
    connected_with("USER", "cramped")

    def limit(connections):
        with psycopg.connect(
            host=str(server.socket_dir), user="postgres", dbname="postgres", autocommit=True
        ) as session:
            session.execute(f"ALTER ROLE cramped CONNECTION LIMIT {connections}")

    yield limit
    connected_with("USER", "postgres")
    with pg.cursor() as cursor:
        cursor.execute("DROP OWNED BY cramped; DROP ROLE cramped")


@pytest.mark.parametrize("room", [1, 2])
def test_a_server_without_room_for_all_workers_has_fewer(
    cramped, orders, pg, heard, monkeypatch, room
):
    """FATAL: too many connections for role. The one that migrate has can do it alone."""
    monkeypatch.setattr(workers, "AGAIN_SECONDS", 0.2)
    cramped(room)
    seen = names_seen(monkeypatch)
    result = run(pg, Backfill(Order, values={"n": F("n") + 1}, workers=2), key="k")
    assert result.rows == ROWS
    assert seen == {"MainThread"} if room == 1 else not {"backfill-0", "backfill-1"} <= seen
    [line] = [line for line in heard if "cannot connect" in line]
    assert "shop_order: a worker cannot connect, fewer go on: " in line
    assert "too many connections for role" in line
    assert ranges(pg) == [(0,)]


def test_a_worker_that_is_no_longer_wanted_was_not_kept_out(pg):
    """Of four, two had room, and somebody ordered two: the main connection is not needed."""
    crew = workers._Crew(SimpleNamespace(server=server_for(pg)), 1)
    crew._kept_out = {2: 0.0, 3: 0.0}
    found = []
    for crew.wanted in (4, 2, 0):
        found.append(crew.all_kept_out())
    crew._kept_out, crew.wanted = {0: 0.0, 1: 0.0, 2: 0.0}, 2
    assert [*found, crew.all_kept_out()] == [False, False, False, True]


def test_a_worker_joins_when_the_server_has_room_again(cramped, orders, pg, monkeypatch):
    monkeypatch.setattr(workers, "AGAIN_SECONDS", 0.1)
    cramped(1)
    seen, batch = names_seen(monkeypatch), Walk.batch

    def makes_room(self, seat, last):
        if threading.current_thread() is threading.main_thread():
            cramped(-1)
        return batch(self, seat, last)

    monkeypatch.setattr(Walk, "batch", makes_room)
    backfill = Backfill(Order, values={"n": F("n") + 1}, workers=2, batch_rows=20)
    assert run(pg, backfill, key="k").rows == ROWS
    assert set(orders.values_list("n", flat=True)) == {1}
    assert {"MainThread", "backfill-0", "backfill-1"} <= seen
