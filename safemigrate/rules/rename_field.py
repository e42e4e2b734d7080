"""E111."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.operations.reading import altered, column_name, short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.known import free_of_index_together


@rule("E111", "rename-field", operation=(migrations.RenameField, migrations.AlterField))
def rename_field(step: Step) -> Iterator[Finding]:
    """A renamed column breaks every query of the release that is still running."""
    op: Any = step.operation
    if not step.existed_before:
        return
    old, new = _names(step)
    if old == new:
        return
    chain = chain_for(step)
    keep = "Keep the column and change the code alone: db_column"
    yield Finding(
        what=f"{type(op).__name__} renames {short(old)} of {short(step.table)} to {short(new)}.",
        why=(
            f"ALTER TABLE ... RENAME takes an ACCESS EXCLUSIVE lock on {step.table} for an "
            f"instant; from then on each query of the running release that names {old} fails."
        ),
        instead=chain,
        steps=()
        if chain
        else free_of_index_together(step, getattr(op, "old_name", op.name))
        or (
            f'{keep}="{old}" on the renamed field needs no change of the table.',
            "Otherwise add the new field, nullable, and deploy code that writes both.",
            "Copy the old rows with BatchedBackfill; deploy code that reads the new field.",
            "Remove the old field in a later deploy.",
        ),
    )


def _names(step: Step) -> tuple[str | None, str | None]:
    """The column before and after; of a many-to-many field the table that Django names by it."""
    op: Any = step.operation
    if isinstance(op, migrations.AlterField):
        old, new = altered(step)
        if old.many_to_many or new.many_to_many:
            return None, None
        return column_name(old, op.name), column_name(new, op.name)
    field = step.model.get_field(op.old_name)
    if field.many_to_many:
        remote: Any = field.remote_field
        if remote.through is not None or getattr(field, "db_table", None):
            return None, None
        return f"{step.table}_{op.old_name}", f"{step.table}_{op.new_name}"
    return column_name(field, op.old_name), column_name(field, op.new_name)
