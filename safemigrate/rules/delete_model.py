"""E114."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.backends.fields import deletes_itself
from safemigrate.operations.reading import short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.by_the_server import NO_MIXTURE, by_code_first, let_down


@rule("E114", "delete-model", operation=migrations.DeleteModel)
def delete_model(step: Step) -> Iterator[Finding]:
    """A table dropped in the deploy that stops using it breaks the release still running."""
    if not step.existed_before:
        return
    what = f"DeleteModel drops {short(step.table)} while code uses it."
    name = step.model.name
    first = [
        by_code_first(field, f"{name}.{field_name}")
        for field_name, field in step.model.fields.items()
        if deletes_itself(field)
    ]
    if first:
        yield Finding(
            what=what,
            why=let_down(step.table),
            steps=(*first, f"When the contract of that has run, remove {name}.", NO_MIXTURE),
        )
        return
    yield Finding(
        what=what,
        why=(
            f"DROP TABLE ... CASCADE takes ACCESS EXCLUSIVE locks on {step.table} and on each "
            "table it refers to; from then on every query of the running release on it fails. The "
            "data is gone, so there is no way back."
        ),
        instead=chain_for(step),
    )
