"""E146."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.facts.statements import Harm
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import effects_of, quoted, said


@rule("E146", "sql-unbounded-write", operation=migrations.RunSQL)
def sql_unbounded_write(step: Step) -> Iterator[Finding]:
    """SQL that changes as many rows as there are, in one transaction."""
    for effect in effects_of(step, Harm.WRITE):
        word = effect.fact.words
        yield Finding(
            what=f"{said(effect)}: {short(word, 20)} of any number of rows in {short(effect.on)}.",
            why=(
                f"{quoted(effect)} locks every row it changes in {effect.on} until the transaction "
                "ends: writes of the application to them wait, vacuum cannot clean up, and "
                "replicas fall behind."
            ),
            steps=(
                "Use BatchedBackfill, which changes a few rows in each transaction and goes on "
                "where it was stopped.",
                "Or name the rows by their key: WHERE id IN (...), or = on a unique column.",
            ),
        )
