"""E303."""

from __future__ import annotations

from collections.abc import Iterator

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Unreadable, rule


@rule("E303", "unreadable-migration", about=Unreadable)
def unreadable_migration(unreadable: Unreadable) -> Iterator[Finding]:
    """What cannot be loaded cannot be judged, and so counts as unsafe."""
    error = unreadable.error
    said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    yield Finding(
        what=f"{short(unreadable.name, 50)} cannot be read and judged.",
        why=f"Nobody can say what it does to the tables. It says: {' '.join(said.split())}",
        steps=(
            "Correct it; `manage.py makemigrations --check` shows the same error.",
            "If two branches met here they may contradict each other: delete the migrations of the "
            "one that ran nowhere yet, and run makemigrations again for its models.",
        ),
    )
