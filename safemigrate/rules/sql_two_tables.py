"""E151."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import (
    Effect,
    held_beside,
    is_atomic,
    locked_by,
    quoted,
    read,
    said,
)


@rule("E151", "sql-two-tables", operation=migrations.RunSQL)
def sql_two_tables(step: Step) -> Iterator[Finding]:
    """SQL that waits for a second table while its transaction stops another one."""
    atomic = is_atomic(step)
    # Those of Django's operations are taken at the start, wherever in the migration they stand.
    before = {table: words for table, words, _ in held_beside(step) if table} if atomic else {}
    every = (item for item in read(step) if isinstance(item, Effect))
    groups = groupby(every, lambda e: (e.backwards, 0 if atomic else e.unit))
    for _, together in groups:
        held = dict(before)
        for _, statement in groupby(together, lambda e: (e.unit, e.text)):
            effects = list(statement)
            # One statement may need two, as a foreign key does: there is no way to ask for less.
            fresh = {table: e for e in effects for table in locked_by(e) if table not in held}
            fresh.pop("", None)
            if held and fresh:
                yield _finding(*next(iter(fresh.items())), held)
                break
            held |= {table: f"{e.fact.words} on {table}" for table, e in fresh.items()}
        before = {}  # on the way back others come before


def _finding(table: str, effect: Effect, held: Mapping[str, str]) -> Finding:
    first, words = next(iter(held.items()))
    return Finding(
        what=f"{said(effect)} waits for {short(table, 20)} while {short(first, 20)} is locked.",
        why=(
            f"{words} took a lock that lasts until the transaction ends. While {quoted(effect)} "
            f"waits in line for {table}, everybody waits for {first} too; and who has them the "
            "other way round makes a deadlock of it."
        ),
        steps=(
            f"Move what is about {table} to a migration of its own.",
            "Or set atomic = False, and give RunSQL a list with one statement in each string.",
        ),
    )
