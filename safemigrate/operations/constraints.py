"""Constraints of existing tables: added and dropped while reads and writes go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.models import CheckConstraint, UniqueConstraint

from safemigrate.facts.errors import WrongOperation
from safemigrate.facts.phases import Phase
from safemigrate.operations.base import Postponable, SafeOperation, Way

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState
    from django.db.models import BaseConstraint


class _AddConstraint(SafeOperation, migrations.AddConstraint):
    """One that ``Backend.add_constraint`` can add; the subclass says when."""

    kind: type[BaseConstraint]

    def __init__(self, model_name: str, constraint: BaseConstraint) -> None:
        if not isinstance(constraint, self.kind):
            raise WrongOperation(
                f"{type(self).__name__} cannot add {constraint!r}.",
                do=f"Give it a {self.kind.__name__}.",
            )
        super().__init__(model_name, constraint)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name):
            model = state.models[app_label, self.model_name_lower]
        plain = (*getattr(self.constraint, "fields", ()), *getattr(self.constraint, "include", ()))
        for name in plain:
            with self._found(app_label, self.model_name, name):
                model.get_field(name)
        super().state_forwards(app_label, state)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.add_constraint(way.editor, model, self.constraint)

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.drop_constraint(way.editor, model, self.constraint)

    def reduce(self, operation: Any, app_label: str) -> Any:
        same = (
            isinstance(operation, migrations.AlterConstraint | migrations.RemoveConstraint)
            and operation.model_name_lower == self.model_name_lower
            and operation.name == self.constraint.name
        )
        if same and isinstance(operation, migrations.AlterConstraint):
            # until 6.0: the stock reduce answers with a plain AddConstraint.
            return [type(self)(self.model_name, operation.constraint)]
        return super().reduce(operation, app_label)


class AddUniqueConstraintConcurrently(_AddConstraint):
    """
    Add a ``UniqueConstraint`` of any kind while reads and writes go on.

    Its unique index is built first. Where Django makes a constraint (fields alone), the finished
    index becomes it; with a condition, expressions, opclasses or ``include`` the index is all.

    Locks:   PostgreSQL SHARE UPDATE EXCLUSIVE for the build; ACCESS EXCLUSIVE for an instant to
             make the index the constraint.
    Re-run:  does what is missing; drops and rebuilds an index left INVALID.
    Back:    drops the constraint, or its index concurrently.
    Raises:  NeedsAutocommit; DataInTheWay for duplicates, with the query to find them;
             DeadlinePassed; UnsupportedDatabase for ``nulls_distinct`` before PostgreSQL 15.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-ADD-TABLE-CONSTRAINT-USING-INDEX
    """

    phase = Phase.EXPAND
    kind = UniqueConstraint

    def __init__(self, model_name: str, constraint: UniqueConstraint) -> None:
        super().__init__(model_name, constraint)

    def describe(self) -> str:
        return f"Make {self.constraint.name} unique on {self.model_name}, concurrently"


class AddCheckConstraint(_AddConstraint):
    """
    Add a ``CheckConstraint`` while reads and writes go on.

    It is a contract: older code may still write rows that break it.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant to add it NOT VALID, SHARE UPDATE
             EXCLUSIVE while it is validated.
    Re-run:  validates what was left NOT VALID; does nothing if it is valid.
    Back:    drops it.
    Raises:  NeedsAutocommit; DataInTheWay with the count of rows that break it and the query to
             find them, before it is added; DeadlinePassed.
    Source:  https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-VALIDATE-CONSTRAINT
    """

    phase = Phase.CONTRACT
    kind = CheckConstraint

    def __init__(self, model_name: str, constraint: CheckConstraint) -> None:
        super().__init__(model_name, constraint)

    def describe(self) -> str:
        return f"Check {self.constraint.name} on every row of {self.model_name}"


class DropConstraint(Postponable, migrations.RemoveConstraint):
    """
    Drop a CHECK or unique constraint, before newer code breaks it.

    With ``after_rollout`` it is a contract and waits until no older code is alive.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing; for a unique
             constraint that is an index alone, SHARE UPDATE EXCLUSIVE.
    Re-run:  does nothing if it is gone.
    Back:    adds it again: unique concurrently, CHECK by NOT VALID and VALIDATE.
    Raises:  NeedsAutocommit; PlanRefused if a foreign key rests on it; backwards DataInTheWay.
    """

    phase = Phase.EXPAND

    def __init__(self, model_name: str, name: str, after_rollout: bool = False) -> None:
        self._wait(after_rollout)
        super().__init__(model_name, name)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        self._option(app_label, state, self.model_name, "constraints", self.name)
        super().state_forwards(app_label, state)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.drop_constraint(way.editor, model, self._constraint(way.app_label, way.before))

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.add_constraint(way.editor, model, self._constraint(way.app_label, way.after))

    def check_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, before: ProjectState
    ) -> None:
        model = self._model(app_label, before, self.model_name)
        if backend := self._backend(schema_editor, model):
            backend.refuse_breaches(schema_editor, model, self._constraint(app_label, before))

    def _constraint(self, app_label: str, state: ProjectState) -> Any:
        return self._option(app_label, state, self.model_name, "constraints", self.name)

    def describe(self) -> str:
        return f"Drop constraint {self.name} of {self.model_name}"


class AlterUniqueTogetherConcurrently(SafeOperation, migrations.AlterUniqueTogether):
    """
    Change ``unique_together`` while reads and writes go on: what came is built, what went dropped.

    Locks:   PostgreSQL SHARE UPDATE EXCLUSIVE for each build; ACCESS EXCLUSIVE for an instant to
             make it the constraint, and to drop one.
    Re-run:  does what is missing.
    Back:    the same, the other way round.
    Raises:  NeedsAutocommit; DataInTheWay for duplicates; DeadlinePassed.
    """

    phase = Phase.EXPAND

    def __init__(self, name: str, unique_together: Any) -> None:
        super().__init__(name, unique_together)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.name):
            model = state.models[app_label, self.name_lower]
        for names in self.option_value or ():
            for name in names:
                with self._found(app_label, self.name, name):
                    model.get_field(name)
        super().state_forwards(app_label, state)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.name)
        if backend := self._backend(way.editor, model):
            old = self._model(way.app_label, way.before, self.name)._meta.unique_together
            backend.alter_unique_together(way.editor, model, old, model._meta.unique_together)

    def backwards(self, way: Way) -> None:
        self.forwards(way)

    def check_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, before: ProjectState
    ) -> None:
        model = self._model(app_label, before, self.name)
        now = {tuple(names) for names in self.option_value or ()}
        back = {tuple(names) for names in model._meta.unique_together} - now
        if backend := self._backend(schema_editor, model):
            for names in sorted(back):
                again = UniqueConstraint(fields=names, name=", ".join(names))
                backend.refuse_breaches(schema_editor, model, again)

    def describe(self) -> str:
        return f"Change unique_together of {self.name}, concurrently"
