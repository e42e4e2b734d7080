"""E103."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.models import UniqueConstraint

from safemigrate.operations.reading import altered, short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule

_BY_HAND = (
    "Build the index first: RunSQL with CREATE UNIQUE INDEX CONCURRENTLY, inside Assured, in a "
    "migration of its own with atomic = False.",
    "Then, in the next migration, SeparateDatabaseAndState: {operation} as state operation; as "
    "database operation RunSQL with ALTER TABLE {table} ADD CONSTRAINT ... UNIQUE USING INDEX, "
    "inside Assured. A unique index with a condition or expressions is the constraint already.",
)


@rule(
    "E103",
    "unique",
    operation=(
        migrations.AddConstraint,
        migrations.AddField,
        migrations.AlterField,
        migrations.AlterUniqueTogether,
    ),
)
def unique(step: Step) -> Iterator[Finding]:
    """A unique constraint added the ordinary way stops the table while its index is built."""
    if not step.existed_before or not (subject := _made_unique(step)):
        return
    chain = chain_for(step)
    name = type(step.operation).__name__
    yield Finding(
        what=f"{name} makes {short(subject)} unique while blocking {short(step.table)}.",
        why=(
            f"Building its unique index takes at least a SHARE lock on {step.table}, and ADD "
            "CONSTRAINT an ACCESS EXCLUSIVE one: every write waits, with a constraint every read "
            "too, until the whole table has been read. One duplicate undoes it all."
        ),
        instead=chain,
        steps=() if chain else tuple(_steps(step)),
    )


def _steps(step: Step) -> Iterator[str]:
    if isinstance(step.operation, migrations.AlterField):
        yield "Make the other changes of this field first, in a migration of their own."
        yield "Then set unique=True and run makemigrations; it builds the index concurrently."
        return
    name = type(step.operation).__name__
    yield from (text.format(operation=name, table=step.table) for text in _BY_HAND)


def _made_unique(step: Step) -> str:
    """What becomes unique; empty if nothing does."""
    op: Any = step.operation
    if isinstance(op, migrations.AddConstraint):
        return str(op.constraint.name) if isinstance(op.constraint, UniqueConstraint) else ""
    if isinstance(op, migrations.AlterUniqueTogether):
        before = step.model.options.get("unique_together") or set()
        grown = set(op.option_value or ()) - {tuple(names) for names in before}
        return ", ".join(min(grown)) if grown else ""
    if op.field.many_to_many or op.field.primary_key or not op.field.unique:
        return ""
    if isinstance(op, migrations.AlterField) and altered(step)[0].unique:
        return ""
    return str(op.name)
