"""E119."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.rules.base import Finding, Step, rule


@rule("E119", "raw-sql", operation=migrations.RunSQL)
def raw_sql(step: Step) -> Iterator[Finding]:
    """SQL that nobody has read may lock or break anything."""
    op: migrations.RunSQL = step.operation  # type: ignore[assignment]
    if not op.sql or op.sql == migrations.RunSQL.noop:
        return
    yield Finding(
        what="RunSQL sends SQL that safemigrate cannot judge yet.",
        why=(
            "It may take an ACCESS EXCLUSIVE lock on a table in use for as long as it runs, or "
            "remove what the running release needs. Only you know which table and which lock."
        ),
        steps=(
            "Use an operation instead of SQL where there is one (see safemigrate.operations).",
            "Otherwise look up its lock in PostgreSQL's manual, and wrap the operation: "
            'Assured(migrations.RunSQL(...), because="...").',
        ),
    )
