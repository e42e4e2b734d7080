"""What ``sqlmigrate`` prints, run as a DBA would run it, line by line in psql."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

FIRST, LAST = "-1000000", "1000000"


def by_hand(lines: Iterable[str]) -> Iterator[str]:
    """Each statement; of a fill, which is a comment, the UPDATE of one batch with all rows."""
    for line in lines:
        if line.startswith("-- UPDATE "):
            bounded = re.sub(r":after\b", FIRST, line.removeprefix("-- "))
            yield re.sub(r":upto\b", LAST, bounded)
        elif line.strip() and not line.startswith("--"):
            yield line
