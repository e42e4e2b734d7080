"""A field or a model that goes, and one that comes which may be the same under another name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from safemigrate.facts.types import akin
from safemigrate.operations.reading import db_type, has_table, target_of
from safemigrate.planner.walk import Refusal
from safemigrate.rules.base import Step

if TYPE_CHECKING:
    from safemigrate.planner.rewrite import Context

ALIKE = 0.7
"""From which part of two names in common on they may be meant for one flag."""
WITHOUT = "Run makemigrations without --noinput and answer"


def renames(changes: Mapping[str, Sequence[Migration]], context: Context) -> Iterator[Refusal]:
    """
    What would lose data if it were one thing, and nobody has said that it is two.

    Django asks about a field or a model that differs in its name alone, and nobody else; what
    differs in more it takes for two without a question.
    """
    state = _with_new_names(changes, context.before)
    for app_label, new in changes.items():
        operations = [operation for migration in new for operation in migration.operations]
        yield from _fields(app_label, operations, context, state)
        yield from _models(app_label, operations, context, state)


def _with_new_names(
    changes: Mapping[str, Sequence[Migration]], before: ProjectState
) -> ProjectState:
    """Fields of a model that is renamed in the same run go and come under its new name."""
    all_of = [(app, o) for app, new in changes.items() for m in new for o in m.operations]
    found = [(app, o) for app, o in all_of if isinstance(o, migrations.RenameModel)]
    state = before.clone() if found else before
    for app_label, operation in found:
        operation.state_forwards(app_label, state)
    return state


def _fields(
    app_label: str, operations: Sequence[Operation], context: Context, state: ProjectState
) -> Iterator[Refusal]:
    for old in operations:
        if not isinstance(old, migrations.RemoveField):
            continue
        label = f"{app_label}.{old.model_name_lower}.{old.name_lower}"
        model = state.models[app_label, old.model_name_lower]
        was: Any = model.get_field(old.name)
        if label in context.not_renamed or not has_table(model) or not _has_values(was):
            continue
        come = [
            o
            for o in operations
            if isinstance(o, migrations.AddField)
            and o.model_name_lower == old.model_name_lower
            and o.name_lower != old.name_lower
        ]
        step = Step(app_label, old, state, connection=context.connection)
        same = [new for new in come if _shape(was) == _shape(new.field)]
        like = [new for new in come if new not in same and _may_be_one(step, old, new)]
        if same and context.questioner is None:
            yield _renamed_field(app_label, old, same, label)
        elif like and _is_one(context, partial(_asked_of_field, context.questioner, old, like)):
            yield _two_in_one(app_label, old, like, label)


def _models(
    app_label: str, operations: Sequence[Operation], context: Context, state: ProjectState
) -> Iterator[Refusal]:
    come = [
        o
        for o in operations
        if isinstance(o, migrations.CreateModel)
        and has_table(ModelState(app_label, o.name, [], dict(o.options)))
    ]
    for old in operations:
        if not isinstance(old, migrations.DeleteModel):
            continue
        label = f"{app_label}.{old.name_lower}"
        was = state.models[app_label, old.name_lower]
        if label in context.not_renamed or not has_table(was):
            continue
        fields = {new.name: _all_fields(new, operations) for new in come}
        same = [new for new in come if _shapes(was.fields) == _shapes(fields[new.name])]
        like = [n for n in come if n not in same and _have_much_in_common(was, fields[n.name])]
        if same and context.questioner is None:
            yield _renamed_model(app_label, old, same, label)
        elif like and _is_one(context, partial(_asked_of_model, context.questioner, was, like)):
            yield _model_and_more(app_label, old, like, label)


def _is_one(context: Context, asked: Callable[[], bool]) -> bool:
    """Whether somebody says so, or nobody is there to say that it is not."""
    if context.questioner is None:
        return True
    try:
        return asked()
    except EOFError:  # no terminal
        return True


def _asked_of_field(
    questioner: Any, old: migrations.RemoveField, come: Sequence[migrations.AddField]
) -> bool:
    return any(questioner.ask_rename(old.model_name, old.name, n.name, n.field) for n in come)


def _asked_of_model(
    questioner: Any, was: ModelState, come: Sequence[migrations.CreateModel]
) -> bool:
    return any(
        questioner.ask_rename_model(was, ModelState(was.app_label, new.name, [])) for new in come
    )


def _has_values(field: Any) -> bool:
    """Of its own: not computed, nor those of a ``through`` model."""
    return not field.generated and not (field.many_to_many and field.remote_field.through)


def _may_be_one(step: Step, old: migrations.RemoveField, new: migrations.AddField) -> bool:
    """Whether the new field has a type that could have the old one's values."""
    was: Any = step.model.get_field(old.name)
    becomes: Any = new.field
    targets = target_of(step, was), target_of(step, becomes)
    if was.many_to_many or becomes.many_to_many:
        both = was.many_to_many and becomes.many_to_many
        return bool(both and targets[0] == targets[1] and _has_values(becomes))
    if (None not in targets and targets[0] != targets[1]) or becomes.generated:
        return False
    types = db_type(step, was, old.name), db_type(step, becomes, new.name)
    if types == ("boolean", "boolean"):
        return _alike(old.name, new.name)  # any flag could hold the values of any other
    return None not in types and akin(str(types[0]), str(types[1]))


def _alike(one: str, other: str) -> bool:
    """``paid`` and ``is_paid``, ``active`` and ``activated``."""
    shared = set(one.split("_")) & set(other.split("_")) - {"is", "has"}
    return bool(shared) or SequenceMatcher(None, one, other).ratio() > ALIKE


def _all_fields(new: migrations.CreateModel, operations: Sequence[Operation]) -> dict[str, Any]:
    """Also those that Django adds in an operation of their own: keys that go round in a circle."""
    added = {
        o.name: o.field
        for o in operations
        if isinstance(o, migrations.AddField) and o.model_name_lower == new.name_lower
    }
    return {**dict(new.fields), **added}


def _have_much_in_common(was: ModelState, fields: Mapping[str, Any]) -> bool:
    """Half of its names, or as many fields of each kind, whatever they are called."""
    own = {name for name, field in was.fields.items() if not field.primary_key}
    if not own:
        return False
    one, other = _shapes(was.fields), _shapes(fields)
    as_many = len(one) == len(other) and all(one.count(s) == other.count(s) for s in one)
    return len(own & set(fields)) * 2 >= len(own) or as_many


def _shapes(fields: Mapping[str, Any]) -> list[Any]:
    """By name, as Django compares two models before it asks: another order is no question."""
    detector: Any = MigrationAutodetector(ProjectState(), ProjectState())
    return list(detector.only_relation_agnostic_fields(fields))


def _shape(value: Any) -> Any:
    _, path, args, kwargs = value.deconstruct()
    return path, repr(args), repr(sorted(kwargs.items()))


def _renamed_field(
    app_label: str,
    old: migrations.RemoveField,
    come: Sequence[migrations.AddField],
    label: str,
) -> Refusal:
    return Refusal(
        app_label,
        old,
        reason=f"{old.model_name}.{old.name} is gone and {_any_of(come)}, a field just like it, "
        "has come: that looks like a rename, and taking it for two changes would drop the data "
        f"of {old.name}.",
        do=f"{WITHOUT}. {_if_two(label)}",
    )


def _two_in_one(
    app_label: str,
    old: migrations.RemoveField,
    come: Sequence[migrations.AddField],
    label: str,
) -> Refusal:
    return Refusal(
        app_label,
        old,
        reason=f"{old.model_name}.{old.name} is gone and {_any_of(come)}, which could hold its "
        "values, has come: that may be a rename and another change of the same field, and taking "
        f"it for two fields would drop the data of {old.name}.",
        do=f"If it is one field, give it its new name alone, as it was defined; {_run()}, and "
        f"make the other change in the next release. {_if_two(label)}",
    )


def _renamed_model(
    app_label: str,
    old: migrations.DeleteModel,
    come: Sequence[migrations.CreateModel],
    label: str,
) -> Refusal:
    return Refusal(
        app_label,
        old,
        reason=f"{old.name} is gone and {_any_of(come)}, a model with the same fields, has come: "
        "that looks like a rename, and taking it for two changes would drop the table of "
        f"{old.name}.",
        do=f"{WITHOUT}. {_if_two(label)}",
    )


def _model_and_more(
    app_label: str,
    old: migrations.DeleteModel,
    come: Sequence[migrations.CreateModel],
    label: str,
) -> Refusal:
    return Refusal(
        app_label,
        old,
        reason=f"{old.name} is gone and {_any_of(come)}, which has fields of it or just like them, "
        "has come: that may be a rename and other changes of the same model, and taking it for "
        f"two models would drop the table of {old.name}.",
        do=f"If it is one model, give it its new name alone, with the fields that it had; {_run()}"
        f", and make the other changes in a run after it. {_if_two(label)}",
    )


def _any_of(come: Sequence[Any]) -> str:
    return " or ".join(new.name for new in come)


def _run() -> str:
    return "run makemigrations without --noinput, and say that it was renamed"


def _if_two(label: str) -> str:
    return f"If it goes for good, say so: makemigrations --not-renamed {label}"
