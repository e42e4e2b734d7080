"""Celery: the project's app, found as ``shared_task`` finds it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import current_app, shared_task

from safemigrate.facts import settings
from safemigrate.facts.errors import QueueUnusable
from safemigrate.queues import helping
from safemigrate.queues.base import refused

NAME = "safemigrate.help_with_backfill"


def _help_with_backfill(run_id: int, alias: str) -> str:
    """What a worker runs."""
    given = settings.current().backfill_queue
    return helping.help_with(run_id, alias, by=queue(given, given.partition(":")[2]))


# Late, because doing it twice does no harm: a message of a worker that is gone comes again.
help_with_backfill: Any = shared_task(name=NAME, acks_late=True, ignore_result=True)(
    _help_with_backfill
)


class OnCelery:
    """The project's Celery app."""

    defers = True

    def __init__(self, name: str, queue_name: str) -> None:
        self.name, self._queue_name = name, queue_name
        if current_app.main == "default" and not current_app.set_as_current:
            raise QueueUnusable(
                "Celery is installed, and this project has no Celery app.",
                do="Import the app in the __init__.py beside settings.py, as Celery's "
                '"First steps with Django" says.',
            )
        self.at_once = bool(current_app.conf.task_always_eager)

    def send(self, run_id: int, alias: str, *, after: timedelta | None = None) -> None:
        options: dict[str, Any] = {"queue": self._queue_name} if self._queue_name else {}
        if after is not None:
            options["countdown"] = after.total_seconds()
        try:
            # No retries: whoever sends it is a deploy, or a worker that has other tasks.
            help_with_backfill.apply_async((run_id, alias), retry=False, **options)
        except Exception as error:
            raise refused(self.name, error) from error  # whatever a broker's client raises


def queue(name: str, queue_name: str) -> OnCelery:
    return OnCelery(name, queue_name)
