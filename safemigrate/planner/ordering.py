"""The order in which operations are asked about, where Django's would not do between releases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from safemigrate.operations.phases import stays_as_it_is
from safemigrate.operations.remedies.facets import facets_of
from safemigrate.planner.succession import heirs_first
from safemigrate.rules.base import Step

Asking = Callable[[Operation], Step]


def in_order(
    operations: Sequence[Operation], app_label: str, before: ProjectState, asking: Asking
) -> list[Operation]:
    """Pure: ``before`` is not changed; ``asking`` says what an operation would be asked with."""
    ordered = _behind_its_fields(_together_once(operations, app_label, before))
    ordered = _tables_first(ordered, asking)
    ordered = _computed_first(ordered, app_label, before)
    return heirs_first(ordered, app_label, before)


def _together_once(
    operations: Sequence[Operation], app_label: str, before: ProjectState
) -> list[Operation]:
    """
    A unique_together of a renamed field stays, and goes along with the field.

    Django takes it away first and adds it last, also where nothing but that name is another.
    """
    last = {o.name_lower: o for o in operations if isinstance(o, migrations.AlterUniqueTogether)}
    names = {
        (o.model_name_lower, o.old_name): o.new_name
        for o in operations
        if isinstance(o, migrations.RenameField)
    }
    stay = set()
    for name, operation in last.items():
        model = before.models.get((app_label, name))
        groups = model.options.get("unique_together") or () if model else ()
        named = {tuple(names.get((name, field), field) for field in group) for group in groups}
        if named and named <= {tuple(group) for group in operation.option_value or ()}:
            stay.add(name)
    return [
        o
        for o in operations
        if not isinstance(o, migrations.AlterUniqueTogether)
        or o is last[o.name_lower]
        or o.name_lower not in stay
    ]


def _behind_its_fields(operations: list[Operation]) -> list[Operation]:
    """Django's optimizer may put a unique_together before the new fields that it names."""
    together = [o for o in operations if isinstance(o, migrations.AlterUniqueTogether)]
    for operation in together:
        named = {name for names in operation.option_value or () for name in names}
        behind = max(
            place
            for place, other in enumerate(operations)
            if other is operation
            or (
                isinstance(other, migrations.AddField)
                and other.model_name_lower == operation.name_lower
                and other.name in named
            )
        )
        operations.remove(operation)
        operations.insert(behind, operation)
    return operations


def _tables_first(operations: Sequence[Operation], asking: Asking) -> list[Operation]:
    """
    A table gets its name before anything else is done to it; all after know it by that.

    Django renames it last, which would be after what a later release drops. Only a column
    gets its type before: the view for older code would keep the one it has.
    """
    ordered: list[Operation] = []
    for operation in operations:
        place = len(ordered)
        if isinstance(operation, migrations.AlterModelTable):
            name = operation.name_lower
            while place and _may_come_later(ordered[place - 1], name, asking):
                place -= 1
        ordered.insert(place, operation)
    return ordered


def _may_come_later(operation: Any, table_of: str, asking: Asking) -> bool:
    """Than the new name of a table: not code, which may name it, nor other names."""
    if stays_as_it_is(operation):
        return False
    if not isinstance(operation, migrations.AlterField):
        return not isinstance(
            operation,
            migrations.CreateModel
            | migrations.RenameModel
            | migrations.DeleteModel
            | migrations.AlterModelTable,
        )
    if operation.model_name_lower != table_of:
        return True
    step = asking(operation)
    model = step.before.models.get(step.model_key)
    old = model.fields.get(operation.name) if model else None
    if old is None or old.many_to_many or operation.field.many_to_many:
        return False
    changed = facets_of(step, old, operation.field, operation.name)
    return not (changed.type or changed.free_type)


def _computed_first(
    operations: list[Operation], app_label: str, before: ProjectState
) -> list[Operation]:
    """
    What is computed from a column goes before it.

    Until 6.0 Django removes them by name: its DROP COLUMN had a CASCADE.
    """
    places = [n for n, o in enumerate(operations) if isinstance(o, migrations.RemoveField)]
    removals = sorted(
        (operations[n] for n in places), key=lambda o: not is_computed(o, app_label, before)
    )
    for place, removal in zip(places, removals, strict=True):
        operations[place] = removal
    return operations


def is_computed(operation: Any, app_label: str, before: ProjectState) -> bool:
    """Whether the field that it names is a GeneratedField."""
    model = before.models.get((app_label, operation.model_name_lower))
    found = model.fields.get(operation.name) if model else None
    return bool(getattr(found, "generated", False))
