"""E147."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import Effect, Item, Setting, quoted, read, said

# What a queue of queries behind a waiting lock may last without being noticed.
_NOTICED_MS = 200.0
_UNITS_MS = {"us": 0.001, "": 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


@rule("E147", "sql-timeout", operation=migrations.RunSQL)
def sql_timeout(step: Step) -> Iterator[Finding]:
    """SQL that sets what others depend on, and forgets it or waits too long with it."""
    items = read(step)
    for number, item in enumerate(items):
        if not isinstance(item, Setting) or item.value is None:
            continue
        after = [one for one in items[number + 1 :] if one.backwards is item.backwards]
        if not item.local and not _put_back(item, after):
            yield _forgotten(item)
        elif item.name == "lock_timeout" and (held := _strong(after)) and _is_long(item.value):
            yield _in_line(item, held)


def _put_back(item: Setting, after: Sequence[Item]) -> bool:
    return any(
        isinstance(one, Setting) and one.value is None and one.name in (item.name, "all")
        for one in after
    )


def _strong(after: Sequence[Item]) -> Effect | None:
    for one in after:
        if isinstance(one, Setting) and one.name == "lock_timeout":
            return None
        if isinstance(one, Effect) and not one.is_new and one.fact.blocks_writes:
            return one
    return None


def _is_long(value: str) -> bool:
    found = re.fullmatch(r"\s*([\d.]+)\s*([a-z]*)\s*", value)
    if not found or found[2] not in _UNITS_MS:
        return True
    waits_ms = float(found[1]) * _UNITS_MS[found[2]]
    return waits_ms == 0 or waits_ms > _NOTICED_MS


def _forgotten(item: Setting) -> Finding:
    return Finding(
        what=f"{said(item)} sets {short(item.name, 36)} and does not put it back.",
        why=(
            f"{quoted(item)} stays on the connection: every migration after this one, and behind "
            "a pooler other people's queries, run with it."
        ),
        steps=(
            f"Use SET LOCAL {item.name}, which ends with the migration's transaction.",
            f"Or RESET {item.name} at the end of the same RunSQL.",
        ),
    )


def _in_line(item: Setting, held: Effect) -> Finding:
    return Finding(
        what=f"{said(item)} lets {short(held.fact.words, 24)} wait in line.",
        why=(
            f"While {quoted(held)} waits for its lock on {held.on}, every query that comes later "
            f"waits behind it, reads included; {quoted(item)} allows that for so long. migrate "
            "itself asks again and again instead, and waits in line for 20 ms at most."
        ),
        steps=("Leave lock_timeout to migrate: remove the SET.",),
    )
