"""Code of the project that does not return: the rows are let go, and the run ends or goes on."""

import gc
import signal
import threading
import time
from datetime import timedelta

import psycopg
import pytest
from django.db import Error, connections, transaction
from django.db.models import Q

from safemigrate.backends import server_for
from safemigrate.backends.postgresql.server import PostgresServer
from safemigrate.backfill import Backfill, aside, bounded, control, run, trouble
from safemigrate.backfill.ranges import Keys
from safemigrate.backfill.states import Event
from safemigrate.backfill.store import Store
from safemigrate.facts.errors import BackfillFailed

from .conftest import POSTGRES
from .shared import many_orders, small_ranges
from .tables import Order

HERE = f"{__name__}."
UNFILLED = Q(total__isnull=True)
THREAD = "backfill-function"
answer = threading.Event()
calls: list[int] = []
notes: set[object] = set()


@pytest.fixture
def impatient(monkeypatch):
    """Wait less for the functions alone: the server's own limits stay as they are."""

    def waits(ms=400):
        limit = timedelta(milliseconds=ms)
        monkeypatch.setattr(PostgresServer, "lets_go_after", lambda self: limit)
        monkeypatch.setattr(bounded, "TELL_AFTER", limit / 4)

    waits()
    return waits


@pytest.fixture(autouse=True)
def _let_go():
    answer.clear(), calls.clear(), notes.clear()
    yield
    answer.set()
    until(lambda: THREAD not in names())


@pytest.fixture
def orders(make, pg):
    make(Order, rows=[{"amount": n} for n in range(1, 1_001)])
    return Order._base_manager.using(pg.alias)


def names():
    gc.collect()
    return [thread.name for thread in threading.enumerate()]


def until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def never(rows):
    """As a request without a timeout; when it wakes up at last, it goes on as if nothing was."""
    calls.append(len(rows))
    answer.wait()
    try:
        Order._base_manager.using(POSTGRES).update(n=99)
        notes.add("written")
    except Error as error:
        notes.add(type(error).__name__)
    return [{"total": 1} for _ in rows]


def hangs_in_a_block(rows):
    """With the call of another service inside its own atomic(), as many do it."""
    calls.append(len(rows))
    with transaction.atomic(using=POSTGRES):
        if len(calls) == 1:
            answer.wait()
    notes.add("left its block")
    return [{"total": 1} for _ in rows]


def hangs_at_500(rows):
    if any(row.pk == 500 for row in rows):
        answer.wait()
    return [{"total": 1} for _ in rows]


def hangs_once(rows):
    calls.append(len(rows))
    if len(calls) == 1:
        answer.wait()
    return [{"total": 1} for _ in rows]


def looks_around(rows):
    """What a function may do: query, in savepoints too, in the batch's own transaction."""
    with transaction.atomic(using=POSTGRES), connections[POSTGRES].cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        notes.add(cursor.fetchone()[0])
    try:
        with transaction.atomic(using=POSTGRES):
            Order._base_manager.using(POSTGRES).update(id=1)
    except Error as error:
        notes.add(type(error).__name__)
    calls.append(threading.get_ident())
    return [{"total": row.amount} for row in rows]


def test_one_that_never_returns_ends_the_run_with_the_line_it_is_at(orders, pg, heard, impatient):
    with pytest.raises(BackfillFailed) as failed:
        run(pg, Backfill(Order, function=f"{HERE}never", where=UNFILLED), key="k")
    assert calls == [1_000, 100, 10, 1]
    at = rf"it is at {__file__}:"
    assert f"{HERE}never did not return within 0.4 s ({at}" in failed.value.what
    assert failed.value.what.endswith(" in never), for a single row.")
    assert failed.value.changed.startswith("Nothing was changed: the batch of keys 1..1 was rolled")
    assert "a timeout of its own" in failed.value.do
    assert any(f"{HERE}never has not returned for 0 s ({at}" in line for line in heard)
    assert any("its rows were let go, again with 100 rows" in line for line in heard)
    [seen] = control.seen(pg)
    assert (seen.state, seen.error) == ("failed", "Hangs")
    answer.set()
    until(lambda: THREAD not in names())
    assert "written" not in notes
    assert orders.filter(n=99).count() == 0
    assert run(pg, Backfill(Order, function=f"{HERE}hangs_once", where=UNFILLED), key="k").rows


def test_one_that_hangs_once_is_called_again_with_fewer_rows(orders, pg, impatient):
    backfill = Backfill(Order, function=f"{HERE}hangs_once", where=UNFILLED)
    assert run(pg, backfill, key="k").rows == 1_000
    assert calls[:2] == [1_000, 100]


def test_one_that_hangs_in_a_block_of_its_own_is_called_again_too(orders, pg, impatient):
    """Its block is never left, and when it is, too late, nothing of the run's is undone."""
    backfill = Backfill(Order, function=f"{HERE}hangs_in_a_block", where=UNFILLED)
    assert run(pg, backfill, key="k").rows == 1_000
    assert calls[:2] == [1_000, 100]
    assert not pg.in_atomic_block
    assert not pg.savepoint_ids
    assert not pg.atomic_blocks
    answer.set()
    until(lambda: THREAD not in names())
    assert orders.filter(total=1).count() == 1_000


def test_a_server_that_is_away_when_the_rows_were_let_go_is_what_it_ends_with(
    orders, pg, monkeypatch, impatient
):
    """Nobody can say then whether one row of them would have hung, too."""
    monkeypatch.setattr(trouble, "RECONNECT", timedelta(0))
    with pytest.raises(BackfillFailed, match="The connection to the database was lost") as failed:
        run(pg, Backfill(Order, function=f"{HERE}never", where=UNFILLED), key="k")
    assert calls == [1_000]
    assert f"{HERE}never did not return within 0.4 s" in failed.value.what
    assert "single row" not in failed.value.what
    assert "when the database answers" in failed.value.do


def test_one_row_that_hangs_is_found_and_what_lies_before_it_stays(orders, pg, impatient):
    impatient(1_000)
    with pytest.raises(BackfillFailed, match="for a single row") as failed:
        run(pg, Backfill(Order, function=f"{HERE}hangs_at_500", where=UNFILLED), key="k")
    assert failed.value.changed == (
        "499 rows were filled and stay; the batch of keys 500..500 was rolled back."
    )


def test_one_of_several_workers_that_hangs_ends_all(make, pg, monkeypatch, impatient):
    small_ranges(monkeypatch)
    many_orders(make, pg)
    backfill = Backfill(Order, function=f"{HERE}never", where=UNFILLED, workers=2, batch_rows=10)
    with pytest.raises(BackfillFailed, match="for a single row"):
        run(pg, backfill, key="k")


def test_a_callable_is_bounded_too(orders, pg, impatient):
    with pytest.raises(BackfillFailed, match="the callable for n did not return within"):
        run(pg, Backfill(Order, values={"n": lambda: answer.wait()}, batch_rows=5), key="k")


def test_a_function_is_in_the_batchs_transaction_and_always_in_the_same_thread(orders, pg):
    backfill = Backfill(Order, function=f"{HERE}looks_around", where=UNFILLED, batch_rows=100)
    assert run(pg, backfill, key="k").rows == 1_000
    assert notes == {"off", "IntegrityError"}
    assert len(calls) == 10
    assert len(set(calls)) == 1


def test_an_order_comes_through_when_the_rows_are_let_go(orders, pg, impatient):
    def cancels():
        until(lambda: calls)
        connection = connections[pg.alias]
        try:
            control.order(connection, 1, Event.CANCEL, by="me")
        finally:
            connection.close()

    thread = threading.Thread(target=cancels)
    thread.start()
    with pytest.raises(BackfillFailed, match="was canceled by me"):
        run(pg, Backfill(Order, function=f"{HERE}never", where=UNFILLED), key="k")
    thread.join(20)
    assert len(calls) < 4


def test_who_interrupts_it_gets_the_terminal_back_and_the_rows_are_free(orders, pg, other):
    was = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have ignored it

    def interrupts():
        until(lambda: calls)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupts)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(pg, Backfill(Order, function=f"{HERE}never", where=UNFILLED), key="k")
    finally:
        signal.signal(signal.SIGINT, was)
    thread.join(20)

    def free():
        try:
            other.execute("SELECT 1 FROM shop_order FOR UPDATE NOWAIT")
        except psycopg.errors.LockNotAvailable:
            other.rollback()
            return False
        return True

    until(free)
    other.rollback()


def test_a_row_that_was_set_aside_and_hangs_in_its_retry_stays_set_aside(
    orders, pg, monkeypatch, request
):
    backfill = Backfill(
        Order, function="tests.backfill.tables.no_price_for_some", where=UNFILLED, error_budget=20
    )
    run(pg, backfill, key="k")
    [seen] = control.seen(pg)
    kept = seen.failures
    request.getfixturevalue("impatient")
    monkeypatch.setattr("tests.backfill.tables.no_price_for_some", never)
    found = aside.replay(backfill, Keys(Order, pg), server_for(pg), Store(pg), seen.id)
    assert found == (0, kept)
    assert "did not return within" in Store(pg).failures().first().error


def never_tells(alias):
    calls.append(1)
    answer.wait()


def never_tells_in_a_block(alias):
    try:
        with transaction.atomic(using=alias):
            never_tells(alias)
    except Error as error:
        notes.add(type(error).__name__)


@pytest.mark.parametrize("probe", ["never_tells", "never_tells_in_a_block"])
def test_a_probe_that_never_answers_stops_the_run(orders, pg, settings, impatient, probe):
    """It holds no row, and a deploy that says nothing for ever is no better."""
    settings.SAFEMIGRATE = {"BACKFILL_PROBE": f"{HERE}{probe}"}
    with pytest.raises(BackfillFailed, match=r"probe raised Hangs: .* did not return within 0.4 s"):
        run(pg, Backfill(Order, values={"n": 1}), key="k")
    assert calls == [1]
    assert control.seen(pg)[0].state == "failed"
    answer.set()
    until(lambda: THREAD not in names())
    assert notes == ({"InterfaceError"} if "block" in probe else set())  # and no new connection
