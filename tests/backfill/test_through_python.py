"""Rows that travel: callables, functions, every kind of column, and what they may get wrong."""

import datetime as dt
import uuid
from decimal import Decimal

import psycopg.types.range
import pytest
from django.db.models import F, Q

from safemigrate.backfill import STATE_TABLE, Backfill, run
from safemigrate.facts.errors import BackfillFailed

from .tables import Invoice, Kinds, Order

HERE = "tests.backfill.tables."
UNFILLED = Q(total__isnull=True)
NASTY = "a\"b\\c{d},%s 'e' NULL\n日本"

VALUES = {
    "text": NASTY,
    "short": "abc",
    "amount": Decimal("12.30"),
    "moment": dt.datetime(2024, 2, 29, 12, 0, 0, 5, tzinfo=dt.UTC),
    "day": dt.date(1, 1, 1),
    "took": dt.timedelta(days=-3, microseconds=7),
    "raw": b"\x00\xff\\'\"",
    "data": {"a": [1, None, NASTY], "b": {"c": 1.5}},
    "tags": [NASTY, None, "", "NULL"],
    "grid": [[1, 2], [3, None]],
    "span": psycopg.types.range.Range(1, 9, "[)"),
    "ip": "2001:db8::1",
    "order_id": 3,
}


@pytest.fixture
def orders(make, pg):
    make(Order, rows=[{"amount": n} for n in range(1, 501)])
    return Order._base_manager.using(pg.alias)


@pytest.mark.parametrize("field", VALUES)
@pytest.mark.parametrize("missing", [False, True])
def test_a_column_of_every_kind_arrives_as_it_was(orders, make, pg, field, missing):
    make(Kinds, rows=[{} for _ in range(30)])
    value = None if missing else VALUES[field]
    backfill = Backfill(Kinds, values={field: lambda: value, "done": lambda: True}, batch_rows=11)
    assert run(pg, backfill, key="k").rows == 30
    for row in Kinds._base_manager.using(pg.alias):
        found = getattr(row, field)
        assert (bytes(found) if isinstance(found, memoryview) else found) == value


def test_each_row_gets_a_value_of_its_own(orders, pg):
    """The oldest trap: default=uuid4 frozen into one value for all."""
    run(pg, Backfill(Order, values={"token": uuid.uuid4}, where=Q(token__isnull=True)), key="k")
    assert orders.values("token").distinct().count() == 500


def test_callables_expressions_and_constants_go_in_one_statement_for_each_batch(orders, pg):
    sent = []

    def watch(execute, sql, params, many, context):
        sent.append(sql)
        return execute(sql, params, many, context)

    values = {"token": uuid.uuid4, "total": F("amount") + F("n"), "word": "x", "flag": Q(n=0)}
    with pg.execute_wrapper(watch):
        run(pg, Backfill(Order, values=values, batch_rows=250), key="k")
    assert len([sql for sql in sent if sql.startswith('UPDATE "shop_order"')]) == 2
    assert orders.filter(total=F("amount"), word="x", flag=True, token__isnull=False).count() == 500


def test_a_value_too_long_is_refused_and_never_cut(orders, pg):
    backfill = Backfill(Order, values={"word": lambda: "abcdefgh"})
    with pytest.raises(BackfillFailed, match="22001"):
        run(pg, backfill, key="k")
    assert orders.filter(word__isnull=False).count() == 0


def test_a_function_fills_from_the_row(orders, pg):
    backfill = Backfill(Order, function=HERE + "double", where=UNFILLED, batch_rows=120)
    assert run(pg, backfill, key="k").rows == 500
    assert orders.filter(total=F("amount") * 2).count() == 500


def test_a_function_may_leave_rows_alone(orders, pg):
    assert run(pg, Backfill(Order, function=HERE + "only_even"), key="k").rows == 250
    assert orders.filter(total__isnull=True).count() == 250


def test_a_function_may_answer_with_different_fields_for_different_rows(orders, pg):
    assert run(pg, Backfill(Order, function=HERE + "two_shapes"), key="k").rows == 500
    assert orders.filter(total=1, n=0).count() == 250
    assert orders.filter(total=2, n=7).count() == 250


def test_a_child_table_is_filled_in_its_own_columns(orders, make, pg):
    with pg.schema_editor() as editor:
        editor.create_model(Invoice)
    with pg.cursor() as cursor:
        cursor.execute("INSERT INTO shop_invoice (order_ptr_id) SELECT id FROM shop_order")
    backfill = Backfill(Invoice, values={"number": 5}, where=UNFILLED & Q(number__isnull=True))
    assert run(pg, backfill, key="a").rows == 500
    assert run(pg, Backfill(Invoice, values={"number": lambda: 6}), key="b").rows == 500


REFUSED = {
    "raises_late": "tests.backfill.tables.raises_late raised LookupError: no such price.",
    "too_few": "returned 99 entries for 100 rows",
    "no_list": "returned a dict; it must return a list",
    "no_mapping": "returned an entry that is a int",
    "unknown_field": "Did you mean 'total'?",
    "writes_pk": "part of its primary key",
    "an_expression": "one row's value must be a plain value",
    "wrong_type": "A str does not fit total, a IntegerField",
    "too_long": "SQLSTATE 22001",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_function_that_answers_wrongly_stops_the_run_by_name(orders, pg, name):
    with pytest.raises(BackfillFailed) as failed:
        run(pg, Backfill(Order, function=HERE + name, where=UNFILLED, batch_rows=100), key="k")
    assert REFUSED[name] in failed.value.what
    assert "run migrate again: it goes on where this run stopped." in failed.value.do


def test_what_was_filled_before_the_failure_stays_and_is_said(orders, pg, monkeypatch):
    backfill = Backfill(Order, function=HERE + "raises_late", batch_rows=100)
    with pytest.raises(BackfillFailed) as failed:
        run(pg, backfill, key="k")
    assert failed.value.changed == (
        "200 rows were filled and stay; the batch of keys 201..300 was rolled back."
    )
    assert orders.filter(total__isnull=False).count() == 200
    with pg.cursor() as cursor:
        cursor.execute(f"SELECT state, error, rows_done FROM {STATE_TABLE}")
        assert cursor.fetchone() == ("failed", "RowRefused", 200)
    monkeypatch.setattr(
        "tests.backfill.tables.raises_late", lambda rows: [{"total": 9}] * len(rows)
    )
    result = run(pg, backfill, key="k")
    assert (result.rows, result.rows_total, result.resumed) == (300, 500, True)
    assert orders.filter(total=9).count() == 300


def test_a_callable_that_raises_stops_the_run_by_name(orders, pg):
    def broken():
        raise RuntimeError("out of numbers")

    with pytest.raises(BackfillFailed, match="The callable for n raised RuntimeError: out of"):
        run(pg, Backfill(Order, values={"n": broken}), key="k")


def test_no_value_of_a_row_is_written_into_the_state(orders, pg):
    """The unique violation quotes the value in its DETAIL; the state table keeps the class."""
    with pg.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX ON shop_order (word)")
    with pytest.raises(BackfillFailed, match=r"IntegrityError \(SQLSTATE 23505\)") as failed:
        run(pg, Backfill(Order, values={"word": "abcde"}), key="k")
    assert "abcde" not in str(failed.value)
    with pg.cursor() as cursor:
        cursor.execute(f"SELECT error FROM {STATE_TABLE}")
        assert cursor.fetchone() == ("IntegrityError 23505",)
