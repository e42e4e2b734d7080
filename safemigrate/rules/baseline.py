"""E304."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from safemigrate.operations.reading import short
from safemigrate.rules.base import BaselineRead, Finding, rule


@rule("E304", "baseline", about=BaselineRead)
def baseline(read: BaselineRead) -> Iterator[Finding]:
    """A baseline that cannot be read exempts nothing."""
    if read.error:
        yield Finding(
            what=f"The baseline {short(Path(read.path).name, 40)} cannot be read.",
            why=f"{read.path}: {read.error} Every migration is judged as if it were new.",
            steps=(
                "Restore it from version control.",
                "Or write it anew: `manage.py safemigrate baseline --renew`; review the change.",
            ),
        )
