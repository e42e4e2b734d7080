"""E114."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule


@rule("E114", "delete-model", operation=migrations.DeleteModel)
def delete_model(step: Step) -> Iterator[Finding]:
    """A table dropped in the deploy that stops using it breaks the release still running."""
    if not step.existed_before:
        return
    yield Finding(
        what=f"DeleteModel drops {short(step.table)} while code uses it.",
        why=(
            f"DROP TABLE ... CASCADE takes ACCESS EXCLUSIVE locks on {step.table} and on each "
            "table it refers to; from then on every query of the running release on it fails. The "
            "data is gone, so there is no way back."
        ),
        instead=chain_for(step),
    )
