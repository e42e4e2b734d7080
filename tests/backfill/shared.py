"""A run that is worth to be shared: its table, cut into small ranges."""

from datetime import timedelta

from safemigrate.backfill import leases, workers
from safemigrate.backfill.leases import RANGE_TABLE

from .tables import Order

ROWS = 20_000


def small_ranges(monkeypatch):
    """So that a table which is quickly made is cut at all."""
    monkeypatch.setattr(workers, "LEAST_PAGES", 5)
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.02)


def quick_leases():
    """In a process that is to be killed: its ranges are small, and soon come free."""
    workers.LEAST_PAGES, leases.LEASE = 5, timedelta(seconds=1)


def many_orders(make, pg):
    make(Order)
    with pg.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shop_order (id, amount, n) "
            f"SELECT g * g, g, 0 FROM generate_series(1, {ROWS}) g"
        )
    return Order._base_manager.using(pg.alias)


def ranges(pg, columns="count(*)"):
    with pg.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {RANGE_TABLE}")
        return cursor.fetchall()
