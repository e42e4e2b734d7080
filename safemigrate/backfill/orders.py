"""What a run is told while it works: go on or not, how fast, with how many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from safemigrate.backfill import store

if TYPE_CHECKING:
    from safemigrate.backfill.work import Backfill


@dataclass(frozen=True)
class Orders:
    """
    What counts from the next batch on.

    Shape:   state: of the run; a walk goes on only while it is RUNNING.
    Units:   rate: rows/s of the whole run, None is no cap.
    """

    state: str
    rate: int | None = None
    workers: int = 1

    @property
    def go_on(self) -> bool:
        return self.state == store.RUNNING

    def stopped(self) -> Orders:
        """The same for a worker that is to leave, though the run goes on without it."""
        return replace(self, state="stopped")


def orders_of(run: Any, backfill: Backfill) -> Orders:
    """
    Read the orders; ``run`` is its row as a batch, or a look between two, has read it.

    What was told from another terminal goes before what the migration says; a rate of 0 takes
    its cap away.
    """
    rate = backfill.rate if run.rate is None else run.rate or None
    return Orders(run.state, rate, run.workers or backfill.workers or 1)
