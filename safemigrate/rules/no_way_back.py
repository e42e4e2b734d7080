"""W403."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import sent


@rule("W403", "no-way-back", operation=(migrations.RunSQL, migrations.RunPython))
def no_way_back(step: Step) -> Iterator[Finding]:
    """Without a way back a migration cannot be unapplied when a deploy has to go back."""
    op = step.operation
    name, way = type(op).__name__, "reverse_sql"
    if isinstance(op, migrations.RunSQL):
        missing = op.reverse_sql is None and any(sent(op.sql))
    else:
        way = "reverse_code"
        run = step.of(migrations.RunPython)
        missing = run.reverse_code is None and run.code is not migrations.RunPython.noop
    if missing:
        yield Finding(
            what=f"{name} says no way back.",
            why=(
                "migrate cannot unapply this migration, nor any before it: if the deploy goes "
                "wrong, the database stays where it is."
            ),
            steps=(
                f"Give it {way}.",
                f"If nothing has to be undone: {way}=migrations.{name}.noop.",
            ),
        )
