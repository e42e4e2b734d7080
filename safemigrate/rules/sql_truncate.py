"""E145."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.facts.statements import Harm
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import effects_of, quoted, said


@rule("E145", "sql-truncate", operation=migrations.RunSQL)
def sql_truncate(step: Step) -> Iterator[Finding]:
    """SQL that empties a table that the running release reads."""
    for effect in effects_of(step, Harm.TRUNCATE):
        yield Finding(
            what=f"{said(effect)} empties {short(effect.on, 40)}.",
            why=(
                f"{quoted(effect)} takes ACCESS EXCLUSIVE on {effect.on} and on what CASCADE "
                "reaches. The rows are gone for the release that is running, and no way back "
                "brings them."
            ),
            steps=(
                "If nobody uses the table, drop it instead: remove the model and run "
                "makemigrations.",
                "If the rows are to go, delete them in batches outside of migrations.",
            ),
        )
