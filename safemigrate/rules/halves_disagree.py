"""E207."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.halves import Difference, Kind, database_half, differences


@rule(
    "E207",
    "halves-disagree",
    operation=(migrations.SeparateDatabaseAndState, migrations.RunSQL),
)
def halves_disagree(step: Step) -> Iterator[Finding]:
    """The state half of one operation says something else than its database half does."""
    if not database_half(step.operation):
        return
    found = differences(step)
    for one in found:
        if one.kind is Kind.MISSING:
            yield _missing(one, [d for d in found if d.kind is Kind.LEFT])
        elif one.kind is Kind.OTHER:
            yield _other(one)


def _missing(one: Difference, left: list[Difference]) -> Finding:
    found = next((d.thing for d in left if bool(d.column) == bool(one.column)), "")
    return Finding(
        what=f"Only the state half has {short(one.thing, 40)}.",
        why=(
            f"Code reads and writes {one.thing}, and every query that names it fails, as soon as "
            "that code runs: no database operation makes it, here or in another migration."
            + (f" The database half leaves {found} instead." if found else "")
        ),
        steps=(
            f"Correct the half that is wrong, so that both name {one.thing}.",
            f"Where {one.thing} was made by hand, say how in the database half (RunSQL with IF "
            "NOT EXISTS), for databases that are new.",
        ),
    )


def _other(one: Difference) -> Finding:
    return Finding(
        what=f"The halves disagree on {short(one.thing, 40)}.",
        why=(
            f"{one.thing} is {one.says}: values that the code takes for valid are refused, or come "
            "back as something else. To change the type later is a rewrite under an ACCESS "
            "EXCLUSIVE lock."
        ),
        steps=("Give both halves the same field or type, before this is applied anywhere.",),
    )
