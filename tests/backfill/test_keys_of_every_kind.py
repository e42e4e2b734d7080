"""Each row exactly once, whatever the primary key is made of."""

import datetime as dt
from decimal import Decimal

import pytest
from django.db.models import F

from safemigrate.backfill import Backfill, run
from safemigrate.backfill.ranges import Keys

from .tables import (
    ByDate,
    ByDecimal,
    ByMoment,
    ByPair,
    ByText,
    ByUuid,
    Order,
    Profile,
)

MOMENT = dt.datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)
TEXTS = [
    "",
    " ",
    "a",
    "A",
    "ä",
    "z",
    "Z",
    "日本",
    'quo"te',
    "it's",
    "back\\slash",
    "{curly,}",
    "%s",
]

KINDS = {
    "integers": (Order, [{"id": n} for n in range(1, 60)]),
    "gaps and negatives": (
        Order,
        [{"id": n} for n in [-(2**40), -7, 0, 3, 4, 5, 1_000, *range(10**9, 10**9 + 20), 2**62]],
    ),
    "uuids": (ByUuid, [{} for _ in range(40)]),
    "text": (ByText, [{"code": text} for text in TEXTS]),
    "dates": (ByDate, [{"day": dt.date(2024, 1, 1) + dt.timedelta(n)} for n in range(40)]),
    "moments": (ByMoment, [{"at": MOMENT + dt.timedelta(microseconds=n)} for n in range(40)]),
    "decimals": (ByDecimal, [{"number": Decimal(n) / 8} for n in range(-20, 20)]),
    "pairs": (ByPair, [{"tenant": n // 7, "code": TEXTS[n % 7]} for n in range(40)]),
}


@pytest.fixture(params=KINDS)
def filled_table(request, make):
    model, rows = KINDS[request.param]
    make(model, rows=rows)
    return model


@pytest.mark.parametrize("batch_rows", [1, 7, 1_000])
def test_every_row_is_done_once(filled_table, pg, batch_rows):
    result = run(
        pg, Backfill(filled_table, values={"n": F("n") + 1}, batch_rows=batch_rows), key="k"
    )
    counts = filled_table._base_manager.using(pg.alias).values_list("n", flat=True)
    assert set(counts) == {1}
    assert result.rows == len(counts)


def test_every_row_is_done_once_through_python(filled_table, pg):
    count = iter(range(10_000))
    backfill = Backfill(filled_table, values={"n": lambda: next(count)}, batch_rows=7)
    run(pg, backfill, key="k")
    numbers = list(filled_table._base_manager.using(pg.alias).values_list("n", flat=True))
    assert sorted(numbers) == list(range(len(numbers)))


def test_a_key_survives_being_written_down(filled_table, pg):
    """The cursor is JSON; another process must find the very same place."""
    keys = Keys(filled_table, pg)
    for row in keys.all():
        assert keys.load(keys.dump(keys.of(row))) == keys.of(row)


def test_a_run_stopped_in_the_middle_goes_on_at_the_same_row(filled_table, pg, monkeypatch):
    """As after a kill, but between two batches."""
    from safemigrate.backfill.walking import Walk

    batch, left = Walk.batch, iter(range(3))
    backfill = Backfill(filled_table, values={"n": F("n") + 1}, batch_rows=3)

    def stops(self, *args):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return batch(self, *args)

    monkeypatch.setattr(Walk, "batch", stops)
    with pytest.raises(KeyboardInterrupt):
        run(pg, backfill, key="k")
    monkeypatch.undo()
    result = run(pg, backfill, key="k")
    assert result.resumed
    counts = list(filled_table._base_manager.using(pg.alias).values_list("n", flat=True))
    assert set(counts) == {1}
    assert result.rows == len(counts) - 9
    assert result.rows_total == len(counts)


def test_a_key_that_is_a_relation_has_its_targets_values(make, pg):
    make(Order, rows=[{"id": n} for n in range(1, 20)])
    make(Profile, rows=[{"order_id": n} for n in range(1, 20, 2)])
    for values in ({"n": F("n") + 1}, {"n": lambda: 1}):
        assert run(pg, Backfill(Profile, values=values, batch_rows=3), key=str(values)).rows == 10


def test_the_end_of_a_batch_is_found_without_offset_and_in_the_server(make, pg):
    make(Order, rows=[{"id": n} for n in range(1, 101)])
    keys = Keys(Order, pg)
    sent = []

    def watch(execute, sql, params, many, context):
        sent.append(sql)
        return execute(sql, params, many, context)

    with pg.execute_wrapper(watch):
        assert keys.end_of_batch((10,), (100,), 25) == (35,)
        assert keys.end_of_batch((90,), (100,), 25) == (100,)
        assert keys.end_of_batch((100,), (100,), 25) is None
    assert all("OFFSET" not in sql and sql.endswith("DESC LIMIT 1") for sql in sent)
