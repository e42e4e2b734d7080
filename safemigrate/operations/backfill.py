"""Filling a column of a table that is in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings as django_settings
from django.db.migrations.operations.base import OperationCategory
from django.db.models import Q, QuerySet

from safemigrate import backfill
from safemigrate.backends import backend_for
from safemigrate.backends.base import project_settings
from safemigrate.facts.errors import WrongOperation
from safemigrate.facts.phases import Phase
from safemigrate.facts.progress import say
from safemigrate.operations.base import SafeOperation, Way

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.state import ProjectState


class BatchedBackfill(SafeOperation):
    """
    Fill fields of all rows in short transactions, resumable, while the table is in use.

    ``values``: field name -> expression, constant, or a Python callable called once per row.
    ``function``, instead: dotted path of ``f(rows) -> list``: for each row, in order, a mapping
    of field name -> value, or None to leave it. ``where``: rows still to be filled; with it the
    end is proved by a query. ``keep_filled``: rows that are inserted with NULL from now on are
    filled by a trigger, until SetNotNull or StopFilling; ``"always"``: also rows that are set to
    NULL, by older code that knows the field. ``after_rollout``: relies on new code
    writing the field, so ``migrate`` runs it at the next release, or ``--phase backfill`` now.
    ``rate``: at most so many rows per second; ``workers``: so many connections share the table.
    ``error_budget``: rows that fail are set aside, up to so many; contracts wait until they are
    filled. None is ``SAFEMIGRATE["ERROR_BUDGET"]``, 0 stops at the first one.
    ``background``: ``migrate`` only asks for it, ``safemigrate backfills run`` or the task queue
    of ``BACKFILL_QUEUE`` does it, and contracts wait for its end. Done at once where nothing is
    held back.

    Locks:   row locks for one batch, about ``SAFEMIGRATE["BATCH_DURATION"]``.
    Re-run:  goes on after the last batch that was committed.
    Back:    ends keeping it filled; what was filled stays.
    Raises:  NeedsAutocommit; BackfillFailed saying what is done and where it stopped.
    """

    phase = Phase.BACKFILL
    category = OperationCategory.PYTHON

    def __init__(
        self,
        model_name: str,
        values: Mapping[str, Any] | None = None,
        where: Q | None = None,
        function: str | None = None,
        batch_rows: int | None = None,
        keep_filled: bool | Literal["always"] = False,
        after_rollout: bool = False,
        rate: int | None = None,
        workers: int | None = None,
        error_budget: int | None = None,
        background: bool = False,
    ) -> None:
        self.model_name = model_name
        self.values = values
        self.where = where
        self.function = function
        self.batch_rows = batch_rows
        self.keep_filled = keep_filled
        self.after_rollout = after_rollout
        self.rate = rate
        self.workers = workers
        self.error_budget = error_budget
        self.background = background

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        given = {
            "values": self.values,
            "where": self.where,
            "function": self.function,
            "batch_rows": self.batch_rows,
            "keep_filled": self.keep_filled or None,
            "after_rollout": self.after_rollout or None,
            "rate": self.rate,
            "workers": self.workers,
            "error_budget": self.error_budget,
            "background": self.background or None,
        }
        kwargs = {name: value for name, value in given.items() if value is not None}
        return type(self).__name__, [], {"model_name": self.model_name, **kwargs}

    @property
    def model_name_lower(self) -> str:
        return self.model_name.lower()

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name):
            state.models[app_label, self.model_name_lower]

    def work(self, app_label: str, state: ProjectState) -> backfill.Backfill:
        """What is to be done, checked without a database."""
        task = backfill.Backfill(
            model=self._model(app_label, state, self.model_name),
            values=self.values,
            function=self.function,
            where=self.where,
            batch_rows=self.batch_rows,
            batch_target=project_settings().batch_duration,
            rate=self.rate,
            workers=self.workers,
            error_budget=self._error_budget(),
        )
        backfill.check(task)
        if self.keep_filled not in (True, False, "always"):
            raise WrongOperation(
                f"A backfill of {task.model._meta.label} has keep_filled={self.keep_filled!r}.",
                do='Give True, "always", or leave it out.',
            )
        return task

    def _error_budget(self) -> int:
        given = self.error_budget
        return project_settings().error_budget if given is None else given

    def forwards(self, way: Way) -> None:
        task = self.work(way.app_label, way.after)
        backend = self._backend(way.editor, task.model)
        if backend is None:
            return
        if self.keep_filled:
            updates = self.keep_filled == "always"
            backend.keep_filled(way.editor, task.model, self.values or {}, updates=updates)
        if way.editor.collect_sql:
            backfill.show(way.editor, task)
        elif self.background and self._may_wait(way, task):
            self._ask_for(way, task)
        else:
            self.fill(way.app_label, way.editor.connection, task)

    def fill(
        self, app_label: str, connection: BaseDatabaseWrapper, task: backfill.Backfill
    ) -> None:
        """Do the work now, whoever was to do it."""
        backfill.run(
            connection,
            task,
            key=self.key(app_label, task),
            allow_atomic=not backend_for(connection).commits_by_itself,
        )

    def _may_wait(self, way: Way, task: backfill.Backfill) -> bool:
        """Whether a contract would wait for it: else the work must be done when migrate ends."""
        connection = way.editor.connection
        return (
            project_settings().hold_contract
            and not django_settings.DEBUG
            and backend_for(connection).commits_by_itself
            and QuerySet(task.model, using=connection.alias).exists()
        )

    def _ask_for(self, way: Way, task: backfill.Backfill) -> None:
        run_id = backfill.enqueue(way.editor.connection, task, key=self.key(way.app_label, task))
        if run_id is None:
            return
        if project_settings().backfill_queue:
            say(f"{task.table}: backfill {run_id} is for the task queue, which is asked at the end")
        else:
            say(
                f"{task.table}: backfill {run_id} waits for a worker: "
                f"manage.py safemigrate backfills run {run_id}"
            )

    def backwards(self, way: Way) -> None:
        task = self.work(way.app_label, way.after)
        backend = self._backend(way.editor, task.model)
        if backend is None:
            return
        if self.keep_filled:
            backend.stop_filling(way.editor, task.model, list(self.values or {}))
        if not way.editor.collect_sql:
            backfill.forget(way.editor.connection, self.key(way.app_label, task))

    def key(self, app_label: str, task: backfill.Backfill) -> str:
        return backfill.key_for(app_label, self.model_name_lower, backfill.fingerprint(task))

    def describe(self) -> str:
        what = ", ".join(self.values) if self.values else f"by {self.function}"
        return f"Fill {self.model_name} ({what}) in batches"

    @property
    def migration_name_fragment(self) -> str:
        fields = "_".join(self.values) if self.values else str(self.function).rpartition(".")[2]
        return f"{self.model_name_lower}_{fields}_backfill".lower()


class StopFilling(SafeOperation):
    """
    End what ``BatchedBackfill(keep_filled=True)`` began, for a column that may stay NULL.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does nothing if the trigger is gone.
    Back:    nothing: only code that knows the field is running.
    """

    phase = Phase.CONTRACT
    category = OperationCategory.REMOVAL
    needs_autocommit = False

    def __init__(self, model_name: str, name: str) -> None:
        self.model_name = model_name
        self.name = name

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name, self.name):
            state.models[app_label, self.model_name.lower()].get_field(self.name)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.before, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.stop_filling(way.editor, model, [self.name])

    def backwards(self, way: Way) -> None:
        """The rows are filled and newer code writes the field itself."""

    def describe(self) -> str:
        return f"Stop filling {self.model_name}.{self.name} for older code"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.model_name.lower()}_{self.name.lower()}_stop_filling"
