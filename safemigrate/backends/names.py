"""Names of our own objects in a database: found again by name, in every run and by people."""

from __future__ import annotations

import hashlib
import re

PREFIX = "safemigrate"
LEAD = "zz_"
"""Triggers fire in the order of their names: after those that may set the old column."""


def own_name(kind: str, table: str, *parts: str, lead: str = "") -> str:
    """
    ``safemigrate_<kind>_<parts>_<hash>``, at most 63 bytes, the same in every process.

    The hash holds what the cut may have cost; the readable part is for people in psql, and holds
    nothing that would have to be quoted twice. ``lead`` stands in front where the order of names
    matters.
    """
    whole = "\x1f".join((kind, table, *parts))
    tail = hashlib.sha256(whole.encode()).hexdigest()[:8]
    words = re.sub(r'["%]', "", "_".join((table.replace('"."', "_"), *parts)))
    head = f"{lead}{PREFIX}_{kind}_{words}".encode()[: 63 - len(tail) - 1].decode(errors="ignore")
    return f"{head}_{tail}"


def fitting(name: str) -> str:
    """``name``, or if it is over 63 bytes as much of it as fits in front of its hash."""
    if len(name.encode()) <= 63:
        return name
    tail = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: 63 - len(tail) - 1].decode(errors='ignore')}_{tail}"
