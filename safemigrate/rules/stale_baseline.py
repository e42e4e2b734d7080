"""W402."""

from __future__ import annotations

from collections.abc import Iterator

from safemigrate.rules.base import BaselineRead, Finding, rule


@rule("W402", "stale-baseline", about=BaselineRead)
def stale_baseline(read: BaselineRead) -> Iterator[Finding]:
    """The baseline exempts migrations that are no longer there."""
    if not read.gone:
        return
    many = f"{len(read.gone)} migrations" if len(read.gone) > 1 else "a migration"
    names = ", ".join(read.gone[:5]) + (", ..." if len(read.gone) > 5 else "")
    yield Finding(
        what=f"The baseline names {many} that cannot be found.",
        why=(
            f"{names}: a migration that comes back under such a name would be exempt, and until "
            "the baseline is right every check reads all migrations."
        ),
        steps=("Run `manage.py safemigrate baseline`, and review the change.",),
    )
