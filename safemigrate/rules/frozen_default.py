"""E108."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.facts.defaults import DefaultKind, default_of
from safemigrate.operations.reading import short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule


@rule("E108", "frozen-default", operation=migrations.AddField)
def frozen_default(step: Step) -> Iterator[Finding]:
    """A callable default is called once for all old rows; a volatile one rewrites the table."""
    op = step.of(migrations.AddField)
    if not step.existed_before or op.field.many_to_many or op.field.generated:
        return
    kind = default_of(op.field).kind
    chain = chain_for(step)
    name, table = short(op.name), short(step.table)
    if kind in (DefaultKind.CALLABLE, DefaultKind.EXPRESSION):
        yield Finding(
            what=f"AddField gives {name} of all rows in {table} one and the same value.",
            why=(
                "Django calls the default once and ALTER TABLE writes that one value, under an "
                f"ACCESS EXCLUSIVE lock, into every row of {step.table}: identifiers and times "
                "that should differ do not."
            ),
            instead=chain,
        )
    elif kind is DefaultKind.DATABASE_VOLATILE:
        yield Finding(
            what=f"AddField computes {name} for each row and so rewrites {table}.",
            why=(
                "ADD COLUMN with a default that may differ from row to row rewrites "
                f"{step.table} under an ACCESS EXCLUSIVE lock: every read and write waits."
            ),
            instead=chain,
        )
