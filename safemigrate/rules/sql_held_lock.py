"""E149."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from django.db import migrations

from safemigrate.facts.statements import Cost, Harm
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import Effect, effects_of, held_beside, is_atomic, quoted, said


@rule("E149", "sql-held-lock", operation=migrations.RunSQL)
def sql_held_lock(step: Step) -> Iterator[Finding]:
    """SQL that takes its time while a lock from before, of the same transaction, stops others."""
    atomic = is_atomic(step)
    before = _of_others(step) if atomic else ""
    effects = list(effects_of(step))
    for _, together in groupby(effects, lambda e: (e.backwards, 0 if atomic else e.unit)):
        holder = before
        for effect in together:
            if holder and _takes_its_time(effect):
                yield _finding(effect, holder)
            elif effect.fact.blocks_writes and not holder:
                holder = f"{effect.fact.words} on {effect.on}"
        before = ""


def _takes_its_time(effect: Effect) -> bool:
    """Those that lock strongly themselves, or write without bound, are findings anyway."""
    fact = effect.fact
    return fact.cost is Cost.SCAN and not fact.blocks_writes and fact.harm is not Harm.WRITE


def _of_others(step: Step) -> str:
    """The operation before it that locks a table which is there."""
    return next((words for _, words, is_before in held_beside(step) if is_before), "")


def _finding(effect: Effect, holder: str) -> Finding:
    return Finding(
        what=f"{said(effect)}: {short(effect.fact.words, 26)} runs while a lock is held.",
        why=(
            f"{holder} took a lock that stops others, and it is held until the transaction ends. "
            f"{quoted(effect)} reads whole tables meanwhile."
        ),
        steps=(
            "Move it to a migration of its own, after this one.",
            "Or set atomic = False, and give RunSQL a list with one statement in each string.",
        ),
    )
