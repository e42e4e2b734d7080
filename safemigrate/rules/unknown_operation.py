"""E120."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.models import CheckConstraint, UniqueConstraint

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.known import is_exclusion, is_known


@rule("E120", "unknown-operation", operation=Operation)
def unknown_operation(step: Step) -> Iterator[Finding]:
    """An operation that nobody knows may lock or break anything."""
    op = step.operation
    known = (CheckConstraint, UniqueConstraint)
    if not is_known(op):
        what = f"Nobody knows what {short(type(op).__name__, 40)} does to the database."
    elif (
        isinstance(op, migrations.AddConstraint)
        and step.existed_before
        and not isinstance(op.constraint, known)
        and not is_exclusion(op.constraint)
    ):
        kind = type(op.constraint).__name__
        what = f"Nobody knows how {short(kind, 40)} is added to {short(step.table)}."
    else:
        return
    yield Finding(
        what=what,
        why=(
            "It may take an ACCESS EXCLUSIVE lock on a table in use for as long as it runs, or "
            "remove what the running release needs. What cannot be judged counts as unsafe."
        ),
        steps=(
            "Use operations of Django or safemigrate where there are some.",
            'Otherwise look up its locks, and wrap it: Assured(..., because="...").',
        ),
    )
