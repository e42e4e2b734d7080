"""E109."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.models import Q

from safemigrate.facts.defaults import DefaultKind, default_of
from safemigrate.operations import BatchedBackfill, SetNotNull
from safemigrate.operations.reading import altered, same_column, short
from safemigrate.operations.remedies import Chain, chain_for
from safemigrate.rules.base import Finding, Step, rule


@rule("E109", "not-null", operation=migrations.AlterField)
def not_null(step: Step) -> Iterator[Finding]:
    """NOT NULL set the ordinary way stops the table while every row is looked at."""
    op: migrations.AlterField = step.operation  # type: ignore[assignment]
    if not step.existed_before:
        return
    old, new = altered(step)
    if not old.null or new.null or new.many_to_many or new.primary_key:
        return
    chain = chain_for(step) or _chain(op, old)
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


def _chain(op: migrations.AlterField, old: Any) -> Chain | None:
    """Fill what is NULL and keep it filled, then require it; None without a value to fill in."""
    default = default_of(op.field)
    says = (DefaultKind.CONSTANT, DefaultKind.EXPRESSION)
    only_null = same_column(old, op.field) and old.unique == op.field.unique
    if default.kind not in says or not only_null or op.field.unique:
        return None
    fill = BatchedBackfill(
        op.model_name,
        values={op.name: default.value},
        where=Q(**{f"{op.name}__isnull": True}),
        keep_filled=True,
    )
    state = migrations.SeparateDatabaseAndState(state_operations=[op])
    return Chain(expand=[state], backfill=[fill], contract=[SetNotNull(op.model_name, op.name)])
