"""Names of our own objects in a database: found again by name, in every run and by people."""

from __future__ import annotations

import hashlib

PREFIX = "safemigrate"


def own_name(kind: str, table: str, *parts: str, lead: str = "") -> str:
    """
    ``safemigrate_<kind>_<parts>_<hash>``, at most 63 bytes, the same in every process.

    The hash holds what the cut may have cost; the readable part is for people in psql. ``lead``
    stands in front where the order of names matters.
    """
    whole = "\x1f".join((kind, table, *parts))
    tail = hashlib.sha256(whole.encode()).hexdigest()[:8]
    words = "_".join((table.replace('"."', "_"), *parts))
    head = f"{lead}{PREFIX}_{kind}_{words}".encode()[: 63 - len(tail) - 1].decode(errors="ignore")
    return f"{head}_{tail}"
