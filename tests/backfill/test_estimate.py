from datetime import timedelta

import pytest

from safemigrate.backends import server_for
from safemigrate.backends.server import Size
from safemigrate.backfill.estimate import estimated, said

from .tables import Order

LARGE = Size(rows=20_000_000, table_bytes=2_000_000_000, indexes=2)
TARGET = timedelta(milliseconds=20)


def test_twenty_million_rows_by_the_server():
    found = estimated(LARGE, by_python=False, batch_rows=None, batch_target=TARGET)
    assert said("shop_order", found) == (
        "shop_order: up to 20,000,000 rows in 33,300 batches, about 11 min at 30,000 rows/s; about "
        "8 GB of WAL, the table up to 2 GB larger until VACUUM"
    )


def test_a_cap_makes_it_longer_and_workers_make_it_shorter():
    capped = estimated(LARGE, by_python=False, batch_rows=500, batch_target=TARGET, rate=1_000)
    assert (capped.took, capped.batches) == (timedelta(seconds=20_000), 40_000)
    two = estimated(LARGE, by_python=True, batch_rows=None, batch_target=TARGET, workers=2)
    assert two.took == timedelta(seconds=1_000)
    assert two.batches == 100_000


def test_an_empty_table_takes_nothing():
    found = estimated(Size(0, 0, 1), by_python=True, batch_rows=None, batch_target=TARGET)
    assert found.batches == 0
    assert said("shop_order", found) == "shop_order: empty, nothing to fill"


@pytest.mark.parametrize("known", ["never analyzed", "analyzed while it was empty"])
def test_a_table_of_which_the_server_knows_nothing_is_estimated_by_its_size(make, pg, known):
    """reltuples is -1, or 0; neither means that there is nothing to fill."""
    make(Order)
    with pg.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_order SET (autovacuum_enabled = off)")
        if known != "never analyzed":
            cursor.execute("ANALYZE shop_order")
        cursor.execute(
            "INSERT INTO shop_order (amount, n) SELECT g, 0 FROM generate_series(1, 10000) g"
        )
    size = server_for(pg).size_of("shop_order")
    assert 2_000 < size.rows < 50_000
    assert size.whole_bytes >= size.table_bytes > 400_000


STALE = {
    "loaded since": "",
    "a partition loaded since": "PARTITION BY RANGE (id)",
}


@pytest.mark.parametrize("how", STALE)
def test_what_was_loaded_since_the_last_analyze_is_counted_by_its_pages(pg, how):
    """A hundred rows when the server last looked, a bulk load, and the deploy before autovacuum."""
    insert = "INSERT INTO shop_order SELECT g, 0 FROM generate_series(%s, %s) g"
    with pg.cursor() as cursor:
        cursor.execute(f"CREATE TABLE shop_order (id int, n int) {STALE[how]}")
        name = "shop_order"
        if STALE[how]:
            name = "p1"
            cursor.execute(
                "CREATE TABLE p0 PARTITION OF shop_order FOR VALUES FROM (0) TO (101);"
                "CREATE TABLE p1 PARTITION OF shop_order FOR VALUES FROM (101) TO (100000)"
            )
        cursor.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")
        cursor.execute(insert, [1, 100])
        cursor.execute("ANALYZE shop_order")
        cursor.execute(insert, [101, 20_000])
    assert 5_000 < server_for(pg).size_of("shop_order").rows < 40_000
