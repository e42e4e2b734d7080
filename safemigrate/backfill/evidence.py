"""Whether a backfill is finished, by query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction

from safemigrate.backends import PlainServer, server_for
from safemigrate.backfill.ranges import Keys, narrowed

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model, QuerySet

    from safemigrate.backfill.work import Backfill

REMAINING_CAP = 1_001  # enough to say "more than a thousand" without counting millions

# Without an index for ``where`` this reads the whole table, and locks nobody out while it does.
LOOK_LIMIT = timedelta(minutes=15)


def remaining(
    connection: BaseDatabaseWrapper, backfill: Backfill, but: Sequence[Any] = ()
) -> int | None:
    """
    Return how many rows still match ``where``, at most ``REMAINING_CAP``; None without a where.

    Shape:   but: keys that do not count, because their rows are set aside.

    Raises:  OperationalError: the table was locked, or LOOK_LIMIT passed.
    """
    if backfill.where is None:
        return None
    with looking(connection, server_for(connection)):
        return unfilled(Keys(backfill.model, connection), backfill, REMAINING_CAP, but).count()


def unfilled(
    keys: Keys, backfill: Backfill, limit: int, but: Sequence[Any] = ()
) -> QuerySet[Model]:
    """Return the first rows that still match, as a query for their keys."""
    rows = narrowed(keys.all(), backfill.where)
    if but:
        rows = rows.exclude(pk__in=but)
    return rows.values(*keys.names)[:limit]  # type: ignore[return-value]  # the stubs say: of dicts


@contextmanager
def looking(connection: BaseDatabaseWrapper, server: PlainServer) -> Iterator[None]:
    """Read inside with bounded waits; in the caller's transaction, with the caller's bounds."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic(using=connection.alias):
        server.begin_looking(LOOK_LIMIT)
        yield
