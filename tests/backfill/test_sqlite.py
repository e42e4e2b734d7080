"""SQLite runs everything as one process would, so that a project's tests may."""

import uuid

import pytest
from django.db import transaction
from django.db.models import F, Q

from safemigrate.backfill import Backfill, remaining, run
from safemigrate.facts.errors import BackfillFailed

from .tables import ByPair, ByUuid, Order

UNFILLED = Q(total__isnull=True)


@pytest.fixture
def orders(make, sqlite):
    make(Order, rows=[{"amount": n} for n in range(1, 101)], connection=sqlite)
    return Order._base_manager.using(sqlite.alias)


@pytest.mark.parametrize("inside", [False, True])
def test_it_fills_with_and_without_a_transaction_around_it(orders, sqlite, inside):
    backfill = Backfill(Order, values={"total": F("amount") + 1}, where=UNFILLED, batch_rows=30)
    if inside:
        with transaction.atomic(using=sqlite.alias):
            result = run(sqlite, backfill, key="k")
    else:
        result = run(sqlite, backfill, key="k")
    assert (result.rows, result.batches) == (100, 4)
    assert remaining(sqlite, backfill) == 0
    assert orders.filter(total=F("amount") + 1).count() == 100


def test_values_that_travel_go_back_row_by_row(orders, sqlite):
    values = {"token": uuid.uuid4, "total": F("amount"), "word": "x", "flag": Q(amount=1)}
    assert run(sqlite, Backfill(Order, values=values, where=UNFILLED), key="k").rows == 100
    assert orders.filter(total=F("amount"), word="x").values("token").distinct().count() == 100


def test_a_function_fills_from_the_row(orders, sqlite):
    run(sqlite, Backfill(Order, function="tests.backfill.tables.two_shapes"), key="k")
    assert orders.filter(total=2, n=7).count() == 50


def test_a_failure_inside_a_transaction_leaves_nothing(orders, sqlite):
    backfill = Backfill(Order, function="tests.backfill.tables.too_few", batch_rows=30)
    with transaction.atomic(using=sqlite.alias), pytest.raises(BackfillFailed) as failed:
        run(sqlite, backfill, key="k")
    assert "Everything is rolled back" in failed.value.changed
    assert orders.filter(total__isnull=False).count() == 0


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        (ByUuid, [{} for _ in range(20)]),
        (ByPair, [{"tenant": n % 3, "code": str(n)} for n in range(20)]),
    ],
)
def test_other_keys_are_walked_too(make, sqlite, model, rows):
    make(model, rows=rows, connection=sqlite)
    for number, values in enumerate([{"n": F("n") + 1}, {"n": lambda: 5}]):
        assert run(sqlite, Backfill(model, values=values, batch_rows=3), key=str(number)).rows == 20
