"""E142."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.facts.statements import Cost
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import effects_of, quoted, said


@rule("E142", "sql-rewrite", operation=migrations.RunSQL)
def sql_rewrite(step: Step) -> Iterator[Finding]:
    """SQL that writes a whole table anew, which nobody can use meanwhile."""
    for effect in effects_of(step):
        if effect.fact.cost is Cost.REWRITE:
            yield Finding(
                what=f"{said(effect)} rewrites {short(effect.on)}: {short(effect.fact.words, 24)}.",
                why=(
                    f"{quoted(effect)} takes ACCESS EXCLUSIVE on {effect.on}: every read and "
                    "write waits until the table and its indexes have been written anew."
                ),
                steps=(f"Use {effect.fact.gentle}.",),
            )
