"""Columns and tables that stay, where Django would see one thing go and another come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.utils import resolve_relation

from safemigrate.operations.reading import column_name
from safemigrate.operations.redefining import definition

Kept = dict[str, list[Operation]]
"""``{app_label: operations}``: changes of the state alone."""


def kept(before: ProjectState, after: ProjectState) -> Kept:
    """What to tell the state first, so that the autodetector finds only what really differs."""
    found: Kept = {}
    for app_label, operation in _tables(before, after):
        found.setdefault(app_label, []).append(operation)
    for key in sorted(set(before.models) & set(after.models)):
        old, new = before.models[key], after.models[key]
        mine = found.setdefault(key[0], [])
        for operations in _columns(old, new):
            mine += operations
        mine += _taken_names(old, new)
        if adopted := list(_through_tables(before, after, old, new)):
            mine.append(migrations.SeparateDatabaseAndState(state_operations=adopted))
    for old, new in _perhaps_renamed(before, after):
        found.setdefault(old.app_label, []).extend(_taken_names(old, new))
    return {app_label: operations for app_label, operations in found.items() if operations}


def told(before: ProjectState, things: Kept) -> ProjectState:
    """A state after ``things``; the one before stays as it is."""
    state = before.clone()
    for app_label, operations in things.items():
        for operation in operations:
            operation.state_forwards(app_label, state)
    return state


def put_first(changes: dict[str, list[Migration]], things: Kept) -> None:
    """Before everything else that was found about these apps."""
    for app_label, operations in things.items():
        if not changes.get(app_label):
            empty = type("Migration", (Migration,), {})("auto_1", app_label)
            changes[app_label] = [empty]
        first: Any = changes[app_label][0]
        first.operations = [*operations, *first.operations]


def _tables(before: ProjectState, after: ProjectState) -> Iterator[tuple[str, Operation]]:
    """
    A model that goes, and one that comes with its table: perhaps the same under a new name.

    Named first, the table is not renamed together with the model, and then back.
    """
    come = [model for key, model in after.models.items() if key not in before.models]
    for (app_label, name), old in before.models.items():
        table = f"{app_label}_{name}"
        takes = any(m.app_label == app_label and m.options.get("db_table") == table for m in come)
        if takes and (app_label, name) not in after.models and not old.options.get("db_table"):
            pinned = migrations.AlterModelTable(old.name, table)
            yield app_label, migrations.SeparateDatabaseAndState(state_operations=[pinned])


def _perhaps_renamed(
    before: ProjectState, after: ProjectState
) -> Iterator[tuple[ModelState, ModelState]]:
    """A model that goes, and one that comes with fields of the same names."""
    for key in sorted(before.models.keys() - after.models.keys()):
        for heir in sorted(after.models.keys() - before.models.keys()):
            old, new = before.models[key], after.models[heir]
            if heir[0] == key[0] and old.fields.keys() == new.fields.keys():
                yield old, new


def _columns(old: ModelState, new: ModelState) -> Iterator[list[Operation]]:
    """A field that goes and one that comes on the same column, such as a number made a key."""
    gone = {name: field for name, field in old.fields.items() if name not in new.fields}
    come = {name: field for name, field in new.fields.items() if name not in old.fields}
    for name, field in gone.items():
        column = column_name(field, name)
        heir = next((n for n, other in come.items() if column_name(other, n) == column), None)
        if column is None or heir is None:
            continue
        pinned: Any = field.clone()
        pinned.db_column = column
        operations: list[Operation] = [migrations.RenameField(old.name, name, heir)]
        if field.db_column is None:
            operations.insert(0, migrations.AlterField(old.name, name, pinned))
        if pinned.deconstruct()[1:] == come[heir].deconstruct()[1:]:
            yield operations  # a rename, which indexes and constraints follow
        else:
            yield [migrations.SeparateDatabaseAndState(state_operations=operations)]


def _taken_names(old: ModelState, new: ModelState) -> Iterator[Operation]:
    """
    Indexes that get the name of another one which goes or changes: they go, and come anew.

    Django renames them one after the other, and then its state, or its optimizer, takes two for
    one.
    """
    gone = [one for one in old.options["indexes"] if one not in new.options["indexes"]]
    come = [one for one in new.options["indexes"] if one not in old.options["indexes"]]
    for index in gone:
        others = {other.name for other in gone if other is not index}
        if any(new.name in others and definition(new) == definition(index) for new in come):
            yield migrations.RemoveIndex(old.name, index.name)


def _through_tables(
    before: ProjectState, after: ProjectState, old: ModelState, new: ModelState
) -> Iterator[Operation]:
    """A many-to-many field that gets a model for the table that it has."""
    for name, field in new.fields.items():
        was: Any = old.fields.get(name)
        if was is None or not (was.many_to_many and field.many_to_many):
            continue
        through = getattr(field.remote_field, "through", None)
        if was.remote_field.through is not None or through is None:
            continue
        key = resolve_relation(through, new.app_label, new.name_lower)
        if key in after.models and key not in before.models and key[0] == new.app_label:
            yield from _adopted(before, after.models[key], old, name, field)


def _adopted(
    before: ProjectState, model: ModelState, owner: ModelState, name: str, field: Any
) -> Iterator[Operation]:
    """The model with the fields that Django's own table has; what else it has is found as new."""
    was = before.clone().apps.get_model(owner.app_label, owner.name)._meta.get_field(name)
    table: Any = was.remote_field.through._meta
    names = _ends(model, owner, was, table, getattr(field.remote_field, "through_fields", None))
    if names is None:
        return
    fields: list[tuple[str, Any]] = []
    for own in table.local_concrete_fields:
        called = names.get(own.name, own.name)
        fields.append((called, _as_it_is(own, model.fields.get(called), called)))
    together = {tuple(names[part] for part in parts) for parts in table.unique_together}
    options = {"db_table": table.db_table, "unique_together": together}
    yield migrations.CreateModel(model.name, fields, options=options)
    yield migrations.AlterField(owner.name, name, field)


def _as_it_is(own: Any, heir: Any, called: str) -> Any:
    """The model's field as far as only Python sees it; the column as Django has made it."""
    if type(heir) is not type(own):
        heir = own
    twin = heir.clone()
    twin.null, twin.db_comment = own.null, None
    if own.remote_field:
        twin.db_index, twin.db_constraint = own.db_index, own.db_constraint
    if column_name(twin, called) != own.column:
        twin.db_column = own.column
    return twin


def _ends(
    model: ModelState, owner: ModelState, was: Any, table: Any, through_fields: Any
) -> dict[str, str] | None:
    """``{field of Django's table: field of the model}``; None if the model has no such two."""
    own_ends = (was.m2m_field_name(), was.m2m_reverse_field_name())
    if through_fields:
        return dict(zip(own_ends, through_fields, strict=True))
    wanted = [(table.get_field(end).remote_field.model._meta.label_lower, end) for end in own_ends]
    left = {
        name: ".".join(resolve_relation(f.remote_field.model, model.app_label, model.name_lower))
        for name, f in model.fields.items()
        if f.many_to_one and f.remote_field
    }
    names: dict[str, str] = {}
    for label, end in wanted:
        match = next((name for name, target in left.items() if target == label), None)
        if match is None:
            return None
        names[end] = match
        del left[match]
    return names
