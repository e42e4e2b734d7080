"""E121."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import altered, short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule


@rule("E121", "drop-default", operation=migrations.AlterField)
def drop_default(step: Step) -> Iterator[Finding]:
    """A database default dropped at once breaks inserts of the release still running."""
    op = step.of(migrations.AlterField)
    if not step.existed_before:
        return
    old, new = altered(step)
    if not old.has_db_default() or new.has_db_default() or new.generated:
        return
    chain = chain_for(step)
    yield Finding(
        what=f"AlterField drops the database default of {short(op.name)} in {short(step.table)}.",
        why=(
            "The running release leaves the value to the database: with the default gone, its "
            f"INSERTs into {step.table} write NULL or fail. The ALTER TABLE takes an ACCESS "
            "EXCLUSIVE lock for an instant."
        ),
        instead=chain,
        steps=()
        if chain
        else (
            "Make the other changes of this field first, in a migration of their own.",
            "Drop the database default in a later deploy, when all code sets the value.",
        ),
    )
