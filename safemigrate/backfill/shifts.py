"""One worker of a run among others: in a process of its own, and only for a while."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from safemigrate.backfill.orders import Orders
from safemigrate.backfill.walking import RunSeat

if TYPE_CHECKING:
    from safemigrate.backfill.filling import Filled
    from safemigrate.backfill.store import Store
    from safemigrate.backfill.walking import Counts
    from safemigrate.backfill.work import Backfill


def _name() -> str:
    """Two threads of one process are two workers."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}"


@dataclass(frozen=True)
class Shift:
    """How long a worker may stay; it leaves between two batches. Units: began: monotonic."""

    lasts: timedelta
    began: float = field(default_factory=time.monotonic)
    worker: str = field(default_factory=_name)

    def over(self) -> bool:
        return time.monotonic() - self.began >= self.lasts / timedelta(seconds=1)


@dataclass(frozen=True)
class Helped:
    """
    What a shift came to.

    Shape:   state: of the run at the end of it. again: the shift ended before the run did.
    Units:   rows: changed by this worker.
    """

    state: str
    rows: int = 0
    again: bool = False


class NotNeeded(Exception):
    """Others do all that there is to do, and this worker need not come again."""


class InWork(Exception):
    """Somebody has the run's row: for a batch, or for an order to it."""


class ShiftSeat(RunSeat):
    """
    A run that is not cut into ranges, as a worker on a shift sees it.

    One worker walks it. Whoever finds the row locked waits for nobody, for a batch may take longer
    than it would; and it leaves when batches of another were committed meanwhile. So of several
    that meet, one stays: whose batch was the last.
    """

    far: int | None = None  # the run's batches when its row was last not to be had

    def __init__(self, kept: Store, run_id: int, backfill: Backfill, shift: Shift) -> None:
        super().__init__(kept, run_id, backfill)
        self._shift = shift

    def lock(self) -> Any | None:
        """
        Return the run, locked.

        Raises:  InWork: somebody has it; NotNeeded: and works on it.
        """
        row = self.store.lock(self.run_id, wait=False)
        if row is not None:
            return row
        kept = self.store.glance(self.run_id)
        if kept is None:
            return None
        if self.far is not None and kept.batches != self.far:
            raise NotNeeded
        self.far = kept.batches
        raise InWork

    def moved(self, row: Any, filled: Filled, seen: int, counts: Counts) -> None:
        super().moved(row, filled, seen, counts)
        self.far = None

    def orders(self, row: Any) -> Orders:
        return until(self._shift, super().orders(row))

    def glance(self) -> Orders | None:
        orders = super().glance()
        return orders and until(self._shift, orders)


def until(shift: Shift, orders: Orders) -> Orders:
    return orders.stopped() if shift.over() else orders
