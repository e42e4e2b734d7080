"""Indexes and constraints that get another name, or the name of one that goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.operations.models import IndexOperation
from django.db.migrations.state import ProjectState

from safemigrate.backends.fields import named
from safemigrate.facts.phases import Phase
from safemigrate.operations.base import Postponable, SafeOperation, Way

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Index

_ADD = {"indexes": ProjectState.add_index, "constraints": ProjectState.add_constraint}
_REMOVE = {"indexes": ProjectState.remove_index, "constraints": ProjectState.remove_constraint}


class _Naming(SafeOperation, IndexOperation):
    """``option_name``: where in ``Meta`` the things are that it names."""

    category = OperationCategory.ALTERATION
    model_name: str

    def _thing(self, app_label: str, state: ProjectState, name: str) -> Any:
        return self._option(app_label, state, self.model_name, self.option_name, name)

    def _remove(self, app_label: str, state: ProjectState, *names: str) -> None:
        for name in names:
            _REMOVE[self.option_name](state, app_label, self.model_name_lower, name)

    def _add(self, app_label: str, state: ProjectState, thing: Any) -> None:
        _ADD[self.option_name](state, app_label, self.model_name_lower, thing)

    def _instead(self, thing: Any, *gone: str) -> list[Operation]:
        """Django's own operations that remove ``gone`` and add ``thing``."""
        if self.option_name == "indexes":
            removals = [migrations.RemoveIndex(self.model_name, name) for name in gone]
            return [*removals, migrations.AddIndex(self.model_name, thing)]
        dropped = [migrations.RemoveConstraint(self.model_name, name) for name in gone]
        return [*dropped, migrations.AddConstraint(self.model_name, thing)]


class AlterIndex(IndexOperation):
    """
    Tell the state alone that an index is defined in other words, as AlterConstraint does.

    For an index over a field that was renamed: what renames the column sees to the database.
    """

    category = OperationCategory.ALTERATION
    option_name = "indexes"

    def __init__(self, model_name: str, name: str, index: Index) -> None:
        self.model_name, self.name, self.index = model_name, name, index

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        state.remove_index(app_label, self.model_name.lower(), self.name)
        state.add_index(app_label, self.model_name.lower(), self.index)

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """The database is as it shall be."""

    database_backwards = database_forwards

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        kwargs = {"model_name": self.model_name, "name": self.name, "index": self.index}
        return type(self).__name__, [], kwargs

    def plain(self, app_label: str, before: ProjectState) -> list[Operation]:
        remove = migrations.RemoveIndex(self.model_name, self.name)
        return [remove, migrations.AddIndex(self.model_name, self.index)]

    def describe(self) -> str:
        return f"Alter index {self.name} of {self.model_name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"alter_{self.model_name.lower()}_{self.name.lower()}"


class _Rename(_Naming):
    needs_autocommit = False
    old_name: Any
    new_name: str

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        names = {"new_name": self.new_name, "old_name": self.old_name}
        return type(self).__name__, [], {"model_name": self.model_name, **names}

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        old = self._thing(app_label, state, self.old_name)
        self._remove(app_label, state, self.old_name)
        self._add(app_label, state, named(old, self.new_name))

    def forwards(self, way: Way) -> None:
        self._rename(way, self.old_name, self.new_name)

    def backwards(self, way: Way) -> None:
        self._rename(way, self.new_name, self.old_name)

    def _rename(self, way: Way, old_name: str, new_name: str) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            old = self._thing(way.app_label, way.before, old_name)
            new = self._thing(way.app_label, way.after, new_name)
            backend.rename(way.editor, model, old, new)

    def reduce(self, operation: Any, app_label: str) -> Any:
        # The stock reduce of RenameIndex answers with a plain one, which has no phase.
        return super(IndexOperation, self).reduce(operation, app_label)


class RenameIndex(Postponable, _Rename, migrations.RenameIndex):
    """
    Give an index another name at a chosen moment.

    Django's own does the same before the rollout; with ``after_rollout`` this is a contract.

    Locks:   PostgreSQL SHARE UPDATE EXCLUSIVE for an instant, which no query waits for.
    Re-run:  does nothing if the index has its new name.
    Back:    the old name.
    Source:  https://www.postgresql.org/docs/current/sql-alterindex.html
    """

    phase = Phase.EXPAND
    option_name = "indexes"

    def __init__(
        self, model_name: str, new_name: str, old_name: str, after_rollout: bool = False
    ) -> None:
        self._wait(after_rollout)
        super().__init__(model_name, new_name, old_name)


class RenameConstraint(Postponable, _Rename):
    """
    Give a constraint another name.

    With ``after_rollout`` it is a contract.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing; SHARE UPDATE
             EXCLUSIVE for a unique constraint that is an index alone.
    Re-run:  does nothing if it has its new name.
    Back:    the old name.
    """

    phase = Phase.EXPAND
    option_name = "constraints"

    def __init__(
        self, model_name: str, new_name: str, old_name: str, after_rollout: bool = False
    ) -> None:
        self.model_name, self.new_name, self.old_name = model_name, new_name, old_name
        self._wait(after_rollout)

    def plain(self, app_label: str, before: ProjectState) -> list[Operation]:
        old = self._thing(app_label, before, self.old_name)
        return self._instead(named(old, self.new_name), self.old_name)

    def describe(self) -> str:
        return f"Rename constraint {self.old_name} of {self.model_name} to {self.new_name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"rename_{self.old_name.lower()}_{self.new_name.lower()}"[:60]


class _Replace(_Naming):
    def __init__(self, model_name: str, name: str, by: str) -> None:
        self.model_name, self.name, self.by = model_name, name, by

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        names = {"model_name": self.model_name, "name": self.name, "by": self.by}
        return type(self).__name__, [], names

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        _, new = self._both(app_label, state)
        self._remove(app_label, state, self.name, self.by)
        self._add(app_label, state, named(new, self.name))

    def plain(self, app_label: str, before: ProjectState) -> list[Operation]:
        _, new = self._both(app_label, before)
        return self._instead(named(new, self.name), self.name, self.by)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.replace(way.editor, model, *self._both(way.app_label, way.before))

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            backend.put_back(way.editor, model, *self._both(way.app_label, way.after))

    def _both(self, app_label: str, state: ProjectState) -> tuple[Any, Any]:
        old = self._thing(app_label, state, self.name)
        return old, self._thing(app_label, state, self.by)

    @property
    def migration_name_fragment(self) -> str:
        return f"replace_{self.model_name_lower}_{self.name.lower()}"[:60]


class ReplaceIndex(Postponable, _Replace):
    """
    Replace the index ``name`` by the one called ``by``, which takes its name.

    It is a contract, as RemoveIndexConcurrently is; ``after_rollout=False`` makes it an expand.

    Locks:   PostgreSQL SHARE UPDATE EXCLUSIVE for an instant, and to drop the old one.
    Re-run:  does nothing if ``by`` has the name already; drops what is left of the old one.
    Back:    builds the old one concurrently, then both have their own names again.
    Raises:  NeedsAutocommit in a migration without ``atomic = False``.
    """

    phase = Phase.CONTRACT
    option_name = "indexes"

    def __init__(self, model_name: str, name: str, by: str, after_rollout: bool = True) -> None:
        super().__init__(model_name, name, by)
        self._wait(after_rollout)

    def describe(self) -> str:
        return f"Replace index {self.name} of {self.model_name} by the new one"


class ReplaceConstraint(Postponable, _Replace):
    """
    Replace the unique constraint ``name`` by the one called ``by``, which takes its name.

    With ``after_rollout`` it is a contract and waits until no older code is alive.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing; SHARE UPDATE
             EXCLUSIVE to drop an index.
    Re-run:  does nothing if ``by`` has the name already; drops what is left of the old one.
    Back:    builds the old one concurrently, then both have their own names again.
    Raises:  NeedsAutocommit; PlanRefused if a foreign key rests on it; backwards DataInTheWay.
    """

    phase = Phase.EXPAND
    option_name = "constraints"

    def __init__(self, model_name: str, name: str, by: str, after_rollout: bool = False) -> None:
        super().__init__(model_name, name, by)
        self._wait(after_rollout)

    def check_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, before: ProjectState
    ) -> None:
        model = self._model(app_label, before, self.model_name)
        if backend := self._backend(schema_editor, model):
            # The other one may come with the same migration, and so not be there before.
            old = self._thing(app_label, before, self.name)
            backend.refuse_breaches(schema_editor, model, old)

    def describe(self) -> str:
        return f"Replace constraint {self.name} of {self.model_name} by the new one"
