"""What takes over from an index or a uniqueness that goes is built before that goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from safemigrate.backends.fields import has_index
from safemigrate.operations.redefining import fields_of

_SUCCESSORS = (migrations.AddIndex, migrations.AddConstraint)
_INDIFFERENT = (
    *_SUCCESSORS,
    migrations.AddField,
    migrations.AlterField,
    migrations.AlterModelOptions,
    migrations.AlterUniqueTogether,
    migrations.CreateModel,
)


def heirs_first(
    operations: Sequence[Operation], app_label: str, before: ProjectState
) -> list[Operation]:
    """
    ``unique_together`` made a constraint, ``db_index=True`` an index of ``Meta.indexes``.

    Django drops first. Taken so, queries would be without an index and duplicates could come for as
    long as the build takes, which then would fail at them. Pure: ``before`` is not changed.
    """
    ordered = list(operations)
    for operation in operations:
        if given_up := _given_up(operation, app_label, before):
            place = ordered.index(operation)
            ordered.insert(_last_heir(ordered, place, given_up), ordered.pop(place))
    return ordered


def _given_up(operation: Any, app_label: str, before: ProjectState) -> set[str]:
    """The fields whose index goes, of an operation that does nothing else."""
    if isinstance(operation, migrations.AlterUniqueTogether):
        model = before.models.get((app_label, operation.name_lower))
        old = _sets(model.options.get("unique_together") if model else None)
        new = _sets(operation.option_value)
        return {name for names in old - new for name in names} if new < old else set()
    if type(operation) is migrations.AlterField:
        model = before.models.get((app_label, operation.model_name_lower))
        return {operation.name} if model and _only_loses(model, operation) else set()
    return set()


def _sets(together: Any) -> set[tuple[str, ...]]:
    return {tuple(names) for names in together or ()}


def _only_loses(model: ModelState, operation: migrations.AlterField) -> bool:
    old, new = model.fields.get(operation.name), operation.field
    if old is None or old.many_to_many or new.many_to_many:
        return False
    loses = (old.unique or has_index(old)) and not (new.unique or has_index(new))
    return loses and _without_index(old) == _without_index(new)


def _without_index(field: Any) -> Any:
    _, path, args, kwargs = field.deconstruct()
    return path, args, {k: v for k, v in kwargs.items() if k not in ("unique", "db_index")}


def _last_heir(operations: Sequence[Any], place: int, given_up: set[str]) -> int:
    """Where the last one stands that is over the same fields; ``place`` if none can go first."""
    operation = operations[place]
    model = getattr(operation, "model_name", None) or operation.name
    found = place
    for later in range(place + 1, len(operations)):
        other = operations[later]
        own = str(getattr(other, "model_name", "")).lower() == model.lower()
        if not isinstance(other, _INDIFFERENT) or (
            own and isinstance(other, migrations.AlterField) and other.name in given_up
        ):
            return found
        if own and isinstance(other, _SUCCESSORS):
            thing: Any = getattr(other, "index", None) or getattr(other, "constraint", None)
            found = later if fields_of(thing) & given_up else found
    return found
