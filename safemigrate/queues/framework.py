"""Django's tasks framework: ``django.tasks``, or its backport ``django_tasks``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any, TypeVar, cast

import django
from django.utils import timezone

from safemigrate.facts import settings
from safemigrate.facts.errors import QueueUnusable
from safemigrate.queues import helping
from safemigrate.queues.base import refused

F = TypeVar("F", bound=Callable[..., Any])

# until 6.0: Django itself has none
tasks = import_module("django.tasks" if django.VERSION >= (6, 0) else "django_tasks")


def _queue_name() -> dict[str, str]:
    """A task is checked against the backend's QUEUES where it is defined."""
    name = settings.current().backfill_queue.partition(":")[2]
    return {"queue_name": name} if name else {}


def _task(function: F) -> F:
    return cast("F", tasks.task(**_queue_name())(function))


@_task
def help_with_backfill(run_id: int, alias: str) -> str:
    """What a worker runs."""
    return helping.help_with(run_id, alias, by=Framework())


class Framework:
    """The backend ``default`` of ``TASKS``."""

    def __init__(self, name: str = "django-tasks") -> None:
        self.name = name
        backend = tasks.task_backends["default"]
        # By name, for the backport and Django each have classes of these names.
        kinds = {kind.__name__ for kind in type(backend).__mro__}
        if "DummyBackend" in kinds:
            raise QueueUnusable(
                "The backend of TASKS is the DummyBackend, which keeps tasks and runs none.",
                do="Name a backend that has workers in TASKS, such as django_tasks_db's.",
            )
        self.at_once = "ImmediateBackend" in kinds
        self.defers = bool(backend.supports_defer)

    def send(self, run_id: int, alias: str, *, after: timedelta | None = None) -> None:
        task: Any = help_with_backfill
        try:
            if after is not None:
                task = task.using(run_after=timezone.now() + after)
            task.enqueue(run_id, alias)
        except Exception as error:
            raise refused(self.name, error) from error  # whatever a backend raises


def queue(name: str, queue_name: str) -> Framework:
    return Framework(name)
