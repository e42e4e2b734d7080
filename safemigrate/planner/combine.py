"""
Operations that are one change: an index or a constraint goes, and another one comes for it.

Django removes the old one first and adds the new one at the end. Taken one by one, the table would
be without either while the new one is built, and two of one name cannot be there at once. And a
field gets another name, which all that is computed from it has to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import UniqueConstraint

from safemigrate.backends.fields import named
from safemigrate.backends.names import own_name
from safemigrate.operations import (
    AddIndexConcurrently,
    AddUniqueConstraintConcurrently,
    AlterIndex,
    RemoveIndexConcurrently,
    RenameConstraint,
    RenameIndex,
    ReplaceConstraint,
    ReplaceIndex,
)
from safemigrate.operations.reading import column_name
from safemigrate.operations.redefining import (
    computes_the_same,
    definition,
    fields_of,
    renamed,
)

Instead = dict[int, list[Operation]]
"""By its place in the list, what is written for an operation that is part of such a change."""


@dataclass(frozen=True)
class _Removed:
    """
    ``thing``: the index or constraint as it was.

    ``model``: what its model is called in the end; ``then``: where it is removed.
    """

    place: int
    model: str
    then: str
    thing: Any


@dataclass(frozen=True)
class _Added:
    place: int
    model_name: str
    thing: Any


@dataclass
class _Run:
    """
    What one list of operations does.

    ``renames``: {model: {old field: new field}}; ``models``: {new name of a model: old name};
    ``altered``: {model: {field: as it becomes}}; ``places``: where the renames stand.
    """

    before: ProjectState
    app_label: str
    removed: list[_Removed] = field(default_factory=list)
    added: list[_Added] = field(default_factory=list)
    renames: dict[str, dict[str, str]] = field(default_factory=dict)
    places: dict[tuple[str, str], int] = field(default_factory=dict)
    altered: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)

    def model(self, name: str) -> ModelState | None:
        return self.before.models.get((self.app_label, self.models.get(name, name)))

    def in_code_alone(self, name: str) -> dict[str, str]:
        """The renames of a model's fields that keep their columns."""
        return {
            old: new
            for old, new in self.renames.get(name, {}).items()
            if self._keeps_its_column(name, old, new)
        }

    def _keeps_its_column(self, name: str, old: str, new: str) -> bool:
        model, altered = self.model(name), self.altered.get(name, {})
        was = model.fields.get(old) if model else None
        if was is None:
            return False
        becomes = altered.get(old.lower()) or altered.get(new.lower()) or was
        return column_name(was, old) == column_name(becomes, new)


def combine(operations: Sequence[Operation], app_label: str, before: ProjectState) -> Instead:
    """Pure: ``before`` is neither changed nor rendered."""
    run = _read(operations, app_label, before)
    instead = _computed(run, operations)
    for old in run.removed:
        names = run.renames.get(old.model, {})
        candidates = [
            new
            for new in run.added
            if new.model_name.lower() == old.model and new.place not in instead
        ]
        for new in sorted(candidates, key=lambda new: new.thing.name != old.thing.name):
            written = _written(run, old, new, names)
            if written is not None:
                instead[old.place], instead[new.place] = [], written
                break
        else:
            instead.update(_alone(run, old))
    return instead


def followed(
    operations: Sequence[Operation], app_label: str, before: ProjectState, instead: Instead
) -> Instead:
    """
    By the places of renames of fields in the code alone, what indexes and constraints then say.

    Those that go: Django's state would keep the old names in them, and find no such fields on the
    way back. Pure. ``instead``: what ``combine`` found.
    """
    run = _read(operations, app_label, before)
    found: Instead = {}
    for old in run.removed:
        names = run.in_code_alone(old.model)
        over = [name for name in names if name.lower() in fields_of(old.thing)]
        place = max((run.places[old.model, name] for name in over), default=old.place)
        if place < old.place and instead.get(old.place) != []:
            follows = _altered(_called(run, old), renamed(old.thing, names))
            found.setdefault(place, []).append(follows)
    return found


def _read(operations: Sequence[Operation], app_label: str, before: ProjectState) -> _Run:
    run = _Run(before, app_label)
    for place, operation in enumerate(operations):
        if type(operation) in (migrations.RemoveIndex, migrations.RemoveConstraint):
            run.removed += _removed(run, place, operation)
        elif type(operation) is migrations.AddIndex:
            run.added.append(_Added(place, operation.model_name, operation.index))
        elif type(operation) is migrations.AddConstraint:
            run.added.append(_Added(place, operation.model_name, operation.constraint))
        elif isinstance(operation, migrations.RenameModel):
            run.models[operation.new_name_lower] = operation.old_name_lower
        for one in _said(operation):
            if isinstance(one, migrations.RenameField):
                names = run.renames.setdefault(one.model_name_lower, {})
                names[one.old_name] = one.new_name
                run.places[one.model_name_lower, one.old_name] = place
            elif isinstance(one, migrations.AlterField):
                altered = run.altered.setdefault(one.model_name_lower, {})
                altered[one.name_lower] = one.field
    later = {old: new for new, old in run.models.items()}
    run.removed = [replace(one, model=later.get(one.model, one.model)) for one in run.removed]
    return run


def _said(operation: Operation) -> Sequence[Operation]:
    """Of a field that becomes another one on its column, the state alone is told the name."""
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return [] if operation.database_operations else operation.state_operations
    return [operation]


def _computed(run: _Run, operations: Sequence[Operation]) -> Instead:
    """
    What is computed from a field with another name, by the same SQL, says so in the state alone.

    Django takes it for another expression, which it can give to no column.
    """
    found: Instead = {}
    for place, operation in enumerate(operations):
        if type(operation) is not migrations.AlterField or not operation.field.generated:
            continue
        names = run.in_code_alone(operation.model_name_lower)
        model = run.model(operation.model_name_lower)
        old = model.fields.get(operation.name) if model else None
        if names and old is not None and old.generated:
            same_column = column_name(old, operation.name) == column_name(
                operation.field, operation.name
            )
            if same_column and computes_the_same(old, operation.field, names):
                found[place] = [migrations.SeparateDatabaseAndState(state_operations=[operation])]
    return found


def _removed(run: _Run, place: int, operation: Any) -> Iterator[_Removed]:
    then = operation.model_name_lower
    model = run.model(then)
    things = model.options.get(operation.option_name, []) if model else []
    for thing in things:
        if thing.name == operation.name:
            yield _Removed(place, then, then, thing)


def _written(
    run: _Run, old: _Removed, new: _Added, names: Mapping[str, str]
) -> list[Operation] | None:
    """What stands for both; None if they are two changes."""
    same_name = old.thing.name == new.thing.name
    taken = {
        other.thing.name for other in run.removed if other is not old and other.model == old.model
    }
    if new.thing.name not in taken and definition(
        renamed(old.thing, names) if names else old.thing
    ) == definition(new.thing):
        return _moved(old, new, followed=bool(fields_of(old.thing) & {n.lower() for n in names}))
    if not same_name or type(old.thing) is not type(new.thing):
        return None
    return _replaced(run, old, new)


def _moved(old: _Removed, new: _Added, *, followed: bool) -> list[Operation]:
    """
    The same thing, under another name or over a renamed field.

    ``followed``: a field was renamed, whose operations take its indexes and constraints along;
    their own names are free only when the old column has gone.
    """
    was, becomes = old.thing.name, new.thing.name
    constraint = _is_constraint(new.thing)
    written: list[Operation] = []
    if followed:
        written.append(_altered(new.model_name, named(new.thing, was)))
    if was != becomes:
        rename: Any = RenameConstraint if constraint else RenameIndex
        written.append(rename(new.model_name, becomes, was, after_rollout=followed))
    if constraint and not followed and _words(old.thing) != _words(new.thing):
        written.append(_altered(new.model_name, new.thing))
    return written


def _altered(model_name: str, thing: Any) -> Operation:
    """The state's words for what is in the database, or comes there with its column."""
    if _is_constraint(thing):
        return migrations.AlterConstraint(model_name, thing.name, thing)
    return AlterIndex(model_name, thing.name, thing)


def _replaced(run: _Run, old: _Removed, new: _Added) -> list[Operation] | None:
    """One name, two definitions: the new one is built beside the old one, and takes its name."""
    name, model_name = new.thing.name, new.model_name
    temporary = own_name("new", f"{run.app_label}_{old.model}", name)
    beside: Any = named(new.thing, temporary)
    if not _is_constraint(new.thing):
        return [
            AddIndexConcurrently(model_name, beside),
            ReplaceIndex(model_name, name, by=temporary),
        ]
    if isinstance(new.thing, UniqueConstraint):
        return [
            AddUniqueConstraintConcurrently(model_name, beside),
            ReplaceConstraint(model_name, name, by=temporary),
        ]
    # A CHECK is dropped before newer code breaks it, and added when no older code can.
    return None


def _alone(run: _Run, old: _Removed) -> Instead:
    """
    An index goes before a field of it is renamed or changes its type.

    What those build for the new column must not include it: its type may not bear it.
    """
    changed = {*run.renames.get(old.model, {}), *run.altered.get(old.model, {})}
    changed = {name.lower() for name in changed - run.in_code_alone(old.model).keys()}
    if _is_constraint(old.thing) or not fields_of(old.thing) & changed:
        return {}
    return {
        old.place: [RemoveIndexConcurrently(_called(run, old), old.thing.name, after_rollout=False)]
    }


def _called(run: _Run, old: _Removed) -> str:
    model = run.model(old.then)
    return model.name if model and model.name_lower == old.then else old.then


def _is_constraint(thing: Any) -> bool:
    return hasattr(thing, "violation_error_code")


def _words(constraint: Any) -> tuple[Any, Any]:
    return constraint.violation_error_code, constraint.violation_error_message
