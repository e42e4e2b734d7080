"""E107."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule


@rule("E107", "required-field", operation=migrations.AddField)
def required_field(step: Step) -> Iterator[Finding]:
    """A new NOT NULL column without a database default breaks inserts of the running release."""
    op = step.of(migrations.AddField)
    new = op.field
    if not step.existed_before or new.null or new.many_to_many or new.primary_key:
        return
    if new.has_db_default() or new.generated:
        return
    chain = chain_for(step)
    yield Finding(
        what=f"AddField makes {short(op.name)} required in {short(step.table)} at once.",
        why=(
            "Django drops the database default again at once: every INSERT of the release that is "
            f"still running fails on {step.table} with a NOT NULL violation. The ALTER TABLE takes "
            "an ACCESS EXCLUSIVE lock."
        ),
        instead=chain,
        steps=()
        if chain
        else (
            "Add the field with null=True, or with a default, and deploy code that sets it.",
            "Fill the old rows with BatchedBackfill; make it NOT NULL in a later deploy.",
        ),
    )
