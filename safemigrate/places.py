"""Where in its file a finding is: the line to open, for people and for CI systems."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from safemigrate.sources import assigned


def line_of(path: Path | None, place: int | None) -> int | None:
    """
    The line of one of a migration's operations, else of its class; None if nobody can read it.

    ``place``: as in a Finding. Of a file that is no Python it is the line where that ends.
    """
    try:
        text = path.read_text(encoding="utf-8") if path else None
    except (OSError, UnicodeDecodeError):
        return None
    if text is None:
        return None
    of_class, of_operations = _lines(text)
    inside = place is not None and place < len(of_operations)
    return of_operations[place or 0] if inside else of_class


@lru_cache(maxsize=16)  # the findings of one file come one after the other
def _lines(text: str) -> tuple[int, tuple[int, ...]]:
    """Shape: (of the class, of each operation as far as they stand in the list one by one)."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError) as error:
        return getattr(error, "lineno", None) or 1, ()
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name == "Migration":
            return node.lineno, tuple(_operations(node))
    return 1, ()


def _operations(migration: ast.ClassDef) -> Iterator[int]:
    for statement in migration.body:
        if assigned(statement) != "operations":
            continue
        listed = getattr(statement, "value", None)
        for one in listed.elts if isinstance(listed, ast.List) else ():
            if isinstance(one, ast.Starred):
                return  # nobody knows here how many are in it
            yield one.lineno
