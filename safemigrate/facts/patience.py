"""How to wait for a lock without standing in anybody's way: the schedule, without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Patience:
    """
    Probes that never queue, then waits too short to be felt, then the end.

    A request that queues for ACCESS EXCLUSIVE stops every later query on the table, so the
    probes are ``NOWAIT``. A table that is never free for an instant starves them; then each try
    may queue for ``short_wait``. While a transaction that is not a short one holds the table, none
    is made: it would be an error in the server's log, and once starved a moment's stop of the
    table, for nothing. Short ones come and go faster than anybody can look.
    """

    deadline: timedelta = timedelta(minutes=5)
    pause: timedelta = timedelta(milliseconds=50)
    starved_after: timedelta = timedelta(seconds=30)
    starved_at: int = 60
    short_wait: timedelta = timedelta(milliseconds=20)
    long: timedelta = timedelta(seconds=1)

    def is_starved(self, elapsed: timedelta, refused: int) -> bool:
        """``refused``: tries that were made, beside nobody but short transactions."""
        return refused >= self.starved_at or elapsed >= self.starved_after

    def wait(self, *, starved: bool) -> timedelta:
        """How long the next try may queue; zero is ``NOWAIT``."""
        return self.short_wait if starved else timedelta(0)

    def hopeless(self, *, starved: bool) -> timedelta:
        """How old a transaction is that will still hold the table when the next try is made."""
        return self.long if starved else self.pause

    def pause_before(self, luck: float, *, starved: bool) -> timedelta:
        """The pause before the next try; ``luck`` in [0, 1) spreads it by half each way."""
        pause = self.pause * 4 if starved else self.pause
        return pause * (0.5 + luck)

    def is_over(self, elapsed: timedelta) -> bool:
        return elapsed >= self.deadline
