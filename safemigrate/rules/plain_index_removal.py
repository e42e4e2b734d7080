"""E102."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.known import is_concurrent


@rule("E102", "plain-index-removal", operation=migrations.RemoveIndex)
def plain_index_removal(step: Step) -> Iterator[Finding]:
    """An index dropped the ordinary way stops reads and writes until its lock is had."""
    op = step.of(migrations.RemoveIndex)
    if not step.existed_before or is_concurrent(op):
        return
    yield Finding(
        what=f"RemoveIndex drops {short(op.name)} while blocking {short(step.table)}.",
        why=(
            f"DROP INDEX takes an ACCESS EXCLUSIVE lock on {step.table}: while it waits for the "
            "longest running query, every later SELECT, INSERT, UPDATE and DELETE waits behind it."
        ),
        instead=chain_for(step),
    )
