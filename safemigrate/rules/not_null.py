"""E109."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import altered, short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule


@rule("E109", "not-null", operation=migrations.AlterField)
def not_null(step: Step) -> Iterator[Finding]:
    """NOT NULL set the ordinary way stops the table while every row is looked at."""
    op = step.of(migrations.AlterField)
    if not step.existed_before:
        return
    old, new = altered(step)
    if not old.null or new.null or new.many_to_many or new.primary_key:
        return
    chain = chain_for(step)
    yield Finding(
        what=f"AlterField makes {short(op.name)} of {short(step.table)} NOT NULL at once.",
        why=(
            f"SET NOT NULL takes an ACCESS EXCLUSIVE lock on {step.table}: every read and write "
            "waits while all rows are filled and looked at. Code of the release that is still "
            "running may write NULL and then fails."
        ),
        instead=chain,
        steps=()
        if chain
        else (
            "Deploy code that never writes NULL there; fill the rest with BatchedBackfill.",
            "Then SeparateDatabaseAndState with this AlterField as state operation, and SetNotNull "
            "in a later migration.",
        ),
    )
