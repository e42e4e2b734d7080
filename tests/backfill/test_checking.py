"""What can never work is refused before a database is asked, by name and with what to do."""

import uuid
from datetime import timedelta

import pytest
from django.db.models import Count, F, Q, Window
from django.db.models.functions import Now, RowNumber

from safemigrate.backfill import Backfill, check
from safemigrate.facts.errors import WrongOperation

from .tables import ByPair, Invoice, Line, Order

WRONG = {
    "neither": (Backfill(Order), "neither values nor function"),
    "both": (Backfill(Order, values={"n": 1}, function="uuid.uuid4"), "values and function"),
    "empty values": (Backfill(Order, values={}), "empty values"),
    "unknown field": (Backfill(Order, values={"totl": 1}), "Did you mean 'total'"),
    "far from any field": (Backfill(Order, values={"zzz": 1}), "It has: id, amount, total"),
    "pk": (Backfill(Order, values={"pk": 1}), "fills pk, its primary key"),
    "pk by name": (Backfill(Order, values={"id": 1}), "'id', part of its primary key"),
    "part of a pair": (Backfill(ByPair, values={"tenant": 1}), "part of its primary key"),
    "many to many": (Backfill(Line, values={"tags": 1}), "no column in shop_line"),
    "reverse relation": (Backfill(Order, values={"lines": 1}), "no column in shop_order"),
    "generated": (Backfill(Line, values={"doubled": 1}), "which the database computes"),
    "parent's field": (Backfill(Invoice, values={"total": 1}), "Backfill shop.Order instead"),
    "constant": (Backfill(Order, values={"total": "many"}), "a value it cannot hold"),
    "uuid": (Backfill(Order, values={"token": "no uuid"}), "a value it cannot hold"),
    "field in F": (Backfill(Order, values={"total": F("amont")}), "does not fit the model"),
    "join in F": (Backfill(Line, values={"total": F("order__amount")}), "does not fit the model"),
    "aggregate": (Backfill(Order, values={"total": Count("n")}), "aggregate"),
    "window": (Backfill(Order, values={"total": Window(RowNumber())}), "over clause"),
    "class": (Backfill(Order, values={"total": Now}), "Give an instance: Now()"),
    "arguments": (Backfill(Order, values={"total": lambda row: 1}), "without arguments"),
    "where": (Backfill(Order, values={"n": 1}, where={"n": 1}), "a where that is a dict"),
    "field in where": (Backfill(Order, values={"n": 1}, where=Q(m=1)), "where that does not fit"),
    "no module": (Backfill(Order, function="nowhere.f"), "cannot be imported"),
    "no function": (Backfill(Order, function="tests.backfill.tables.f"), "cannot be imported"),
    "no path": (Backfill(Order, function="double"), "cannot be imported"),
    "no text": (Backfill(Order, function=7), "cannot be imported"),
    "number": (Backfill(Order, function="tests.backfill.tables.not_a_function"), "no function"),
    "no rows": (Backfill(Order, values={"n": 1}, batch_rows=0), "batch_rows=0"),
    "rows true": (Backfill(Order, values={"n": 1}, batch_rows=True), "batch_rows=True"),
    "no rate": (Backfill(Order, values={"n": 1}, rate=0), "rate=0"),
    "rate in text": (Backfill(Order, values={"n": 1}, rate="5"), "rate='5'"),
    "no workers": (Backfill(Order, values={"n": 1}, workers=0), "workers=0"),
    "no time": (Backfill(Order, values={"n": 1}, batch_target=timedelta(0)), "batch_target="),
    "bare number": (Backfill(Order, values={"n": 1}, batch_target=5), "batch_target=5"),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused_by_name(case):
    backfill, said = WRONG[case]
    with pytest.raises(WrongOperation) as refused:
        check(backfill)
    assert said in str(refused.value)
    assert refused.value.changed == "Nothing was changed."
    assert refused.value.do


def test_what_can_work_passes():
    check(Backfill(Order, values={"total": F("amount") + 1, "token": uuid.uuid4, "n": None}))
    check(Backfill(Line, values={"order_id": 5, "total": None}, where=Q(order__amount__gt=1)))
    check(Backfill(Order, function="tests.backfill.tables.double"))
    check(Backfill(Invoice, values={"number": 1}, where=Q(total__isnull=True)))
