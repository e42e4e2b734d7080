"""What a backfill needs in memory does not depend on how many rows the table has."""

import gc
import tracemalloc
import uuid

import pytest
from django.db import models
from django.db.models import F, Q

from safemigrate.backfill import STATE_TABLE, Backfill, run, walking

from .shared import small_ranges
from .tables import ByPair, Order, Table

FEW, MANY = 3_000, 30_000
AT_MOST = 500_000  # bytes more; a small object for each row more would be several times that
UNFILLED = Q(total__isnull=True)
ADDED = {"n": F("n") + 1}
ORDERS = "INSERT INTO shop_order (id, amount, n) SELECT g, g, 0 FROM generate_series(1, {}) g"
PAIRS = "INSERT INTO shop_bypair SELECT g % 7, md5(g::text), 0 FROM generate_series(1, {}) g"
DOUBLE = {"function": "tests.backfill.tables.double", "where": UNFILLED}
SHAPES = {
    "the key": (Order, ORDERS, {"values": ADDED}),
    "the key, by two workers": (Order, ORDERS, {"values": ADDED, "workers": 2}),
    "a composite key": (ByPair, PAIRS, {"values": ADDED}),
    "places in the file": (Order, ORDERS, {"values": {"total": F("amount")}, "where": UNFILLED}),
    "a function of rows": (Order, ORDERS, DOUBLE),
    "a function of rows, along the file": (Order, ORDERS, DOUBLE),
    "a value for each row": (Order, ORDERS, {"values": {"token": uuid.uuid4}}),
}


def peak(pg, model, insert, work, rows, key):
    """Return the most that one run had allocated at a time."""
    with pg.cursor() as cursor:
        cursor.execute(f"TRUNCATE {model._meta.db_table}")
        cursor.execute(insert.format(rows))
    backfill = Backfill(model, batch_rows=300, **work)
    gc.collect()
    tracemalloc.start()
    try:
        assert run(pg, backfill, key=key).rows == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("shape", SHAPES)
def test_ten_times_the_rows_take_no_more_memory(make, pg, monkeypatch, shape):
    small_ranges(monkeypatch)
    model, insert, work = SHAPES[shape]
    make(model)
    if "file" in shape:
        with pg.cursor() as cursor:
            cursor.execute("ALTER TABLE shop_order DROP CONSTRAINT shop_order_pkey CASCADE")
    peak(pg, model, insert, work, FEW, "whatever is kept once")
    few = peak(pg, model, insert, work, FEW, "few")
    many = peak(pg, model, insert, work, MANY, "many")
    assert many - few < AT_MOST


def test_with_debug_the_batches_are_not_kept_as_queries(make, pg, settings):
    """Django keeps the last 9,000 statements then, and one of ours has a batch's values."""
    settings.DEBUG = True
    make(Order, rows=[{"amount": n} for n in range(1, 201)])
    run(pg, Backfill(Order, function="tests.backfill.tables.double", batch_rows=10), key="k")
    assert not [query for query in pg.queries_log if "UPDATE" in query["sql"].partition(" ")[0]][5:]
    with pg.cursor() as cursor:
        cursor.execute(f"SELECT batches FROM {STATE_TABLE}")
        assert cursor.fetchone() == (20,)


class Document(Table):
    id = models.BigAutoField(primary_key=True)
    text = models.BinaryField()
    size = models.IntegerField(null=True)


lengths: list[int] = []


def size_of(rows):
    lengths.append(len(rows))
    return [{"size": len(row.text)} for row in rows]


@pytest.mark.parametrize("analyzed", [True, False])
def test_a_batch_of_large_rows_is_one_that_fits_into_memory(make, pg, analyzed):
    """A thousand documents of a megabyte each would be a gigabyte, twice."""
    make(Document)
    with pg.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shop_document (text) SELECT (SELECT string_agg(sha512((g * 1000 + h)::text"
            "::bytea), '') FROM generate_series(1, 3200) h) FROM generate_series(1, 100) g"
        )
        if analyzed:
            cursor.execute("ANALYZE shop_document")
    lengths.clear()
    work = Backfill(Document, function=f"{__name__}.size_of", where=Q(size__isnull=True))
    assert run(pg, work, key="k").rows == 100
    assert sum(lengths) == 100
    assert max(lengths) <= 40


def test_a_batch_is_ten_rows_at_least_whatever_the_server_takes_a_row_for(make, pg, monkeypatch):
    """A file that was all but empty when it was analyzed, and full again at the deploy."""
    monkeypatch.setattr(walking, "TRAVELS_BYTES", 1)
    make(Document, rows=[{"text": b"x"}] * 35)
    lengths.clear()
    work = Backfill(Document, function=f"{__name__}.size_of", where=Q(size__isnull=True))
    assert run(pg, work, key="k").rows == 35
    assert lengths == [10, 10, 10, 5]
