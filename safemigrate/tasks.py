"""
Where Celery looks for the tasks of an app (``autodiscover_tasks``).

Others look for a module of this name too, and they need not have Celery.
"""

from contextlib import suppress

from safemigrate.facts import settings
from safemigrate.facts.errors import WrongSettings

_kind = ""
with suppress(WrongSettings):  # a check reports it; it must not end a worker
    _kind = settings.current().backfill_queue.partition(":")[0]
if _kind == "celery":
    from safemigrate.queues.on_celery import help_with_backfill  # noqa: F401  (registered by that)
