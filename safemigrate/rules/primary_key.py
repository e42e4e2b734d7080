"""E117."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.operations.reading import altered, short
from safemigrate.rules.base import Finding, Step, rule


@rule("E117", "primary-key", operation=(migrations.AddField, migrations.AlterField))
def primary_key(step: Step) -> Iterator[Finding]:
    """Another primary key rebuilds its index and everything that refers to it."""
    op: Any = step.operation
    if not step.existed_before or not _changes(step):
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


def _changes(step: Step) -> bool:
    op: Any = step.operation
    if isinstance(op, migrations.AddField):
        return bool(op.field.primary_key)
    old, new = altered(step)
    return bool(old.primary_key != new.primary_key)
