"""E115."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.operations.reading import altered, same_column, short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule


@rule("E115", "generated-field", operation=(migrations.AddField, migrations.AlterField))
def generated_field(step: Step) -> Iterator[Finding]:
    """A stored generated column is computed for every row while the table is stopped."""
    op: Any = step.operation
    if not step.existed_before or not _stores(step):
        return
    yield Finding(
        what=f"{type(op).__name__} computes and stores {short(op.name)} in {short(step.table)}.",
        why=(
            f"A stored generated column rewrites {step.table} under an ACCESS EXCLUSIVE lock: "
            "every read and write waits until each row has been computed."
        ),
        instead=chain_for(step),
        steps=(
            "On PostgreSQL 18 and newer use db_persist=False: computed when read, added at once.",
            "Otherwise add a nullable field and deploy code that writes it.",
            "Fill the old rows with BatchedBackfill and the same expression.",
        ),
    )


def _stores(step: Step) -> bool:
    op: Any = step.operation
    if isinstance(op, migrations.AddField):
        return bool(getattr(op.field, "db_persist", False))
    old, new = altered(step)
    if not (old.generated or new.generated) or same_column(old, new):
        return False
    return any(getattr(field, "db_persist", False) for field in (old, new))
