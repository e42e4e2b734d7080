"""How to wait for a lock without standing in anybody's way: the schedule, without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Patience:
    """
    Probes that never queue, then waits too short to be felt, then the end.

    A request that queues for ACCESS EXCLUSIVE stops every later query on the table, so the
    probes are ``NOWAIT``. A table that is never free for an instant starves them; after
    ``starved_after`` each try may queue for ``short_wait``. While somebody is seen to hold the
    table who will not let it go within a try, none is made: it would be an error in the server's
    log, and once starved a moment's stop of the table, for nothing.
    """

    deadline: timedelta = timedelta(minutes=5)
    pause: timedelta = timedelta(milliseconds=50)
    starved_after: timedelta = timedelta(seconds=30)
    short_wait: timedelta = timedelta(milliseconds=20)
    long: timedelta = timedelta(seconds=1)

    def wait_at(self, elapsed: timedelta) -> timedelta:
        """How long the next try may queue; zero is ``NOWAIT``."""
        return self.short_wait if elapsed >= self.starved_after else timedelta(0)

    def hopeless_at(self, elapsed: timedelta) -> timedelta:
        """How old a transaction is that will hold the table for longer than the next try waits."""
        return self.long if self.wait_at(elapsed) else timedelta(0)

    def pause_after(self, elapsed: timedelta, luck: float) -> timedelta:
        """The pause before the next try; ``luck`` in [0, 1) spreads it by half each way."""
        pause = self.pause if elapsed < self.starved_after else self.pause * 4
        return pause * (0.5 + luck)

    def is_over(self, elapsed: timedelta) -> bool:
        return elapsed >= self.deadline
