"""E119."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import Unjudged, quoted, read, said, sent

_STEPS = (
    "Use an operation instead of SQL where there is one (see safemigrate.operations).",
    "Otherwise look up its lock in the server's manual, and wrap the operation: "
    'Assured(migrations.RunSQL(...), because="...").',
)
_MAY = (
    "It may lock a table in use for as long as it runs, or remove what the running release needs."
)


@rule("E119", "raw-sql", operation=migrations.RunSQL, vendors=("postgresql", "mysql", "oracle"))
def raw_sql(step: Step) -> Iterator[Finding]:
    """SQL that nobody can read may lock or break anything."""
    if step.vendor != "postgresql":
        op = step.of(migrations.RunSQL)
        if any(sent(op.sql)):
            yield Finding(
                what=f"RunSQL for {step.vendor} cannot be judged yet.",
                why=f"safemigrate reads the SQL of PostgreSQL only. {_MAY}",
                steps=_STEPS,
            )
        return
    for item in read(step):
        if isinstance(item, Unjudged):
            yield Finding(
                what=f"{said(item)} sends SQL that cannot be judged.",
                why=f"{quoted(item)}: {item.why}. {_MAY}",
                steps=_STEPS,
            )
