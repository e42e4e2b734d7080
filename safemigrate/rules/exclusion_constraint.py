"""E105."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.known import is_exclusion


@rule("E105", "exclusion-constraint", operation=migrations.AddConstraint)
def exclusion_constraint(step: Step) -> Iterator[Finding]:
    """An exclusion constraint on a filled table stops it while its index is built."""
    op = step.of(migrations.AddConstraint)
    if not step.existed_before or not is_exclusion(op.constraint):
        return
    yield Finding(
        what=f"AddConstraint builds exclusion {short(op.constraint.name)} on {short(step.table)}.",
        why=(
            f"ADD CONSTRAINT ... EXCLUDE takes an ACCESS EXCLUSIVE lock on {step.table}: every "
            "read and write waits until its index is built. PostgreSQL has no way to add one "
            "concurrently or NOT VALID."
        ),
        steps=(
            "Create a new model with the constraint, empty; deploy code that writes to both.",
            "Copy the rows with BatchedBackfill(function=...); deploy code that uses the new one.",
            "Remove the old model in a later deploy.",
        ),
    )
