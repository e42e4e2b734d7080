"""How many rows the next batch takes: arithmetic, without a clock."""

from __future__ import annotations

from datetime import timedelta

START_ROWS = 1_000
LEAST_ROWS = 100
MOST_ROWS = 50_000
ALONE = 5  # times the target, while there is nobody who could wait for the batch


class Pace:
    """
    The size of the next batch, steered to the time one batch's transaction should take.

    A batch that was too slow shrinks the next one at once; a fast one at most doubles it. After
    trouble (a lock not had, a deadlock, a statement stopped) it halves, below the least size too,
    because a batch of one row always gets through where any batch does. A fixed size is left only
    by trouble and is reached again by doubling.

    Shape:   alone: nobody else uses the database, so batches may take ``ALONE`` times as long.
    """

    def __init__(self, target: timedelta, fixed_rows: int | None = None) -> None:
        self.target = target
        self.least = fixed_rows or LEAST_ROWS
        self.most = fixed_rows or MOST_ROWS
        self.rows = fixed_rows or START_ROWS
        self.alone = False

    def at_most(self, rows: int) -> None:
        """Take no more, however quick a batch is."""
        self.most = min(self.most, max(rows, 1))
        self.least, self.rows = min(self.least, self.most), min(self.rows, self.most)

    def in_company(self, alone: bool) -> None:
        """Say whether anybody else is there; the next batch is already of the right size."""
        if self.alone and not alone:
            self.rows = max(self.rows // ALONE, min(self.rows, self.least))
        self.alone = alone

    def finished(self, took: timedelta) -> None:
        """A batch of ``rows`` was committed after ``took``."""
        if took > timedelta(0):
            target = self.target * ALONE if self.alone else self.target
            wanted = int(min(self.rows * (target / took), self.most))
        else:
            wanted = self.most
        self.rows = min(max(wanted, self.least), self.most, self.rows * 2)

    def careful(self) -> None:
        """The next batch is taken apart row by row, and keeps its rows locked meanwhile."""
        self.rows = min(self.rows, LEAST_ROWS)

    def hung(self) -> None:
        """A batch was given up after a minute; to find out whether it is the rows, take few."""
        self.rows = max(self.rows // 10, 1)

    def troubled(self) -> None:
        """A batch was rolled back and will be tried again."""
        self.rows = max(self.rows // 2, 1)
