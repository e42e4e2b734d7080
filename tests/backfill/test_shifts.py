"""Processes share a run, none of which is the first: whoever comes, goes or is killed."""

import datetime as dt
import threading
import time

import pytest
from django.db import connections, transaction
from django.db.models import F, Q

from safemigrate.backends import server_for
from safemigrate.backends.postgresql.server import PostgresServer
from safemigrate.backfill import (
    STATE_TABLE,
    Backfill,
    Helped,
    Shift,
    control,
    engine,
    enqueue,
    help_with,
    run,
    workers,
)
from safemigrate.backfill.engine import _Engine
from safemigrate.backfill.leases import RANGE_TABLE, Leases
from safemigrate.backfill.store import Store
from safemigrate.backfill.walking import Walk
from safemigrate.facts.errors import BackfillFailed

from .shared import ROWS, many_orders, ranges, small_ranges
from .tables import Order


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    small_ranges(monkeypatch)


@pytest.fixture
def orders(make, pg):
    return many_orders(make, pg)


def a_shift(seconds=60):
    return Shift(dt.timedelta(seconds=seconds))


@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_of_a_queue_begins_a_run_and_ends_it(orders, pg, count):
    """Cut into ranges or not: there need be nobody else."""
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=count)
    enqueue(pg, backfill, key="k")
    assert help_with(pg, backfill, key="k", shift=a_shift()) == Helped("done", ROWS)
    assert help_with(pg, backfill, key="k", shift=a_shift()) == Helped("done", 0)
    assert set(orders.values_list("n", flat=True)) == {1}


@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_leaves_when_its_shift_ends_and_the_next_goes_on(orders, pg, count, monkeypatch):
    shift, batch, batches = a_shift(), Walk.batch, []

    def watched(self, seat, last):
        batches.append(last)
        if len(batches) == 5:
            object.__setattr__(shift, "lasts", dt.timedelta(0))
        return batch(self, seat, last)

    monkeypatch.setattr(Walk, "batch", watched)
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=count)
    assert help_with(pg, backfill, key="k", shift=shift) == Helped("running", 800, again=True)
    if count == 2:
        assert not {state for (state,) in ranges(pg, "DISTINCT state")} - {"open", "done"}
    assert help_with(pg, backfill, key="k", shift=a_shift()) == Helped("done", ROWS - 800)
    assert set(orders.values_list("n", flat=True)) == {1}


def test_a_task_that_is_one_too_many_ends_and_does_not_come_again(orders, pg, monkeypatch):
    """Else tasks that were sent twice would fill the worker slots of the project."""
    monkeypatch.setattr(workers, "SPARE", dt.timedelta(0))
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=2)
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    run_id = engine._begin()
    workers.cut(engine.walk, run_id, 2)
    leases = Leases(pg)
    first, second = (leases.take(run_id, name) for name in ("one", "two"))
    shift = a_shift()
    assert help_with(pg, backfill, key="k", shift=shift) == Helped("running", 0, again=False)
    assert not shift.over()
    leases.give_back(first)
    leases.give_back(second)
    assert help_with(pg, backfill, key="k", shift=a_shift()) == Helped("done", ROWS)


def test_no_more_ranges_are_worked_on_than_the_run_has_workers(orders, pg, monkeypatch):
    """Nobody counts the tasks of a queue; one that is too many waits for its turn."""
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=2)
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    run_id = engine._begin()
    workers.cut(engine.walk, run_id, 2)
    leases = Leases(pg)
    first, second = (leases.take(run_id, name, most=2) for name in ("one", "two"))
    assert first.id != second.id
    assert leases.take(run_id, "three", most=2) is None
    leases.give_back(first)
    assert leases.take(run_id, "three", most=2).id == first.id
    # Both are dead: whoever waits takes their places.
    monkeypatch.setattr("safemigrate.backfill.leases.LEASE", dt.timedelta(seconds=1))
    assert help_with(pg, backfill, key="k", shift=a_shift()) == Helped("done", ROWS)


def test_two_that_begin_at_once_take_no_more_ranges_than_the_run_has_workers(orders, pg, other):
    """The second counts when the first has its range."""
    backfill = Backfill(Order, values={"n": F("n") + 1}, workers=2)
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    run_id = engine._begin()
    workers.cut(engine.walk, run_id, 2)
    taken = []

    def second():
        connection = connections[pg.alias]  # this thread's own
        try:
            taken.append(Leases(connection).take(run_id, "two", most=1))
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    with transaction.atomic(using=pg.alias):
        assert Leases(pg).take(run_id, "one", most=1)
        thread.start()
        deadline = time.monotonic() + 60
        while thread.is_alive() and not waits_for_a_lock(other):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    thread.join(60)
    assert taken == [None]


def waits_for_a_lock(other):
    return other.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() != (0,)


def test_a_run_that_another_worker_has_just_ended_is_not_cut(orders, pg):
    backfill = Backfill(Order, values={"n": F("n") + 1}, workers=2)
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    run_id = engine._begin()
    with pg.cursor() as cursor:
        cursor.execute(f"UPDATE {STATE_TABLE} SET state = 'done', cursor = ''")
    assert not workers.cut(engine.walk, run_id, 2)
    assert ranges(pg) == [(0,)]


def shared(pg):
    """The work of a run that was cut into ranges."""
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=2)
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    assert workers.cut(engine.walk, engine._begin(), 2)
    return backfill


def test_a_run_whose_ranges_were_deleted_is_walked_anew(orders, pg, monkeypatch):
    backfill = shared(pg)
    with pg.cursor() as cursor:
        cursor.execute(f"DELETE FROM {RANGE_TABLE}")
    monkeypatch.setattr(workers, "LEAST_PAGES", 10**6)  # nothing is cut by now
    assert help_with(pg, backfill, key="k", shift=a_shift(20)) == Helped("done", ROWS)


def test_a_migration_in_one_transaction_ends_a_shared_run_of_a_table_that_is_empty_now(
    orders, pg, monkeypatch
):
    backfill, walks, over_all = shared(pg), [], Walk.over_all

    def watched(self, seat):
        walks.append(seat)
        assert len(walks) < 10
        return over_all(self, seat)

    monkeypatch.setattr(Walk, "over_all", watched)
    with pg.cursor() as cursor:
        cursor.execute("DELETE FROM shop_order")
    with transaction.atomic(using=pg.alias):
        run(pg, backfill, key="k")
    assert ranges(pg) == [(0,)]
    assert control.seen(pg)[0].state == "done"


@pytest.mark.parametrize("alone", ["a deploy", "a task"])
def test_who_works_alone_stops_where_another_process_begins_to_share(
    orders, pg, monkeypatch, alone
):
    """The table grew, or somebody set more workers: the rest of the pass is in ranges from now."""
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200)
    batch, batches = Walk.batch, []

    def watched(self, seat, last):
        batches.append(type(seat).__name__)
        if len(batches) == 5:
            assert workers.cut(self, seat.run_id, 2)
        return batch(self, seat, last)

    monkeypatch.setattr(Walk, "batch", watched)
    if alone == "a task":
        assert help_with(pg, backfill, key="k", shift=a_shift()) == Helped("done", ROWS)
    else:
        assert run(pg, backfill, key="k").rows == ROWS
    assert set(orders.values_list("n", flat=True)) == {1}
    assert "_Stoppable" in batches


@pytest.mark.parametrize("commits", [True, False], ids=["a batch", "an order"])
def test_a_task_that_meets_a_long_batch_of_another_leaves_it_the_run(orders, pg, other, commits):
    """Else it gave up after some tries, and failed the run that was at work."""
    backfill = Backfill(Order, values={"n": F("n") + 1})
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    engine._begin()
    other.execute(f"SELECT 1 FROM {STATE_TABLE} FOR UPDATE")
    glance, glances = Store.glance, []

    def watched(self, run_id):
        glances.append(run_id)
        if len(glances) == 8:
            if commits:
                other.execute(f"UPDATE {STATE_TABLE} SET batches = batches + 1")
            other.commit()
            if commits:
                other.execute(f"SELECT 1 FROM {STATE_TABLE} FOR UPDATE")
        return glance(self, run_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "glance", watched)
        helped = help_with(pg, backfill, key="k", shift=a_shift())
    if commits:
        assert helped == Helped("running", 0, again=False)
    else:
        assert helped == Helped("done", ROWS)
    other.rollback()
    run_now = control.existing(pg, engine.run_id)
    assert (run_now.state, run_now.error) == (helped.state, "")


def test_of_those_that_come_to_the_end_one_proves_it_and_the_others_leave(
    orders, pg, other, monkeypatch
):
    """The query may read a large table for minutes, and each worker of a queue would."""
    backfill, proofs = shared(pg), []
    remaining = engine.remaining
    monkeypatch.setattr(engine, "remaining", lambda *words: proofs.append(1) or remaining(*words))
    another = PostgresServer(connections[pg.alias])
    monkeypatch.setattr(another, "connection", other)
    with other.transaction():
        assert another.may_prove("k")
        helped = help_with(pg, backfill, key="k", shift=a_shift())
        assert (helped, proofs) == (Helped("running", ROWS, again=False), [])
    # It was killed before it had written down what it found.
    assert help_with(pg, backfill, key="k", shift=a_shift()) == Helped("done", 0)
    assert proofs == [1]


def test_a_deploy_proves_the_end_itself_whoever_else_does(orders, pg, other):
    another = PostgresServer(connections[pg.alias])
    another.connection = other
    with other.transaction():
        assert another.may_prove("k")
        run(pg, Backfill(Order, values={"n": 1}, where=Q(n=0)), key="k")
    assert control.seen(pg)[0].state == "done"


def test_a_pass_that_another_process_has_ended_is_not_judged_again(orders, pg):
    """Its rows changed are counted anew by then: nought would look like a where that stays."""
    backfill = Backfill(Order, values={"n": F("n") + 1}, where=Q(n__lt=2))
    slow = _Engine(pg, server_for(pg), backfill, "k", own=True)
    run_id = slow._begin()
    slow._look_at_pass(run_id)
    with pg.cursor() as cursor:
        cursor.execute(f"UPDATE {STATE_TABLE} SET pass_no = 2, pass_rows = 0, cursor = ''")
    assert slow._turn(run_id, left=5).state == "running"


def test_what_holds_all_shifts_back_ends_the_run_at_its_deadline(orders, pg, settings):
    """Tasks that send themselves again would wait for a dead replica for ever."""
    backfill = Backfill(Order, values={"n": F("n") + 1})
    settings.SAFEMIGRATE = {
        "BACKFILL_PROBE": f"{__name__}.never_now",
        "HELD_BACK_DEADLINE": dt.timedelta(minutes=10),
    }
    assert help_with(pg, backfill, key="k", shift=a_shift(0.1)).again
    with pg.cursor() as cursor:
        cursor.execute(f"UPDATE {STATE_TABLE} SET held_since = held_since - interval '1 hour'")
    with pytest.raises(BackfillFailed, match=r"was held back for 0:10:00: .*not now"):
        help_with(pg, backfill, key="k", shift=a_shift(0.1))
    settings.SAFEMIGRATE = {}
    assert help_with(pg, backfill, key="k", shift=a_shift()).state == "done"


def test_a_worker_that_got_no_range_does_not_put_the_deadline_off(orders, pg, settings):
    """It was not held back, and it did nothing either; the run's row says what the others met."""
    backfill = Backfill(Order, values={"n": F("n") + 1}, workers=2)
    settings.SAFEMIGRATE = {
        "BACKFILL_PROBE": f"{__name__}.never_now",
        "HELD_BACK_DEADLINE": dt.timedelta(minutes=10),
    }
    engine = _Engine(pg, server_for(pg), backfill, "k", own=True)
    run_id = engine._begin()
    workers.cut(engine.walk, run_id, 2)
    leases = Leases(pg)
    with pg.cursor() as cursor:
        cursor.execute(f"UPDATE {RANGE_TABLE} SET state = 'done' WHERE number > 0")
        cursor.execute(f"UPDATE {STATE_TABLE} SET held_since = now() - interval '1 hour'")
    lease = leases.take(run_id, "another")
    assert help_with(pg, backfill, key="k", shift=a_shift(0.1)).again
    leases.give_back(lease)
    with pytest.raises(BackfillFailed, match="was held back for 0:10:00"):
        help_with(pg, backfill, key="k", shift=a_shift(3))
    with pg.cursor() as cursor:
        cursor.execute(f"SELECT state, error FROM {STATE_TABLE}")
        assert cursor.fetchall() == [("failed", "HeldBack")]


def never_now(alias):
    return "not now"
