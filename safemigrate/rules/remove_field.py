"""E113."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.backends.fields import deletes_itself
from safemigrate.operations.reading import short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.by_the_server import NO_MIXTURE, by_code_first, let_down


@rule("E113", "remove-field", operation=migrations.RemoveField)
def remove_field(step: Step) -> Iterator[Finding]:
    """A column dropped in the deploy that stops using it breaks the release still running."""
    op = step.of(migrations.RemoveField)
    if not step.existed_before:
        return
    field = step.model.get_field(op.name)
    if field.primary_key:
        return  # the business of E117
    remote: Any = field.remote_field
    if field.many_to_many and remote.through is not None:
        return  # its table belongs to a model that stays
    what = f"RemoveField drops {short(op.name)} of {short(step.table)} while code uses it."
    if deletes_itself(field):
        yield Finding(
            what=what,
            why=let_down(step.table),
            steps=(
                by_code_first(field, "the field as it is"),
                "When the contract of that has run, remove the field.",
                NO_MIXTURE,
            ),
        )
        return
    yield Finding(
        what=what,
        why=(
            f"DROP COLUMN takes an ACCESS EXCLUSIVE lock on {step.table} for an instant; from then "
            "on every query of the running release fails, because Django names each column. The "
            "data is gone, so there is no way back."
        ),
        instead=chain_for(step),
    )
