"""What all our operations share: the phase, the look before the act, and clear refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import FieldDoesNotExist
from django.db import migrations
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.operations.fields import FieldOperation
from django.utils.inspect import get_func_args

from safemigrate.backends import Backend, backend_for
from safemigrate.facts.errors import NeedsAutocommit, WrongOperation
from safemigrate.facts.phases import IRREVERSIBLE, Phase

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState
    from django.db.models import Field, Model


@dataclass(frozen=True)
class Way:
    """One way of an operation, there or back: what Django hands to its database half."""

    app_label: str
    editor: BaseDatabaseSchemaEditor
    before: ProjectState
    after: ProjectState


class SafeOperation(Operation):
    """
    An operation that says its phase, can be run again, and holds no lock for long.

    ``needs_autocommit``: it commits by itself, so its migration needs ``atomic = False``.
    ``back``: None if ``database_backwards`` undoes it, else why that cannot be.
    """

    phase: Phase
    needs_autocommit: bool = True
    back: ClassVar[IRREVERSIBLE | None] = None

    def plain(self, app_label: str, before: ProjectState) -> list[Operation]:
        """
        Django's own operations that lead to the same state, and to the same schema at the end.

        For a table that nobody uses: what squashmigrations writes. Those of the class that it is
        made of; none if it changes no state. ``before``: the state, not rendered.
        """
        for cls in type(self).__mro__:
            if getattr(migrations, cls.__name__, None) is cls:
                names = get_func_args(cls.__init__)[1:]  # without self
                return [cls(**{name: getattr(self, name) for name in names})]
        return []

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self.forwards(Way(app_label, schema_editor, from_state, to_state))

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self.backwards(Way(app_label, schema_editor, from_state, to_state))

    def forwards(self, way: Way) -> None:
        raise NotImplementedError

    def backwards(self, way: Way) -> None:
        raise NotImplementedError

    def check_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, before: ProjectState
    ) -> None:
        """
        Raise if ``database_backwards`` would fail for reasons in the data; change nothing.

        Asked of all operations before the first one of a migration is undone, since one that
        commits step by step could not be put back. ``before``: the state it goes back to.
        """

    def _backend(
        self, schema_editor: BaseDatabaseSchemaEditor, model: type[Model]
    ) -> Backend | None:
        """The backend to work with, or None where a router keeps this model out."""
        connection = schema_editor.connection
        if not self.allow_migrate_model(connection.alias, model):
            return None
        backend = backend_for(connection)
        if schema_editor.collect_sql:
            backend.follow(schema_editor)
        elif self.needs_autocommit and backend.in_transaction and backend.commits_by_itself:
            raise NeedsAutocommit(
                f"{type(self).__name__} on {model._meta.label} commits step by step, "
                "but its migration is one transaction.",
                do="Set atomic = False on the Migration class, and keep RunPython and other "
                "operations of one transaction in a migration of their own.",
            )
        return backend

    def _model(self, app_label: str, state: ProjectState, model_name: str) -> type[Model]:
        with self._found(app_label, model_name):
            return state.apps.get_model(app_label, model_name)

    def _field(self, model: type[Model], name: str) -> Field[Any, Any]:
        with self._found(model._meta.app_label, model.__name__, name):
            return model._meta.get_field(name)  # type: ignore[return-value]  # no operation names a relation

    def _option(
        self, app_label: str, state: ProjectState, model_name: str, option: str, name: str
    ) -> Any:
        """The index or the constraint of that name in ``Meta``."""
        with self._found(app_label, model_name):
            things = state.models[app_label, model_name.lower()].options[option]
        with self._found(app_label, model_name, name):
            found = next((thing for thing in things if thing.name == name), None)
            if found is None:
                raise LookupError(name)
        return found

    @contextmanager
    def _found(self, app_label: str, model_name: str, name: str = "") -> Iterator[None]:
        """Turn a look-up that fails into an error that says which operation asked for what."""
        try:
            yield
        except (LookupError, FieldDoesNotExist) as error:
            what = f"{app_label}.{model_name}" + (f".{name}" if name else "")
            raise WrongOperation(
                f"{type(self).__name__} names {what}, which is not there at this point of the "
                "migrations.",
                do="Correct the name, or add the missing migration to its dependencies.",
            ) from error


class Postponable(SafeOperation):
    """
    An operation that can wait until no older code is alive; ``after_rollout`` says whether.

    ``phase`` of the class is what it is unasked, ``before_rollout`` what it is when it need not
    wait. The argument is written into a file where it says something else than the class.
    """

    before_rollout: ClassVar[Phase] = Phase.EXPAND
    after_rollout: bool

    def _wait(self, after_rollout: bool) -> None:
        self.after_rollout = after_rollout
        self.phase = Phase.CONTRACT if after_rollout else self.before_rollout

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        name, args, kwargs = super().deconstruct()
        if self.phase is not type(self).phase:
            kwargs = {**kwargs, "after_rollout": self.after_rollout}
        return name, list(args), kwargs


class ColumnOperation(SafeOperation, FieldOperation):
    """An operation on one column, whose field is in the state already, in its final form."""

    category = OperationCategory.ALTERATION
    needs_autocommit = False

    def __init__(self, model_name: str, name: str) -> None:
        super().__init__(model_name, name)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name, self.name):
            model = state.models[app_label, self.model_name_lower]
            # A state leaves out the column that Django makes for order_with_respect_to.
            if self.name != "_order" or not model.options.get("order_with_respect_to"):
                model.get_field(self.name)

    def forwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            self.change(backend, way.editor, model, self._field(model, self.name))

    def backwards(self, way: Way) -> None:
        model = self._model(way.app_label, way.after, self.model_name)
        if backend := self._backend(way.editor, model):
            self.change_back(backend, way.editor, model, self._field(model, self.name))

    def change(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        """What it does to the column, where the router lets it."""
        raise NotImplementedError

    def change_back(
        self, backend: Backend, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Any
    ) -> None:
        """The way back of ``change``."""
        raise NotImplementedError
