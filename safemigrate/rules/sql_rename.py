"""E144."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.facts.statements import Harm
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import effects_of, quoted, said


@rule("E144", "sql-rename", operation=migrations.RunSQL)
def sql_rename(step: Step) -> Iterator[Finding]:
    """SQL that renames what the running release knows by its old name."""
    for effect in effects_of(step, Harm.RENAME):
        where = f" in {short(effect.table)}" if effect.fact.key == "rename-column" else ""
        thing = effect.name if where or not effect.table else effect.on
        yield Finding(
            what=f"{said(effect)} renames {short(thing, 30)}{where}.",
            why=(
                f"{quoted(effect)}: from that instant on the release that is still running asks "
                "for a name that is gone, and each of its queries about it fails."
            ),
            steps=(
                "Rename the field or the model and run makemigrations; it keeps both names alive.",
                "Or keep the name in the database: db_column, db_table.",
            ),
        )
