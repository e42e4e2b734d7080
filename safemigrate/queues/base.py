"""Which queue the settings name, and what a queue is to us: it takes the name of a run."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Protocol

from safemigrate.facts import settings
from safemigrate.facts.errors import QueueUnusable


class Queue(Protocol):
    """
    A task queue.

    Shape:   name: as in the settings. at_once: a task runs where it is sent, before that returns.
             defers: a task can be sent for later.
    """

    name: str
    at_once: bool
    defers: bool

    def send(self, run_id: int, alias: str, *, after: timedelta | None = None) -> None:
        """
        Send one task. The message has the run's id and its database, nothing of the work.

        Raises:  QueueUnusable.
        """


# Imported when the settings name them: neither is needed by those that have another queue.
_HOME = {"django-tasks": "safemigrate.queues.framework", "celery": "safemigrate.queues.on_celery"}
_PACKAGE = {"django-tasks": "django-tasks", "celery": "celery"}


def configured() -> Queue | None:
    """
    Return the queue that ``BACKFILL_QUEUE`` names, None if it names none.

    Raises:  QueueUnusable: it is not installed, or not set up.
    """
    given = settings.current().backfill_queue
    if not given:
        return None
    kind, _, queue_name = given.partition(":")
    try:
        module = import_module(_HOME[kind])
    except ImportError as error:
        raise QueueUnusable(
            f'SAFEMIGRATE["BACKFILL_QUEUE"] is {given!r}, and that cannot be imported: {error}.',
            do=f"Install it: pip install {_PACKAGE[kind]}.",
        ) from error
    except Exception as error:  # settings of the framework that do not fit each other
        raise refused(given, error) from error
    try:
        queue: Queue = module.queue(given, queue_name)
    except QueueUnusable:
        raise
    except Exception as error:  # some are read only when they are asked for
        raise refused(given, error) from error
    return queue


def refused(name: str, error: Exception) -> QueueUnusable:
    said = " ".join(str(error).split()).rstrip(".") or "it gave no reason"
    if isinstance(error, ValueError):
        said = "its words may have a part of the broker's URL and are not shown"
    return QueueUnusable(
        f"The task queue {name} did not take a task: {type(error).__name__}: {said}.",
        do="See that it is set up and can be reached.",
    )
