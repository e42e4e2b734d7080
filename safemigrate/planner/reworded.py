"""
Operations of a file that are one change, in the words in which makemigrations finds it.

From two states it sees what stays, see ``kept``; a file says one thing after the other. Some of
these, taken one by one, need two releases or do not run at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.db import migrations
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.operations.base import Operation
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ProjectState
from django.db.migrations.utils import resolve_relation
from django.db.models.fields import NOT_PROVIDED

from safemigrate.operations.phases import stays_as_it_is
from safemigrate.planner.kept import kept, put_first, told
from safemigrate.planner.refusals import Refusal

Instead = dict[int, list[Operation]]
"""By its place in the list, what to ask about in the place of an operation."""


def reworded(
    operations: Sequence[Operation],
    app_label: str,
    before: ProjectState,
    state_alone: Collection[int] = (),
) -> Instead:
    """
    Pure: ``before`` is neither changed nor rendered.

    ``state_alone``: the places of those whose state no database operation anywhere follows.
    """
    instead: Instead = {}
    for place, together in _groups(operations, app_label, state_alone):
        if found := _found(operations, place, together, app_label, before):
            instead |= {each: [] for each in together} | {place: found}
    return instead


def _groups(
    operations: Sequence[Any], app_label: str, state_alone: Collection[int]
) -> Iterator[tuple[int, list[int]]]:
    """Where to say what they are together; and their places, in order."""
    for place, operation in enumerate(operations):
        if type(operation) is migrations.RenameIndex:
            others = [n for n in range(place) if _frees(operations[n], operation)]
            if others:
                yield place, [*others, place]
        elif type(operation) is migrations.CreateModel:
            others = list(_of_its_field(operations, operation, app_label))
            if others and not _has_code(operations, [place, *others]):
                yield place, sorted([place, *others])
        elif place in state_alone and _gives_a_model(operation, app_label):
            yield place, [place]


def _frees(operation: Any, rename: migrations.RenameIndex) -> bool:
    """Whether an index goes whose name another one gets."""
    return (
        type(operation) is migrations.RemoveIndex
        and operation.model_name_lower == rename.model_name_lower
        and operation.name == rename.new_name
    )


def _of_its_field(
    operations: Sequence[Any], through: migrations.CreateModel, app_label: str
) -> Iterator[int]:
    """Those of a many-to-many field that goes through a model; from 6.1 on it comes anew."""
    given = [n for n, one in enumerate(operations) if _goes_through(one, through, app_label)]
    fields = {(operations[n].model_name_lower, operations[n].name) for n in given}
    yield from given
    for place, one in enumerate(operations):
        removed = type(one) is migrations.RemoveField
        if removed and (one.model_name_lower, one.name) in fields:
            yield place


def _has_code(operations: Sequence[Operation], places: Sequence[int]) -> bool:
    """
    Whether somebody may copy rows from the one table to the other, which would be one now.

    A field that is removed has its rows no more: whatever code there is may be about that.
    """
    removed = any(isinstance(operations[place], migrations.RemoveField) for place in places)
    inside = operations if removed else operations[min(places) : max(places)]
    return any(stays_as_it_is(one) for one in inside)


def _goes_through(operation: Any, through: migrations.CreateModel, app_label: str) -> bool:
    if type(operation) not in (migrations.AddField, migrations.AlterField):
        return False
    model = getattr(operation.field.remote_field, "through", None)
    return model is not None and resolve_relation(model, app_label, operation.model_name_lower) == (
        app_label,
        through.name_lower,
    )


def _gives_a_model(operation: Any, app_label: str) -> bool:
    """Whether it says, in the state alone, that a many-to-many field goes through a new model."""
    if type(operation) is not migrations.SeparateDatabaseAndState or operation.database_operations:
        return False
    stated = operation.state_operations
    made = [one for one in stated if isinstance(one, migrations.CreateModel)]
    return any(_goes_through(one, model, app_label) for one in stated for model in made)


def _found(
    operations: Sequence[Operation],
    place: int,
    together: Collection[int],
    app_label: str,
    before: ProjectState,
) -> list[Operation]:
    """What makemigrations finds of them; empty if nothing stays that Django would not see."""
    old = before.clone()
    for earlier in range(place):
        if earlier not in together:
            operations[earlier].state_forwards(app_label, old)
    new = old.clone()
    for each in together:
        operations[each].state_forwards(app_label, new)
    stays = kept(old, new)
    if not stays:
        return []
    detector: Any = MigrationAutodetector(told(old, stays), new, _Nobody())
    changes = detector._detect_changes()
    put_first(changes, stays)
    return [one for migration in changes[app_label] for one in migration.operations]


class _Nobody(MigrationQuestioner):
    """Cannot say what rows of before get; whether that is needed is judged as of any field."""

    def ask_not_null_addition(self, field_name: str, model_name: str) -> Any:
        return NOT_PROVIDED

    def ask_auto_now_add_addition(self, field_name: str, model_name: str) -> Any:
        return NOT_PROVIDED


def names_lost(
    operations: Sequence[Any], app_label: str, before: ProjectState
) -> Iterator[Refusal]:
    """Renames of indexes that took each other's names, of which Django's file says too little."""
    state = before.clone()
    for operation in operations:
        if type(operation) is migrations.RenameIndex and operation.old_name:
            model = state.models.get((app_label, operation.model_name_lower))
            names = [index.name for index in model.options["indexes"]] if model else []
            if operation.new_name in names:
                yield Refusal(
                    app_label,
                    operation,
                    reason=_why_lost(operation),
                    do="Delete this file, without one that is applied anywhere, and run "
                    "makemigrations: it finds in the models which index is to have which name. Or "
                    "rename them by hand by way of a third name.",
                )
        operation.state_forwards(app_label, state)


def _why_lost(rename: migrations.RenameIndex) -> str:
    name, model = rename.new_name, rename.model_name
    if rename.old_name == name:
        return (
            f"The index {name} of {model} is renamed to its own name: Django has made one of two "
            "renames, and which index was to have which name is not in this file any more."
        )
    return (
        f"The index {rename.old_name} of {model} is to be called {name} while another one is "
        "called so: no database has two of one name, and after it nobody can tell which is meant."
    )
