"""The body of a task: one shift at a run, and what follows from how it ended."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from django.db import connections
from django.utils import timezone

from safemigrate.facts import settings
from safemigrate.facts.errors import OtherCode, QueueUnusable, SafeMigrateError
from safemigrate.facts.progress import heard_by

if TYPE_CHECKING:
    from safemigrate.queues.base import Queue

ROLLOUT = timedelta(hours=1)
"""How long a run waits for workers of the release that asked for it: ``migrate`` comes first."""
LATER = timedelta(seconds=30)
PAUSE = timedelta(seconds=5)  # of a worker whose queue cannot send for later

log = logging.getLogger("safemigrate.backfill")


class Then(Enum):
    """What a task does as its last thing."""

    END = "end"
    AGAIN = "send itself again"
    LATER = "send itself again for later"


def after_shift(*, again: bool) -> Then:
    return Then.AGAIN if again else Then.END


def after_other_code(age: timedelta) -> Then:
    """The workers are still of the release before, or of it again: the first does not last."""
    return Then.LATER if age < ROLLOUT else Then.END


def help_with(run_id: int, alias: str, *, by: Queue) -> str:
    """
    Work on a run for ``BACKFILL_SHIFT``, and return what became of it.

    Raises:  BackfillFailed: what this worker failed at.
    """
    from safemigrate.backfill import Shift, control
    from safemigrate.executor import backfills

    connection = connections[alias]
    found = control.seen(connection, run_id)
    if not found:
        return f"backfill {run_id} is gone"
    [run] = found
    shift = Shift(settings.current().backfill_shift)
    try:
        with heard_by(_heard):
            helped = backfills.help_with(connection, run, shift)
    except OtherCode as error:
        then = after_other_code(timezone.now() - run.started)
        _do(then, run_id, alias, by)
        return f"{error.what} The task: {then.value}."
    except SafeMigrateError as error:
        # Queues keep tracebacks, and the driver's words in this one's would have a row's values.
        raise error from None
    then = after_shift(again=helped.again)
    _do(then, run_id, alias, by)
    return (
        f"{helped.rows:,} rows filled; backfill {run_id} is {helped.state}. The task: {then.value}."
    )


def _do(then: Then, run_id: int, alias: str, by: Queue) -> None:
    try:
        _send(then, run_id, alias, by)
    except QueueUnusable as error:
        raise error from None  # as above, and a client's words may have a part of an address


def _send(then: Then, run_id: int, alias: str, by: Queue) -> None:
    if then is Then.END:
        return
    if then is Then.AGAIN:
        by.send(run_id, alias)
    elif by.defers:
        by.send(run_id, alias, after=LATER)
    else:
        time.sleep(PAUSE / timedelta(seconds=1))
        by.send(run_id, alias)


def _heard(line: str, passing: bool) -> None:
    if not passing:
        log.info(line)
