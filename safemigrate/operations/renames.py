"""Models, tables and many-to-many fields under other names, which both releases can use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.operations.base import Operation, OperationCategory

from safemigrate.backends.fields import through_of
from safemigrate.backends.moving import Move
from safemigrate.facts.phases import Phase
from safemigrate.operations import content_types, permissions
from safemigrate.operations.base import SafeOperation, Way

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ModelState, ProjectState
    from django.db.models import Model

    from safemigrate.backends import Backend

Pair = tuple[type["Model"], type["Model"]]


class MovingOperation(SafeOperation):
    """
    What renames tables: the same ones in its expand and in its contract.

    ``new_fields``: of the model itself, which came in the same run as its new name.
    """

    new_fields: Sequence[str] = ()

    @property
    def _names(self) -> tuple[str, str]:
        """The name of the model before and after."""
        raise NotImplementedError

    def _models(self, app_label: str, before: ProjectState, after: ProjectState) -> Pair:
        old_name, new_name = self._names
        return self._model(app_label, before, old_name), self._model(app_label, after, new_name)

    def _pairs(self, app_label: str, before: ProjectState, after: ProjectState) -> Iterator[Pair]:
        """The models whose tables it renames: unless a subclass knows better, all of one model."""
        yield from _tables_of(*self._models(app_label, before, after), after)

    def _moves(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        before: ProjectState,
        after: ProjectState,
    ) -> Iterator[tuple[Backend, Move]]:
        for old, new in self._pairs(app_label, before, after):
            if backend := self._backend(schema_editor, new):
                own = new._meta.model_name == self._names[1].lower()
                yield backend, Move.between(old, new, self.new_fields if own else ())


class ExpandMove(MovingOperation):
    phase = Phase.EXPAND

    def forwards(self, way: Way) -> None:
        for backend, move in self._moves(way.app_label, way.editor, way.before, way.after):
            backend.move_table(way.editor, move)

    def backwards(self, way: Way) -> None:
        moves = list(self._moves(way.app_label, way.editor, way.after, way.before))
        # Step by step as they came: a foreign key's name has the columns and the other table.
        for backend, move in reversed(moves):
            backend.move_back(way.editor, move)

    def reduce(self, operation: Operation, app_label: str) -> Any:
        # The stock ones answer with an operation of Django's, or lose the names in between.
        return Operation.reduce(self, operation, app_label)


class ContractMove(MovingOperation):
    """``_before`` says what the names were; the state has the new ones since the expand."""

    phase = Phase.CONTRACT
    category = OperationCategory.REMOVAL

    def _before(self, app_label: str, state: ProjectState) -> ProjectState:
        raise NotImplementedError

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        name, args, kwargs = super().deconstruct()
        if self.new_fields:
            kwargs = {**kwargs, "new_fields": [*self.new_fields]}
        return name, list(args), kwargs

    def _settle(self, way: Way, before: ProjectState) -> None:
        """What ends with the names beside them."""

    def _resume(self, way: Way, before: ProjectState) -> None:
        """The way back of ``_settle``."""

    def forwards(self, way: Way) -> None:
        before = self._before(way.app_label, way.after)
        self._settle(way, before)
        for backend, move in self._moves(way.app_label, way.editor, before, way.after):
            backend.end_move(way.editor, move)

    def backwards(self, way: Way) -> None:
        before = self._before(way.app_label, way.after)
        self._resume(way, before)
        for backend, move in self._moves(way.app_label, way.editor, before, way.after):
            backend.resume_move(way.editor, move)


def _rename_model(state: ProjectState, app_label: str, old: str, new: str) -> None:
    """
    As ``ProjectState.rename_model``, which forgets the bases of models that inherit from it.

    Django 5.2 to 6.1 fail over such a child when they render it, so that is put off.
    """
    label = f"{app_label}.{old}".lower()
    children = [model for model in state.models.values() if label in _labels(model)]
    if children:
        state.__dict__.pop("apps", None)
    state.rename_model(app_label, old, new)
    for child in children:
        named = f"{app_label}.{new}".lower()
        child = state.models[child.app_label, child.name_lower]
        child.bases = tuple(named if base == label else base for base in child.bases)


def _labels(model: ModelState) -> list[Any]:
    return [base.lower() for base in model.bases if isinstance(base, str)]


def _tables_of(old: type[Model], new: type[Model], after: ProjectState) -> Iterator[Pair]:
    """The model's own table, and the tables that Django made for many-to-many fields with it."""
    yield old, new
    for before, now in zip(old._meta.local_many_to_many, new._meta.local_many_to_many, strict=True):
        yield from throughs(before, now)
    for relation in old._meta.related_objects:
        if relation.many_to_many and relation.related_model is not old:
            other: Any = relation.related_model
            model = after.apps.get_model(other._meta.app_label, other._meta.model_name)
            yield from throughs(relation.field, model._meta.get_field(relation.field.name))


def throughs(old: Any, new: Any) -> Iterator[Pair]:
    before, after = through_of(old), through_of(new)
    if before and after:
        yield before, after


class _OfModel(MovingOperation):
    old_name: str
    new_name: str

    @property
    def _names(self) -> tuple[str, str]:
        return self.old_name, self.new_name


class _OfTable(MovingOperation):
    name: str

    @property
    def _names(self) -> tuple[str, str]:
        return self.name, self.name


class _OfField(MovingOperation):
    model_name: str
    old_name: str
    new_name: str

    @property
    def _names(self) -> tuple[str, str]:
        return self.model_name, self.model_name

    def _pairs(self, app_label: str, before: ProjectState, after: ProjectState) -> Iterator[Pair]:
        """The table of a many-to-many field, or for a column that of the model."""
        old, new = self._models(app_label, before, after)
        field = self._field(new, self.new_name)
        if field.many_to_many:
            yield from throughs(self._field(old, self.old_name), field)
        else:
            yield old, new


class ExpandRenameModel(_OfModel, ExpandMove, migrations.RenameModel):
    """
    Rename a model and its table, with the many-to-many tables and columns named after it.

    Code that knows the old names goes on by them: a view under each old name passes everything
    on to the table. Indexes, constraints and sequences that were named after the table are
    renamed; foreign keys to it are not checked again. Code of either release finds the one
    content type, and who is granted a default permission under one name has it under the other.

    Locks:   PostgreSQL ACCESS EXCLUSIVE on each table for an instant, SHARE ROW EXCLUSIVE on
             those that say who has which permission, had without queueing.
    Re-run:  does what is missing.
    Back:    drops the views and gives the old names back; one permission is left of each two.
    Raises:  NeedsAutocommit; UnsupportedDatabase for row level security before PostgreSQL 15.
    Source:  https://www.postgresql.org/docs/current/sql-createview.html#SQL-CREATEVIEW-UPDATABLE-VIEWS
    """

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.old_name):
            state.models[app_label, self.old_name_lower]
        _rename_model(state, app_label, self.old_name, self.new_name)

    def forwards(self, way: Way) -> None:
        content_types.remember(way.editor, way.app_label, *self._names)
        permissions.share(way.editor, *self._models(way.app_label, way.before, way.after))
        super().forwards(way)

    def backwards(self, way: Way) -> None:
        super().backwards(way)
        old, new = self._models(way.app_label, way.after, way.before)
        permissions.settle(way.editor, gone=new, kept=old)

    def references_model(self, name: str, app_label: str) -> bool:
        # Any model may refer to it; a squash that moved it across such a one would leave the
        # reference under the old name.
        return True

    def describe(self) -> str:
        return f"Rename model {self.old_name} to {self.new_name} for both releases"


class ContractRenameModel(_OfModel, ContractMove):
    """
    Drop the views that ExpandRenameModel left under the old names, and all else that has them.

    Of each two permissions one is left. A second content type, made by code without safemigrate,
    becomes one with the first.

    ``new_fields``: those that the model got in the same run, which older code does not know; the
    view that the way back makes is without them.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does nothing if they are gone.
    Back:    creates the views again, and what is granted under one name is under the other.
    Raises:  DataInTheWay for rows of both content types, of which a constraint allows one.
    """

    def __init__(self, old_name: str, new_name: str, *, new_fields: Sequence[str] = ()) -> None:
        self.old_name = old_name
        self.new_name = new_name
        self.new_fields = new_fields

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.new_name):
            state.models[app_label, self.new_name.lower()]

    def _settle(self, way: Way, before: ProjectState) -> None:
        content_types.settle(way.editor, way.app_label, *self._names)
        old, new = self._models(way.app_label, before, way.after)
        permissions.settle(way.editor, gone=old, kept=new)
        content_types.forget(way.editor, way.app_label, *self._names)

    def _resume(self, way: Way, before: ProjectState) -> None:
        content_types.remember(way.editor, way.app_label, *self._names)
        old, new = self._models(way.app_label, before, way.after)
        permissions.share(way.editor, here=new, there=old)

    def _before(self, app_label: str, state: ProjectState) -> ProjectState:
        before = state.clone()
        _rename_model(before, app_label, self.new_name, self.old_name)
        return before

    def describe(self) -> str:
        return f"Drop what has the names of {self.old_name}, now {self.new_name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"renamed_{self.old_name.lower()}_{self.new_name.lower()}"


class ExpandRenameTable(_OfTable, ExpandMove, migrations.AlterModelTable):
    """
    Rename a model's table, with the many-to-many tables named after it, for both releases.

    As ExpandRenameModel, for ``db_table``.

    Locks:   PostgreSQL ACCESS EXCLUSIVE on each table for an instant, had without queueing.
    Re-run:  does what is missing.
    Back:    drops the views and gives the old names back.
    Raises:  NeedsAutocommit; UnsupportedDatabase for row level security before PostgreSQL 15.
    """

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.name):
            state.models[app_label, self.name_lower]
        super().state_forwards(app_label, state)

    def describe(self) -> str:
        return f"Rename the table of {self.name} for both releases"

    @property
    def migration_name_fragment(self) -> str:
        return f"rename_table_{self.name_lower}"


class ContractRenameTable(_OfTable, ContractMove):
    """
    Drop the views that ExpandRenameTable left; ``old_table``: the ``db_table`` before it.

    ``new_fields``: as of ContractRenameModel.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does nothing if they are gone.
    Back:    creates the views again.
    """

    def __init__(self, name: str, old_table: str | None, *, new_fields: Sequence[str] = ()) -> None:
        self.name = name
        self.old_table = old_table
        self.new_fields = new_fields

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.name):
            state.models[app_label, self.name.lower()]

    def _before(self, app_label: str, state: ProjectState) -> ProjectState:
        before = state.clone()
        before.alter_model_options(app_label, self.name.lower(), {"db_table": self.old_table})
        return before

    def describe(self) -> str:
        return f"Drop the view under the old table name of {self.name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"renamed_table_{self.name.lower()}"


class ExpandRenameField(_OfField, ExpandMove, migrations.RenameField):
    """
    Rename a many-to-many field with the table that Django made for it, for both releases.

    Locks:   PostgreSQL ACCESS EXCLUSIVE on that table for an instant, had without queueing.
    Re-run:  does what is missing.
    Back:    drops the view and gives the old name back.
    Raises:  NeedsAutocommit; UnsupportedDatabase for row level security before PostgreSQL 15.
    """

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name, self.old_name):
            state.models[app_label, self.model_name_lower].get_field(self.old_name)
        super().state_forwards(app_label, state)

    def describe(self) -> str:
        return f"Rename {self.model_name}.{self.old_name} to {self.new_name} for both releases"


class ContractRenameField(_OfField, ContractMove):
    """
    Drop the view that ExpandRenameField left for the old name.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does nothing if it is gone.
    Back:    creates the view again.
    """

    def __init__(self, model_name: str, old_name: str, new_name: str) -> None:
        self.model_name = model_name
        self.old_name = old_name
        self.new_name = new_name

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        with self._found(app_label, self.model_name, self.new_name):
            state.models[app_label, self.model_name.lower()].get_field(self.new_name)

    def _before(self, app_label: str, state: ProjectState) -> ProjectState:
        before = state.clone()
        before.rename_field(app_label, self.model_name.lower(), self.new_name, self.old_name)
        return before

    def describe(self) -> str:
        return f"Drop the view for the old name of {self.model_name}.{self.new_name}"

    @property
    def migration_name_fragment(self) -> str:
        return f"renamed_{self.old_name}_{self.model_name}_{self.new_name}".lower()


class ExpandRenamePrimaryKey(ExpandRenameField):
    """
    Rename a primary key and its column for both releases.

    There can be no second such column: the table is set aside under another name, and a view in
    its place has the column under both names. Until the contract has run, nothing else can be
    changed about that table, and no foreign key to it be added.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does what is missing.
    Back:    drops the view and puts the table back.
    Raises:  NeedsAutocommit; UnsupportedDatabase for row level security before PostgreSQL 15.
    """


class ContractRenamePrimaryKey(ContractRenameField):
    """
    Put the table that ExpandRenamePrimaryKey has set aside in the place of the view.

    Locks:   PostgreSQL ACCESS EXCLUSIVE for an instant, had without queueing.
    Re-run:  does nothing if the view is gone.
    Back:    sets the table aside again.
    """
