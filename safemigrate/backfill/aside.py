"""Rows that cannot be filled are set aside, so that one of them does not stop a million."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import Error, transaction

from safemigrate.backfill.bounded import Hangs
from safemigrate.backfill.filling import Filled, Filler, RowRefused, filler_for
from safemigrate.backfill.ranges import Span
from safemigrate.facts.progress import say

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    from safemigrate.backends import PlainServer
    from safemigrate.backfill.ranges import Key, Keys
    from safemigrate.backfill.store import Store
    from safemigrate.backfill.work import Backfill

NAMED = 3  # rows that are told one by one; a thousand lines would hide the first


class BudgetSpent(Exception):
    """More rows failed than the backfill may set aside; its batch must not be committed."""


class SettingAside:
    """
    A filler that, once a batch has failed for its data, finds the rows that it failed for.

    Batches go through as they are until one fails; that one comes again ``careful``: it is halved,
    each half behind a savepoint, down to the single rows, which are written into the table of
    failures in the batch's own transaction. So the fast path pays nothing.

    Shape:   run_id: set before the first batch. careful: for the next batch only.
    Units:   budget: rows of the whole run that may be set aside; 0 stops at the first one.
    """

    def __init__(
        self, filler: Filler, keys: Keys, server: PlainServer, store: Store, budget: int
    ) -> None:
        self.filler, self.server, self.store = filler, server, store
        self.rows = keys.of_rows  # what is set aside is known by its primary key
        self.budget = budget
        self.run_id = 0
        self.careful = False
        self._told = 0

    def fill(self, span: Span) -> Filled:
        """
        Raises:  BudgetSpent, and what the filler raises.
        """
        if not self.careful:
            return self.filler.fill(span)
        self.careful = False
        failed: list[tuple[Key, str]] = []
        filled = self._halved(span, failed)
        if failed:
            self._set_aside(span, failed)
        return Filled(filled.matched, filled.changed, len(failed))

    def _halved(self, span: Span, failed: list[tuple[Key, str]]) -> Filled:
        try:
            with transaction.atomic(using=self.rows.connection.alias):
                filled = self.filler.fill(span)
                self.server.check_deferred()
                return filled
        except (Error, RowRefused) as error:
            if not is_about_rows(error, self.server):
                raise
            why = _worded(error, self.server)
        middle = self._middle(span)
        if middle is None:
            failed.append((self._only(span), why))
            self._refuse_too_many(failed)
            return Filled(0, 0)
        low = self._halved(span.keys.span(span.after, middle), failed)
        high = self._halved(span.keys.span(middle, span.upto), failed)
        return Filled(low.matched + high.matched, low.changed + high.changed)

    def _middle(self, span: Span) -> Key | None:
        """Return a key that parts the rows of the span, None if there is only one of them."""
        rows = span.rows.count()
        if rows < 2 or span.upto is None:
            return None
        return span.keys.end_of_batch(span.after, span.upto, rows // 2)

    def _only(self, span: Span) -> Key:
        found = span.rows.values_list(*self.rows.names).first()
        return found or span.upto or ()

    def _refuse_too_many(self, failed: Sequence[tuple[Key, str]]) -> None:
        new = {self.rows.dump(key) for key, _ in failed}
        known = self.store.failures().filter(run_id=self.run_id).exclude(row_key__in=new).count()
        if known + len(new) > self.budget:
            rows = "; ".join(f"row {self.rows.say(key)}: {why}" for key, why in failed[:NAMED])
            raise BudgetSpent(
                f"{known + len(new):,} rows cannot be filled, and its error budget is "
                f"{self.budget:,}. {rows}"
            )

    def _set_aside(self, span: Span, failed: Sequence[tuple[Key, str]]) -> None:
        batch = f"{span.keys.say(span.after)}..{span.keys.say(span.upto)}"
        for key, why in failed:
            self.store.set_aside(self.run_id, self.rows.dump(key), batch, why)
            self._told += 1
            if self._told <= NAMED:
                say(f"{self.table}: row {self.rows.say(key)} is set aside: {why}")

    @property
    def table(self) -> str:
        return self.rows.model._meta.db_table


def is_about_rows(error: Exception, server: PlainServer) -> bool:
    """Whether other rows of the batch may well be filled."""
    return isinstance(error, RowRefused) or (
        isinstance(error, Error) and server.is_about_rows(error)
    )


def _worded(error: Exception, server: PlainServer) -> str:
    """Return class, SQLSTATE and the first line; never DETAIL, which quotes whole rows."""
    if isinstance(error, RowRefused):
        return str(error)
    kind = f"{type(error).__name__} {server.sqlstate(error)}".strip()
    return f"{kind}: {server.said(error)}"


@dataclass(frozen=True)
class Point(Span):
    """One row, by its key."""

    @property
    def rows(self) -> QuerySet[Model]:
        key = self.upto or ()
        return self.keys.all().filter(pk=key[0] if len(key) == 1 else key)

    @property
    def template(self) -> QuerySet[Model]:
        return self.rows


def replay(
    backfill: Backfill, keys: Keys, server: PlainServer, store: Store, run_id: int
) -> tuple[int, int]:
    """
    Try each row that was set aside once more, each in a transaction of its own.

    Returns: how many are filled (or gone, or filled by somebody else), how many still fail.
    """
    keys = keys.of_rows
    well = ill = 0
    for failure in list(store.failures().filter(run_id=run_id)):
        point = Point(keys, None, keys.load(failure.row_key))
        try:
            with server.at_work(), transaction.atomic(using=keys.connection.alias, durable=True):
                server.begin_looking(backfill.batch_target * 250)
                mine = store.failures().filter(pk=failure.pk).select_for_update()
                if mine.first() is None:
                    continue  # somebody else retries too, and this row is filled
                # Worded anew for each row: a statement of a whole range would not fit.
                filler_for(backfill, keys, server).fill(point)
                server.check_deferred()
                store.failures().filter(pk=failure.pk).delete()
            well += 1
        except Hangs as error:
            store.failed_again(failure.pk, str(error))
            ill += 1
        except (Error, RowRefused) as error:
            if is_about_rows(error, server):
                store.failed_again(failure.pk, _worded(error, server))
            elif not server.retry_reason(error):
                raise
            ill += 1  # or somebody has it locked, and may be filling it
    return well, ill


def open_keys(keys: Keys, store: Store, run_id: int) -> list[Any]:
    """Return the keys of the rows that are set aside, as ``pk__in`` takes them."""
    keys = keys.of_rows
    texts = store.failures().filter(run_id=run_id).values_list("row_key", flat=True)
    found = [keys.load(text) for text in texts]
    return [key[0] if len(key) == 1 else key for key in found]
