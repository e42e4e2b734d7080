"""E141."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.facts.locks import LockMode
from safemigrate.facts.statements import Cost
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import Effect, effects_of, quoted, said


@rule("E141", "sql-lock", operation=migrations.RunSQL)
def sql_lock(step: Step) -> Iterator[Finding]:
    """SQL that reads a whole table while nobody else may write to it."""
    for effect in effects_of(step):
        if _holds(effect):
            yield Finding(
                what=f"{said(effect)}: {short(effect.fact.words, 30)} stops {short(effect.on)}.",
                why=_why(effect),
                steps=(f"Use {effect.fact.gentle}.",),
            )


def _holds(effect: Effect) -> bool:
    fact = effect.fact
    if fact.key == "drop-index":
        return True  # for an instant, but there is a way without
    # To a materialized view nobody writes.
    strong = fact.blocks_writes or fact.other is LockMode.ACCESS_EXCLUSIVE
    return fact.cost is Cost.SCAN and strong and fact.key != "refresh-concurrently"


def _why(effect: Effect) -> str:
    fact = effect.fact
    part = not fact.blocks_writes  # of ATTACH PARTITION, the new partition is the one
    lock = fact.other if part else fact.lock
    table = short(effect.name) if part else effect.on
    stops = "every read and write" if lock is LockMode.ACCESS_EXCLUSIVE else "every write"
    until = "until it is done" if fact.cost is Cost.INSTANT else "until the whole table is read"
    return f"{quoted(effect)} takes {lock and lock.value} on {table}: {stops} waits {until}."
