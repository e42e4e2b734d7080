"""What to do when a transaction of a backfill fails: try again smaller, or stop and say so."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import Error, transaction

from safemigrate.backfill import failing, states, store
from safemigrate.backfill.aside import BudgetSpent, is_about_rows
from safemigrate.backfill.bounded import Hangs
from safemigrate.backfill.evidence import looking
from safemigrate.backfill.filling import RowRefused, RowsRefused
from safemigrate.backfill.states import Event
from safemigrate.facts.progress import say

if TYPE_CHECKING:
    from safemigrate.backends import PlainServer
    from safemigrate.backfill.aside import SettingAside
    from safemigrate.backfill.pace import Pace
    from safemigrate.backfill.ranges import Key, Keys
    from safemigrate.facts.errors import BackfillFailed

T = TypeVar("T")

TRIES = 16  # of one transaction in a row: some 14 s, for others to get out of the way
FIRST_PAUSE = timedelta(milliseconds=50)
LONGEST_PAUSE = timedelta(seconds=1.25)  # each try looks at the orders, within two seconds
STOPPED = "57014"

RECONNECT = timedelta(minutes=2)
"""How long a server may be away: a failover takes some tens of seconds."""
RECONNECT_PAUSE = timedelta(seconds=1)
MOST_LOSSES = 20  # in one call: a batch that kills its server each time must not go on for ever


class HeldBack(Exception):
    """What a run is held back by outlasted the deadline."""


class WhereStays(Exception):
    """All rows that a batch has just filled still match; the batch must not be committed."""


@dataclass
class Place:
    """
    How far a run is, for messages.

    Shape:   after, end: the batch in work has the keys after ``after`` and up to ``end``; both
             None between batches. rows_done: changed and committed by the whole run.
    """

    after: Key | None = None
    end: Key | None = None
    rows_done: int = 0


class Trouble:
    """Run the transactions of one backfill; ``retries`` only where they are ours to repeat."""

    def __init__(
        self,
        keys: Keys,
        server: PlainServer,
        state: store.Store,
        key: str,
        pace: Pace,
        place: Place,
        *,
        retries: bool,
    ) -> None:
        self.keys, self.server, self.store, self.key = keys, server, state, key
        self.pace, self.place, self.retries = pace, place, retries
        self.connection = keys.connection
        self.table = keys.model._meta.db_table
        self.aside: SettingAside | None = None  # what can set single rows aside
        self.losses = 0
        self.session = server.session_settings() if retries else {}

    def patiently(self, work: Callable[[], T], *, but_not: frozenset[str] = frozenset()) -> T:
        """
        Do one transaction's work, again with smaller batches where that may help.

        Shape:   but_not: SQLSTATEs that end it at once.
        Raises:  BackfillFailed.
        """
        began, attempt = time.perf_counter(), 0
        while True:
            attempt += 1
            try:
                return self._once(work)
            except Hangs as error:
                self._begin_smaller(error)
                continue
            except (Error, RowRefused) as error:
                if attempt < TRIES and self._comes_again_carefully(error):
                    continue
                if isinstance(error, RowRefused):
                    raise self._failed(error, failing.refused, str(error)) from error
                if self._is_back(error):
                    attempt = 0  # another server answers: all tries again
                    self.pace.troubled()  # or the same one, which ended a batch that took too long
                    continue
                reason = self._reason_to_retry(error, but_not)
                if attempt == TRIES:
                    seconds = time.perf_counter() - began
                    raise self._never_through(error, seconds, reason) from error
            self.pace.troubled()
            time.sleep(_pause(attempt) / timedelta(seconds=1))

    def passes(self, error: Error) -> bool:
        """Whether the same may succeed later: on another connection, or when others are done."""
        return self.server.is_lost(error) or self.server.retry_reason(error) is not None

    def _once(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except RowRefused:
            raise
        except BudgetSpent as why:
            raise self._failed(why, failing.spent, str(why)) from why
        except RowsRefused as why:
            raise self._failed(why, failing.refused, str(why)) from why
        except WhereStays as why:
            raise self._failed(why, failing.where_stays, why.args[0]) from why

    def _comes_again_carefully(self, error: Exception) -> bool:
        """Whether the batch is tried again with the rows that it fails for set aside."""
        aside = self.aside
        if aside is None or not aside.budget or not is_about_rows(error, self.server):
            return False
        self.pace.careful()
        aside.careful = True
        return True

    def _is_back(self, error: Exception) -> bool:
        """
        Whether the connection was lost and there is a new one: the server restarted or moved.

        The batch in work was rolled back, or committed together with its cursor: either way the
        next one begins where the state says.
        """
        if not self.retries or not self.server.is_lost(error) or self.losses >= MOST_LOSSES:
            return False
        self.losses += 1
        said = self.server.said(error).rstrip(".")
        say(f"{self.table}: the connection was lost ({said}); connecting again")
        return self._reconnected()

    def _reconnected(self) -> bool:
        until = time.monotonic() + RECONNECT / timedelta(seconds=1)
        while time.monotonic() < until:
            try:
                self.server.connect_again(self.session)
            except Error:
                time.sleep(RECONNECT_PAUSE / timedelta(seconds=1))
            else:
                return True
        return False

    def _begin_smaller(self, error: Hangs) -> None:
        """
        After a call that was given up: its connection is closed.

        Raises:  BackfillFailed: it was given up for a single row too, or the server is away.
        """
        if self.pace.rows <= 1:
            raise self._failed(error, failing.hangs, str(error))
        if not self._reconnected():
            said = f"{error}, and no server answers since its rows were let go"
            raise failing.lost(self.table, said, self.place.rows_done) from error
        self.pace.hung()
        say(f"{self.table}: {error}; its rows were let go, again with {self.pace.rows:,} rows")

    def _reason_to_retry(self, error: Error, but_not: frozenset[str]) -> str:
        """
        Return why another try may succeed.

        Raises:  BackfillFailed: it may not.
        """
        said = self.server.said(error)
        if self.retries and self.server.is_lost(error):
            self.connection.close()  # Django's next query opens a new one
            raise failing.lost(self.table, said, self.place.rows_done) from error
        reason = self.server.retry_reason(error) if self.retries else None
        sqlstate = self.server.sqlstate(error)
        if reason is None or sqlstate in but_not:
            kind = type(error).__name__
            remedy = self.server.remedy(error)
            raise self._failed(error, failing.broken, kind, sqlstate, said, remedy) from error
        return reason

    def _never_through(self, error: Error, seconds: float, reason: str) -> BackfillFailed:
        if remedy := self.server.remedy(error):
            said = self.server.said(error)
            return self._failed(error, failing.lacking, TRIES, seconds, f"{reason}: {said}", remedy)
        return self._failed(error, failing.blocked, TRIES, seconds, reason, self._blockers())

    def held_back(self, deadline: timedelta, why: str) -> BackfillFailed:
        """Write down that the run failed at that, and return it worded."""
        return self._failed(HeldBack(why), failing.held_back, deadline, why)

    def refused(self, error: Exception, why: str) -> BackfillFailed:
        """Write down that the run failed at what the project's own code did."""
        return self._failed(error, failing.refused, why)

    def _failed(
        self, error: Exception, text: Callable[..., BackfillFailed], *values: Any
    ) -> BackfillFailed:
        """Write the failure down and return it worded; its transaction is rolled back already."""
        words = None
        if self.place.end is not None:
            words = self._batch_words(self.place.end)
        if self.retries:
            with suppress(Error), transaction.atomic(using=self.connection.alias, durable=True):
                self._write_down(error)
        kept = failing.stays(self.place.rows_done, words, own=self.retries)
        return text(self.table, *values, kept)

    def _write_down(self, error: Exception) -> None:
        self.server.begin_looking(timedelta(seconds=5))
        run = self.store.latest(self.key)
        if run is not None and run.state == store.RUNNING:
            run.state = states.after(run.state, Event.FAIL)
            run.error = f"{type(error).__name__} {self.server.sqlstate(error)}".strip()
            self.store.save(run, "state", "error")

    def _batch_words(self, end: Key) -> str:
        """Return the batch's keys, from the first one that is in it."""
        if self.retries:
            with suppress(Error), looking(self.connection, self.server):
                first = self.keys.first(self.place.after)
                return f"{self.keys.say(first)}..{self.keys.say(end)}"
        return f"up to {self.keys.say(end)}"

    def _blockers(self) -> list[str]:
        with suppress(Error):
            return self.server.blockers(self.table, store.STATE_TABLE)
        return []


def _pause(attempt: int) -> timedelta:
    """Return twice as long each time, spread by half each way so that two do not meet again."""
    longest = min(FIRST_PAUSE * float(2 ** (attempt - 1)), LONGEST_PAUSE)
    return longest * (0.5 + random.random())  # noqa: S311  (no secret)
