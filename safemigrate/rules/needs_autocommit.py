"""E203."""

from __future__ import annotations

from collections.abc import Iterator

from safemigrate.operations.phases import flat
from safemigrate.operations.reading import short
from safemigrate.rules import known
from safemigrate.rules.base import Finding, Placed, rule


@rule("E203", "needs-autocommit", about=Placed)
def needs_autocommit(placed: Placed) -> Iterator[Finding]:
    """An operation that commits step by step stands in a migration that is one transaction."""
    if not placed.migration.atomic:
        return
    names = sorted(
        {type(o).__name__ for o in flat(placed.migration.operations) if known.needs_autocommit(o)}
    )
    if not names:
        return
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    yield Finding(
        what=f"{short(names[0], 32)}{more} cannot run inside the migration's transaction.",
        why=(
            "PostgreSQL refuses CONCURRENTLY in a transaction, and a backfill or a validation in "
            "one would hold its locks on the table until the end. migrate would stop with an "
            f"error here. It is about {', '.join(names)}."
        ),
        steps=(
            "Set atomic = False on the Migration class.",
            "Move RunPython and others that need the transaction to a migration of their own.",
        ),
    )
