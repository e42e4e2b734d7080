"""E118."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule


@rule("E118", "order-with-respect-to", operation=migrations.AlterOrderWithRespectTo)
def order_with_respect_to(step: Step) -> Iterator[Finding]:
    """order_with_respect_to adds or drops a NOT NULL column behind your back."""
    op = step.of(migrations.AlterOrderWithRespectTo)
    had = bool(step.existed_before and step.model.options.get("order_with_respect_to"))
    has = bool(op.order_with_respect_to)
    if not step.existed_before or had == has:
        return
    does = "adds" if has else "drops"
    hurt = (
        "every INSERT of the running release fails with a NOT NULL violation"
        if has
        else "every query of the running release fails, because it names the column"
    )
    yield Finding(
        what=f"AlterOrderWithRespectTo {does} the column _order of {short(step.table)}.",
        why=(
            f"The ALTER TABLE takes an ACCESS EXCLUSIVE lock on {step.table} for an instant; from "
            f"then on {hurt}."
        ),
        instead=chain_for(step),
    )
