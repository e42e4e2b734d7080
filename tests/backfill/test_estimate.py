from datetime import timedelta

from safemigrate.backends.server import Size
from safemigrate.backfill.estimate import estimated, said

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
