"""What a backfill will take, from the statistics that the server keeps anyway: arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from safemigrate.backfill.telling import duration, rounded

if TYPE_CHECKING:
    from safemigrate.backends.server import Size

SERVER_ROWS = 30_000  # per second and worker, for one narrow column: an assumption
PYTHON_ROWS = 10_000  # the same, through a function
PAGE = 8_192
RECORD = 80  # bytes of WAL beside the row itself
ENTRY = 60  # and for an entry in each index


@dataclass(frozen=True)
class Estimate:
    """Units: wal, growth: bytes."""

    rows: int
    batches: int
    took: timedelta
    rows_per_s: float
    wal: int
    growth: int


def estimated(
    size: Size,
    *,
    by_python: bool,
    batch_rows: int | None,
    batch_target: timedelta,
    rate: int | None = None,
    workers: int = 1,
) -> Estimate:
    """
    Return what filling every row of the table takes.

    A row that is changed is written anew, and its old version stays until VACUUM: so the table may
    grow by itself once. The first change of each page after a checkpoint puts the whole page into
    the WAL.
    """
    assumed = (PYTHON_ROWS if by_python else SERVER_ROWS) * workers
    rows_per_s = min(assumed, rate or math.inf)
    in_batch = batch_rows or max(
        1, int(rows_per_s / workers * (batch_target / timedelta(seconds=1)))
    )
    width = size.table_bytes / size.rows if size.rows else 0
    return Estimate(
        rows=size.rows,
        batches=math.ceil(size.rows / in_batch),
        took=timedelta(seconds=size.rows / rows_per_s),
        rows_per_s=rows_per_s,
        wal=int(size.rows * (width + RECORD + ENTRY * size.indexes) + size.table_bytes),
        growth=size.table_bytes,
    )


def said(table: str, found: Estimate) -> str:
    """Return one line; ``up to``, because a where may leave most rows alone."""
    if not found.rows:
        return f"{table}: empty, nothing to fill"
    return (
        f"{table}: up to {rounded(found.rows):,} rows in {rounded(found.batches):,} batches, "
        f"about {duration(found.took / timedelta(seconds=1))} at {rounded(found.rows_per_s):,} "
        f"rows/s; about {_bytes(found.wal)} of WAL, the table up to "
        f"{_bytes(found.growth)} larger until VACUUM"
    )


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1_000:
            return f"{number:.0f} {unit}"
        number /= 1_000
    return f"{number:.1f} TB"
