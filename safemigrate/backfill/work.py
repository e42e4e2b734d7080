"""What a backfill is asked to do, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.models import Model, Q

BATCH_TARGET = timedelta(milliseconds=100)


@dataclass(frozen=True)
class Backfill:
    """
    What to fill, independent of any migration file. Exactly one of ``values`` and ``function``.

    Shape:   model: a historical model, ``apps.get_model(...)`` of the migration's state.
             values: field name -> a Django expression, a constant, or a plain callable that is
             called once for each row (``uuid.uuid4``).
             function: dotted path of ``f(rows: list[Model]) -> list[Mapping[str, Any] | None]``,
             one entry for each row, in order: field name -> new value; None leaves the row alone.
             where: the rows that still need it. Filling a row must make this false for it.
    Units:   batch_rows: rows of one batch, None adapts them to ``batch_target``, the time that
             one batch's rows should stay locked. rate: at most so many rows/s, None is no cap.
             workers: connections that share the table, each in a thread of its own.
             error_budget: rows that may be set aside; 0 stops at the first one that fails.
    """

    model: type[Model]
    values: Mapping[str, Any] | None = None
    function: str | None = None
    where: Q | None = None
    batch_rows: int | None = None
    batch_target: timedelta = BATCH_TARGET
    rate: int | None = None
    workers: int | None = None
    error_budget: int = 0

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def statement_limit(self) -> timedelta:
        """How long a statement of a batch may take."""
        return min(max(self.batch_target * 50, timedelta(seconds=5)), timedelta(seconds=60))


@dataclass(frozen=True)
class Result:
    """
    What one call of ``run`` did.

    Shape:   rows: changed by this call. rows_total: changed by the whole run, with what was done
             before a resume. resumed: this call went on where another one stopped.
    """

    rows: int
    rows_total: int
    batches: int
    passes: int
    took: timedelta
    batch_ms_median: float
    resumed: bool


def is_expression(value: object) -> bool:
    """Whether Django compiles this value into SQL."""
    return hasattr(value, "resolve_expression")


def is_called_per_row(value: object) -> bool:
    return callable(value) and not is_expression(value)
