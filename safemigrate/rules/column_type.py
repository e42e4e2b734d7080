"""E110."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.facts.types import is_free
from safemigrate.operations.reading import (
    altered,
    collation_of,
    computed_from,
    db_type,
    is_read_again,
    like_index_is_rebuilt,
    same_column,
    short,
)
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.known import free_of_index_together


@rule("E110", "column-type", operation=migrations.AlterField)
def column_type(step: Step) -> Iterator[Finding]:
    """A change of type that is not free rewrites the table and its indexes."""
    op = step.of(migrations.AlterField)
    if not step.existed_before or not (change := _change(step)):
        return
    if computed := computed_from(step, op.name):
        yield _computed(step, change, computed)
        return
    chain = chain_for(step)
    yield Finding(
        what=f"AlterField changes the type of {short(op.name)} in {short(step.table)}.",
        why=(
            f"ALTER COLUMN ... TYPE ({change}) takes an ACCESS EXCLUSIVE lock on {step.table}: "
            "every read and write waits while the table is rewritten or its indexes are built "
            "anew. The release that is still running may not understand the new type."
        ),
        instead=chain,
        steps=() if chain else free_of_index_together(step, op.name) or tuple(_steps(op)),
    )


def _computed(step: Step, change: str, computed: list[str]) -> Finding:
    op, names = step.of(migrations.AlterField), " and ".join(computed)
    return Finding(
        what=f"AlterField changes the type of {short(op.name)} in {short(step.table)}.",
        why=(
            f"{names} of {step.table} is computed from it, and PostgreSQL changes no type of such "
            f"a column ({change}): the migration would fail."
        ),
        steps=(
            f"Remove {names} in a release of its own; code computes it meanwhile.",
            f"Change {op.name} in the release after it; makemigrations writes it.",
            f"Add {names} again then. A virtual one comes at once; a stored one rewrites the "
            "table, which E115 has the steps for.",
        ),
    )


def _steps(op: migrations.AlterField) -> Iterator[str]:
    new, model = f"{op.name}_new", op.model_name.lower()
    yield (
        f"Add a field {new} of the new type, nullable; makemigrations writes it. "
        "Deploy code that writes both."
    )
    yield (
        f'Copy the old rows: BatchedBackfill("{model}", function="...", '
        f"where=Q({new}__isnull=True)), a function that makes one value of the other. "
        f"Deploy code that reads {new}."
    )
    yield f"Remove {op.name} in a later deploy; then rename {new} to {op.name}, if you must."


def _change(step: Step) -> str:
    """The change in a few words; empty if it is free or none."""
    old, new = altered(step)
    if old.many_to_many or new.many_to_many or old.generated or new.generated:
        return ""  # the business of E106, E112 and E115
    if hasattr(old, "field_names") or hasattr(new, "field_names"):
        return ""  # a composite key has no column; the business of E117
    name = step.of(migrations.AlterField).name
    was, becomes = db_type(step, old, name), db_type(step, new, name)
    if was is None or becomes is None:
        return "" if same_column(old, new) else "to one that cannot be told without the database"
    if not is_free(was, becomes):
        return f"{was} to {becomes}"
    if was != becomes and computed_from(step, name):
        return f"{was} to {becomes}"
    if was != becomes and is_read_again(step, name):
        return f"{was} to {becomes}, and a CHECK or index that rests on it"
    if like_index_is_rebuilt(old, was, becomes):
        return f"{was} to {becomes}, and its _like index"
    if collation_of(old) != collation_of(new):
        return f"collation {collation_of(old) or 'default'} to {collation_of(new) or 'default'}"
    return ""
