"""A field or a model that goes, and one that comes which may be the same under another name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import BooleanField

from safemigrate.facts.types import akin
from safemigrate.operations.reading import db_type, has_table, made_by, target_of
from safemigrate.planner.refusals import Refusal
from safemigrate.rules.base import Step

if TYPE_CHECKING:
    from safemigrate.planner.rewrite import Context

ALIKE = 0.7
"""From which part of two names in common on they may be meant for one flag."""
WITHOUT = "Run makemigrations without --noinput and answer"


def renames(changes: Mapping[str, Sequence[Migration]], context: Context) -> Iterator[Refusal]:
    """
    What would lose data if it were one thing, and nobody has said that it is two.

    Django asks about a model that differs in its name alone, and about a field that differs in what
    Python alone sees besides; what differs in more it takes for two without a question.
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
        model = state.models[app_label, old.model_name_lower]
        was: Any = model.get_field(old.name)
        if label_of(app_label, old.model_name, old.name) in context.not_renamed:
            continue
        if not has_table(model) or not _has_values(was):
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
            yield _refused_field(app_label, old, same, SAME_FIELD)
        elif like and _is_one(context, partial(_asked_of_field, context.questioner, old, like)):
            yield _refused_field(app_label, old, like, LIKE_FIELD)


def _models(
    app_label: str, operations: Sequence[Operation], context: Context, state: ProjectState
) -> Iterator[Refusal]:
    come = [
        o
        for o in operations
        if isinstance(o, migrations.CreateModel) and has_table(made_by(o, app_label))
    ]
    for old in operations:
        if not isinstance(old, migrations.DeleteModel):
            continue
        was = state.models[app_label, old.name_lower]
        if label_of(app_label, old.name) in context.not_renamed or not has_table(was):
            continue
        fields = {new.name: _all_fields(new, operations) for new in come}
        same = [new for new in come if _shapes(was.fields) == _shapes(fields[new.name])]
        like = [n for n in come if n not in same and _have_much_in_common(was, fields[n.name])]
        if same and context.questioner is None:
            yield _refused_model(app_label, old, same, SAME_MODEL)
        elif like and _is_one(context, partial(_asked_of_model, context.questioner, was, like)):
            yield _refused_model(app_label, old, like, LIKE_MODEL)


def label_of(*names: str) -> str:
    """As ``--not-renamed`` is compared: Django keeps the case of an app's label alone."""
    return ".".join(names).lower()


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
    unseen = of_python_alone(value)
    seen = sorted(item for item in kwargs.items() if item[0] not in unseen)
    return path, repr(args), repr(seen)


def of_python_alone(field: Any) -> frozenset[str]:
    """
    The arguments that may change together with its name: two columns hold the same all the same.

    Not the default of a flag: one that turns round may be of a flag that means the opposite.
    """
    if field.many_to_many or field.generated:
        return frozenset()
    default = set() if isinstance(field, BooleanField) else {"default"}
    return frozenset(field.non_db_attrs) - {"db_column"} | default


@dataclass(frozen=True)
class _Words:
    """How a refusal says what has come, what that looks like, and what to do."""

    come: str
    looks: str
    taken_for: str
    do: str


RUN = "run makemigrations without --noinput, and say that it was renamed"
SAME_FIELD = _Words("a field just like it", "looks like a rename", "two changes", WITHOUT)
SAME_MODEL = _Words("a model with the same fields", "looks like a rename", "two changes", WITHOUT)
LIKE_FIELD = _Words(
    "which could hold its values",
    "may be a rename and another change of the same field",
    "two fields",
    f"If it is one field, give it its new name alone, as it was defined; {RUN}, and make the "
    "other change in the next release",
)
LIKE_MODEL = _Words(
    "which has fields of it or just like them",
    "may be a rename and other changes of the same model",
    "two models",
    f"If it is one model, give it its new name alone, with the fields that it had; {RUN}, and "
    "make the other changes in a run after it",
)


def _refused_field(
    app_label: str, old: migrations.RemoveField, come: Sequence[Any], words: _Words
) -> Refusal:
    gone = f"{old.model_name}.{old.name}"
    return _refused(app_label, old, gone, f"the data of {old.name}", come, words)


def _refused_model(
    app_label: str, old: migrations.DeleteModel, come: Sequence[Any], words: _Words
) -> Refusal:
    return _refused(app_label, old, old.name, f"the table of {old.name}", come, words)


def _refused(
    app_label: str, old: Operation, gone: str, lost: str, come: Sequence[Any], words: _Words
) -> Refusal:
    names = " or ".join(new.name for new in come)
    answer = f"makemigrations --not-renamed {label_of(app_label, gone)}"
    return Refusal(
        app_label,
        old,
        reason=f"{gone} is gone and {names}, {words.come}, has come: that {words.looks}, and "
        f"taking it for {words.taken_for} would drop {lost}.",
        do=f"{words.do}. If it goes for good, say so: {answer}",
    )
