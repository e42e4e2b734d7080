"""E101."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.known import is_concurrent


@rule("E101", "plain-index", operation=(migrations.AddIndex, migrations.AlterIndexTogether))
def plain_index(step: Step) -> Iterator[Finding]:
    """An index built the ordinary way stops all writes until it is done."""
    op, table = step.operation, step.table
    if not step.existed_before or is_concurrent(op):
        return
    why = (
        f"CREATE INDEX takes a SHARE lock on {table}: reads continue, every INSERT, UPDATE and "
        "DELETE waits until the whole table has been read."
    )
    if isinstance(op, migrations.AddIndex):
        yield Finding(
            what=f"AddIndex builds {short(op.index.name)} while blocking writes to {short(table)}.",
            why=why,
            instead=chain_for(step),
        )
    elif isinstance(op, migrations.AlterIndexTogether):
        before = step.model.options.get("index_together") or set()
        if set(op.option_value or ()) - set(before):
            yield Finding(
                what=f"AlterIndexTogether builds an index, blocking writes to {short(table)}.",
                why=why,
                steps=("Declare it as a models.Index in Meta.indexes and run makemigrations.",),
            )
