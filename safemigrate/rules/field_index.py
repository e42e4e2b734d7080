"""E116."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.operations.reading import altered, has_foreign_key, short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule


@rule("E116", "field-index", operation=(migrations.AddField, migrations.AlterField))
def field_index(step: Step) -> Iterator[Finding]:
    """The index of a field with db_index, built the ordinary way, stops all writes."""
    op: Any = step.operation
    if not step.existed_before or not _builds_index(step):
        return
    chain, table = chain_for(step), step.table
    yield Finding(
        what=f"{type(op).__name__} indexes {short(op.name)}, stopping writes to {short(table)}.",
        why=(
            f"CREATE INDEX takes a SHARE lock on {step.table}: reads continue, every INSERT, "
            "UPDATE and DELETE waits until the whole table has been read; for text twice, because "
            "of the _like index."
        ),
        instead=chain,
        steps=()
        if chain
        else (
            "Make the other changes of this field first, in a migration of their own.",
            "Then set db_index=True and run makemigrations; it builds the index concurrently.",
        ),
    )


def _builds_index(step: Step) -> bool:
    op: Any = step.operation
    new = op.field
    if not new.db_index or new.unique or new.primary_key or new.many_to_many:
        return False
    if isinstance(op, migrations.AddField):
        return not has_foreign_key(new)  # with a foreign key it is part of E106
    old = altered(step)[0]
    if has_foreign_key(new) and not has_foreign_key(old):
        return False
    return old.unique or not old.db_index
