"""E117."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.operations.reading import altered, is_counted, short
from safemigrate.rules.base import Finding, Step, rule


@rule(
    "E117",
    "primary-key",
    operation=(migrations.AddField, migrations.AlterField, migrations.RemoveField),
)
def primary_key(step: Step) -> Iterator[Finding]:
    """Another primary key rebuilds its index and everything that refers to it."""
    op: Any = step.operation
    if not step.existed_before:
        return
    if _is_counted_otherwise(step):
        yield _counted(step)
        return
    if not _changes(step):
        return
    if _is_composite(step):
        yield _of_several_columns(step)
        return
    if getattr(getattr(getattr(op, "field", None), "remote_field", None), "parent_link", False):
        yield _another_base(step)
        return
    yield Finding(
        what=f"{type(op).__name__} changes the primary key of {short(step.table)}.",
        why=(
            f"ADD PRIMARY KEY takes an ACCESS EXCLUSIVE lock on {step.table}: every read and write "
            "waits while its index is built and all rows are looked at. The running release finds "
            "and deletes rows by the old key."
        ),
        steps=(
            "Add the new key as an ordinary unique field; makemigrations writes it safely.",
            "Deploy code that uses it, and move the foreign keys to it, one by one.",
            "Or create a new model with the new key and copy the rows with BatchedBackfill.",
        ),
    )


def _another_base(step: Step) -> Finding:
    op: Any = step.operation
    return Finding(
        what=f"{type(op).__name__} gives {short(step.table)} another base class with a table.",
        why=(
            f"The link to the parent becomes the primary key of {step.table}, under an ACCESS "
            "EXCLUSIVE lock while its index is built; every row would need a row of the parent "
            "with the same key first, and the running release makes none."
        ),
        steps=(
            f"Keep {step.model.name} as it is and add an ordinary OneToOneField to the parent, "
            "nullable.",
            "Or make a new model with that base, deploy code that writes both, and copy the rows.",
        ),
    )


def _counted(step: Step) -> Finding:
    op: Any = step.operation
    return Finding(
        what=f"AlterField changes who numbers the rows of {short(step.table)}.",
        why=(
            f"With its sequence gone, every INSERT of the running release fails for want of "
            f"{op.name}; with a new one, numbers begin at 1 again and meet rows that are there."
        ),
        steps=(
            "Keep the field as it is, and set the value in code where it is not the next number.",
            "Or add a new key beside it; see the other steps of this rule.",
        ),
    )


def _is_counted_otherwise(step: Step) -> bool:
    if not isinstance(step.operation, migrations.AlterField):
        return False
    old, new = altered(step)
    both_keys = old.primary_key and new.primary_key
    return bool(both_keys and is_counted(old) != is_counted(new))


def _changes(step: Step) -> bool:
    op: Any = step.operation
    if isinstance(op, migrations.AddField):
        return bool(op.field.primary_key)
    if isinstance(op, migrations.RemoveField):
        return bool(step.model.get_field(op.name).primary_key)
    old, new = altered(step)
    if _columns(old) or _columns(new):
        return _columns(old) != _columns(new)
    return bool(old.primary_key != new.primary_key)


def _columns(field: Any) -> tuple[str, ...]:
    """The fields that a CompositePrimaryKey is made of; of any other field none."""
    names: tuple[str, ...] = getattr(field, "field_names", ())
    return names


def _is_composite(step: Step) -> bool:
    op: Any = step.operation
    old = step.model.fields.get(op.name)
    return bool(_columns(getattr(op, "field", None)) or _columns(old))


def _of_several_columns(step: Step) -> Finding:
    op: Any = step.operation
    old = _columns(step.model.fields.get(op.name))
    names = _columns(getattr(op, "field", None)) or old
    listed = ", ".join(repr(name) for name in names)
    table = f"{step.model.name}New"
    return Finding(
        what=f"{type(op).__name__} changes the composite primary key of {short(step.table)}.",
        why=(
            "Django sends nothing to the database for a CompositePrimaryKey of a table that is "
            f"there, so {step.table} would keep its old key. By hand, ADD PRIMARY KEY takes an "
            "ACCESS EXCLUSIVE lock while all rows are looked at, and the running release finds "
            "rows by the old key."
        ),
        steps=(
            f"Keep the key and add UniqueConstraint(fields=[{listed}]), which is built while "
            "the table is in use: for look-ups it is as good.",
            f"If it must be the key: make a new model {table} with CompositePrimaryKey({listed}), "
            "deploy code that writes both, and copy the rows with BatchedBackfill.",
            f"Deploy code that reads {table}; remove {step.model.name} in a later release.",
        ),
    )
