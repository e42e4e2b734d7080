"""Rows that fail are set aside with key, error and batch; the rest is filled."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections, models
from django.db.models import Case, F, Q, Value, When

from safemigrate.backends import server_for
from safemigrate.backends.postgresql.server import PostgresServer
from safemigrate.backfill import Backfill, aside, control, run, trouble
from safemigrate.backfill.filling import ByServer
from safemigrate.backfill.ranges import Keys
from safemigrate.backfill.store import Store
from safemigrate.facts.errors import BackfillFailed, WrongOperation

from .tables import ByPair, Line, Order, Table

UNFILLED = Q(total__isnull=True)
BY_FUNCTION = Backfill(
    Order,
    function="tests.backfill.tables.no_price_for_some",
    where=UNFILLED,
    batch_rows=200,
    error_budget=10,
)


@pytest.fixture
def orders(make, pg):
    make(Order, rows=[{"amount": n} for n in range(1, 501)])
    return Order._base_manager.using(pg.alias)


def set_aside(pg):
    return list(Store(pg).failures().values_list("row_key", "error", "tries"))


def test_a_function_that_raises_for_some_rows_fills_the_others(orders, pg, heard):
    result = run(pg, BY_FUNCTION, key="k")
    assert result.rows == 495
    assert set(orders.filter(UNFILLED).values_list("pk", flat=True)) == {50, 150, 250, 350, 450}
    assert [row for row, _, _ in set_aside(pg)] == [f'["{n}"]' for n in (50, 150, 250, 350, 450)]
    [failure, *_] = Store(pg).failures()
    assert failure.error.endswith("raised LookupError: no such price.")
    assert failure.batch == "the first..100"
    [seen] = control.seen(pg)
    assert (seen.state, seen.failures, seen.rows_done) == ("done", 5, 495)
    assert any("row 50 is set aside: " in line for line in heard)
    assert "shop_order: 5 rows could not be filled and are set aside; contracts" in heard[-1]


def test_what_the_server_refuses_is_set_aside_with_its_sqlstate(orders, pg):
    """Division by zero in one row, a check constraint in another."""
    with pg.cursor() as cursor:
        cursor.execute("UPDATE shop_order SET amount = 0 WHERE id = 77")
        cursor.execute("ALTER TABLE shop_order ADD CHECK (total < 300)")
    values = {"total": Value(300) / F("amount")}
    run(pg, Backfill(Order, values=values, where=UNFILLED, error_budget=10), key="k")
    assert [(row, error[:31]) for row, error, _ in set_aside(pg)] == [
        ('["1"]', "IntegrityError 23514: new row f"),
        ('["77"]', "DataError 22012: division by ze"),
    ]


def test_a_constraint_that_is_checked_at_commit_is_found_in_time(orders, pg, make):
    """Django's foreign keys are deferred: the batch fails as a whole, when it is committed."""
    make(Line, rows=[{"order_id": n} for n in range(1, 51)])
    order = Case(When(pk=7, then=Value(9_999)), default=F("order_id") + 1)
    backfill = Backfill(
        Line, values={"order_id": order, "total": 1}, where=UNFILLED, error_budget=1
    )
    assert run(pg, backfill, key="k").rows == 49
    [(row, error, _)] = set_aside(pg)
    assert row == '["7"]'
    assert error.startswith("IntegrityError 23503: ")
    assert "9999" not in error, "the server's DETAIL quotes rows"


def test_over_its_budget_it_stops_and_names_the_first_ones(orders, pg):
    backfill = Backfill(
        Order, function="tests.backfill.tables.no_price_for_some", where=UNFILLED,
        batch_rows=200, error_budget=2,
    )  # fmt: skip
    with pytest.raises(BackfillFailed) as failed:
        run(pg, backfill, key="k")
    assert "3 rows cannot be filled, and its error budget is 2. row 250: " in failed.value.what
    assert "larger error_budget" in failed.value.do
    assert [row for row, _, _ in set_aside(pg)] == ['["50"]', '["150"]']
    assert run(pg, BY_FUNCTION, key="k").resumed
    assert len(set_aside(pg)) == 5


@pytest.mark.parametrize("function", ["no_list", "too_few", "unknown_field"])
def test_a_function_that_is_wrong_for_every_row_stops_at_once(orders, pg, function):
    path = f"tests.backfill.tables.{function}"
    with pytest.raises(BackfillFailed, match=r"returned"):
        run(pg, Backfill(Order, function=path, error_budget=10), key="k")
    assert set_aside(pg) == []
    assert orders.filter(UNFILLED).count() == 500


def replay(pg, backfill):
    [seen] = control.seen(pg)
    keys = Keys(backfill.model, pg)
    return aside.replay(backfill, keys, server_for(pg), Store(pg), seen.id)


def test_retry_fills_what_was_corrected_and_counts_what_was_not(orders, pg):
    run(pg, BY_FUNCTION, key="k")
    orders.filter(pk=50).update(amount=51)  # corrected
    orders.filter(pk=150).update(total=1)  # filled by hand
    orders.filter(pk=250)._raw_delete(pg.alias)
    assert replay(pg, BY_FUNCTION) == (3, 2)
    assert orders.get(pk=50).total == 102
    assert orders.get(pk=150).total == 1
    assert [(row, tries) for row, _, tries in set_aside(pg)] == [('["350"]', 2), ('["450"]', 2)]


def test_a_row_that_somebody_has_locked_keeps_no_other_from_its_retry(orders, pg, other):
    run(pg, BY_FUNCTION, key="k")
    orders.update(amount=1)
    other.execute("SELECT 1 FROM shop_order WHERE id = 150 FOR UPDATE")
    assert replay(pg, BY_FUNCTION) == (4, 1)
    other.rollback()
    assert [(row, tries) for row, _, tries in set_aside(pg)] == [('["150"]', 1)]
    assert replay(pg, BY_FUNCTION) == (1, 0)
    assert set_aside(pg) == []


def test_two_that_retry_at_once_fill_each_row_once(orders, pg, monkeypatch):
    """Each has read the list of failures before the other has filled the first of them."""
    values = {"n": F("n") + 1, "total": Value(300) / F("amount")}
    orders.filter(pk__lte=3).update(amount=0)
    backfill = Backfill(Order, values=values, error_budget=5)
    run(pg, backfill, key="k")
    orders.filter(pk__lte=3).update(amount=1)
    begin, done = PostgresServer.begin_looking, []

    def others_are_faster(self, limit):
        begin(self, limit)
        if not done:
            done.append(None)
            with ThreadPoolExecutor(1) as elsewhere:
                done.append(elsewhere.submit(replay_elsewhere, pg.alias, backfill).result(20))

    monkeypatch.setattr(PostgresServer, "begin_looking", others_are_faster)
    assert replay(pg, backfill) == (0, 0)
    assert done[1:] == [(3, 0)]
    assert set(orders.filter(pk__lte=3).values_list("n", flat=True)) == {1}


def replay_elsewhere(alias, backfill):
    connection = connections[alias]  # this thread's own
    try:
        return replay(connection, backfill)
    finally:
        connection.close()


def test_a_row_with_a_composite_key_is_set_aside_and_found_again(make, pg):
    make(ByPair, rows=[{"tenant": t, "code": c, "n": t} for t in range(3) for c in "ab"])
    values = {"n": Value(6) / F("n")}
    backfill = Backfill(ByPair, values=values, where=Q(n__lt=3), error_budget=5)
    with pg.cursor() as cursor:
        cursor.execute("UPDATE shop_bypair SET n = 0 WHERE tenant = 0 AND code = 'b'")
    with pytest.raises(BackfillFailed, match="error budget is 1"):
        run(pg, Backfill(ByPair, values=values, where=Q(n__lt=3), error_budget=1), key="k")
    run(pg, backfill, key="k")
    assert [row for row, _, _ in set_aside(pg)] == ['["0", "a"]', '["0", "b"]']
    ByPair._base_manager.using(pg.alias).filter(tenant=0).update(n=1)
    assert replay(pg, backfill) == (2, 0)


@pytest.mark.parametrize("budget", [-1, 1_001, True, "3"])
def test_a_budget_that_makes_no_sense_is_refused(orders, pg, budget):
    with pytest.raises(WrongOperation, match="has error_budget="):
        run(pg, Backfill(Order, values={"n": 1}, error_budget=budget), key="k")


def test_a_lost_connection_is_made_again_and_the_run_goes_on(orders, pg, other, monkeypatch, heard):
    """A failover: the session's own settings are there again, and no row is done twice."""
    fill, times = ByServer.fill, iter(range(3))

    def loses(self, span):
        if next(times, None) == 1:
            other.execute("SELECT pg_terminate_backend(%s)", [pg.connection.info.backend_pid])
        return fill(self, span)

    with pg.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1234ms'")
    monkeypatch.setattr(ByServer, "fill", loses)
    monkeypatch.setattr(trouble, "RECONNECT", timedelta(seconds=60))
    result = run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=100), key="k")
    assert result.rows == 500
    assert set(orders.values_list("n", flat=True)) == {1}
    assert any("the connection was lost" in line for line in heard)
    with pg.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("1234ms",)


def no_text(rows):
    """NUL from an old import, half an emoji from a cut text: nothing that could be sent."""
    return [{"word": {7: "a\x00b", 300: "\ud83d"}.get(row.pk, "ok")} for row in rows]


def test_a_text_that_cannot_be_sent_is_about_its_row(orders, pg):
    backfill = Backfill(
        Order, function=f"{__name__}.no_text", where=Q(word__isnull=True), error_budget=2
    )
    assert run(pg, backfill, key="k").rows == 498
    found = {row: error for row, error, _ in set_aside(pg)}
    assert set(found) == {'["7"]', '["300"]'}
    assert all(error.startswith("DataError: ") for error in found.values())


def test_without_a_budget_a_text_that_cannot_be_sent_ends_the_run_by_name(orders, pg):
    work = Backfill(Order, function=f"{__name__}.no_text", where=Q(word__isnull=True))
    with pytest.raises(BackfillFailed, match=r"stopped with DataError: .*NUL"):
        run(pg, work, key="k")
    assert control.seen(pg)[0].state == "failed"


class Moment(Table):
    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(null=True)
    year = models.IntegerField(null=True)


def year_of(rows):
    return [{"year": row.at.year} for row in rows]


def test_a_row_that_python_cannot_read_is_set_aside(make, pg):
    """PostgreSQL knows infinity as a moment; Python ends with the year 9999."""
    make(Moment)
    with pg.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shop_moment (at) SELECT CASE g WHEN 40 THEN 'infinity'::timestamptz "
            "ELSE now() END FROM generate_series(1, 100) g"
        )
    work = Backfill(
        Moment, function=f"{__name__}.year_of", where=Q(year__isnull=True), error_budget=1
    )
    assert run(pg, work, key="k").rows == 99
    [(row, error, _)] = set_aside(pg)
    assert row == '["40"]'
    assert "infinity" in error
