"""What is held back, since when and why; and what has been done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from safemigrate.executor.executor import SafeExecutor
from safemigrate.executor.explaining import UNREAD, rights_explained
from safemigrate.executor.gathering import RunOptions
from safemigrate.executor.ledger import Ledger
from safemigrate.facts.errors import PlanRefused
from safemigrate.planner.register import Key

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True)
class Held:
    """``since``: when the last migration that it completes was applied; None if none is."""

    key: Key
    reason: str
    since: datetime | None


@dataclass(frozen=True)
class Waiting:
    """``too_early``: what ``migrate`` would say instead of doing anything."""

    held: Sequence[Held] = ()
    too_early: PlanRefused | None = None


def waiting(connection: BaseDatabaseWrapper) -> Waiting:
    """What ``migrate`` would not apply now, and why; changes nothing."""
    executor = SafeExecutor(connection, options=RunOptions(once=True))
    executor.migration_plan(executor.loader.graph.leaf_nodes())
    if executor.cut is None:
        return Waiting()
    applied: dict[Any, Any] = executor.loader.applied_migrations
    held = []
    for key, reason in executor.cut.held.items():
        times = [applied[k].applied for k in executor.gatekeeper.completes(key) if k in applied]
        held.append(Held(key, reason, max(times, default=None)))
    return Waiting(held, executor.gatekeeper.too_early(executor.cut))


def history(connection: BaseDatabaseWrapper, limit: int = 20) -> list[Any]:
    """The last rows of the ledger, newest first; none where ``migrate`` has never run."""
    ledger = Ledger(connection, "")
    with rights_explained(connection, UNREAD):
        return list(ledger.rows().order_by("-id")[:limit]) if ledger.exists() else []
