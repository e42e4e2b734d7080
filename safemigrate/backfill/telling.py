"""What a backfill says while it runs, and at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from safemigrate.facts.progress import say

if TYPE_CHECKING:
    from safemigrate.backfill.work import Result

EVERY_SECONDS = 1.0


class Progress:
    """
    A passing line at most each second.

    Units:   total: rows of the table, about; None is unknown and shows no percentage.
             seen: rows of this pass that were looked at before this process began.
    """

    def __init__(
        self,
        table: str,
        total: int | None,
        *,
        seen: int = 0,
        pass_no: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.table, self.total, self.pass_no = table, total, pass_no
        self._clock = clock
        self._began = self._spoke = clock()
        self._seen_before = seen
        self.waiting: str | None = None

    def pause(self, run_id: int, note: str | None) -> None:
        """Say at once that nothing moves, and what would make it move."""
        self._spoke = self._clock()
        say(
            f"{self.table}: {note or 'paused'}; "
            f"to go on: manage.py safemigrate backfills resume {run_id}"
        )

    def tell(self, seen: int) -> None:
        now = self._clock()
        if now - self._spoke < EVERY_SECONDS:
            return
        self._spoke = now
        rate = (seen - self._seen_before) / (now - self._began)
        say(self.line(seen, rate), passing=True)

    def line(self, seen: int, rate: float) -> str:
        """Return the line; ``seen`` may have outrun an estimate, which is then left out."""
        which = f"pass {self.pass_no}, " if self.pass_no > 1 else ""
        pace = f"{rounded(rate):,} rows/s"
        if self.total is None or seen > self.total:
            return f"{self.table}: {which}{seen:,} rows, {pace}"
        parts = [
            f"{which}{seen:,} of about {self.total:,} rows",
            f"{100 * seen // self.total} %",
            pace,
        ]
        if rate > 0:
            parts.append(f"about {duration((self.total - seen) / rate)} left")
        return f"{self.table}: {', '.join(parts)}"


def final_line(table: str, result: Result) -> str:
    """Return the last line of a run. Its wording is read by programs: keep it."""
    seconds = result.took / timedelta(seconds=1)
    rate = rounded(result.rows / seconds) if seconds > 0 else 0
    return (
        f"Backfilled {table}: {result.rows:,} rows in {seconds:.1f} s "
        f"({rate:,} rows/s, {result.batches:,} batches, "
        f"median {result.batch_ms_median:.0f} ms)"
    )


def rounded(number: float) -> int:
    """Return three digits of it: the rest is noise."""
    whole = round(number)
    return round(whole, min(0, 3 - len(str(abs(whole)))))


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
