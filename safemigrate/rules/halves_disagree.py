"""E207."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.operations.phases import flat
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule, table_of
from safemigrate.rules.belongings import Apart, apart, is_alike, kind_of
from safemigrate.rules.elsewhere import mentions
from safemigrate.rules.halves import Difference, Kind, database_half, differences
from safemigrate.rules.known import is_unknown
from safemigrate.rules.python_reading import texts
from safemigrate.rules.sql import Effect, read_alone, sent
from safemigrate.rules.sql.context import plain

_ADDS = (migrations.AddIndex, migrations.AddConstraint)


@rule(
    "E207",
    "halves-disagree",
    operation=(migrations.SeparateDatabaseAndState, migrations.RunSQL),
)
def halves_disagree(step: Step) -> Iterator[Finding]:
    """The state half of one operation says something else than its database half does."""
    if not database_half(step.operation):
        return
    found = differences(step)
    for one in found:
        if one.kind is Kind.MISSING:
            yield _missing(one, [d for d in found if d.kind is Kind.LEFT])
        elif one.kind is Kind.OTHER:
            yield _other(one)
    named = set()
    for table, name, made in _other_names(step):
        named.add(name)
        yield _named(table, name, made)
    for thing in apart(step):
        if thing.kind is Kind.MISSING and thing.thing.name not in named:
            yield _unbuilt(thing)


def _other_names(step: Step) -> Iterator[tuple[str, str, str]]:
    """
    Indexes and constraints of the state that SQL makes under another name.

    Shape: (table, name in the state, name in the database).
    """
    half = [o for o in database_half(step.operation) if isinstance(o, migrations.RunSQL)]
    adds: list[Any] = [o for o in _stated(step.operation) if isinstance(o, _ADDS)]
    if step.ancestors is None or step.after is None or not half or not adds:
        return
    beside = flat(step.migration.operations) if step.migration else ()
    if any(is_unknown(o) for o in (*beside, *database_half(step.operation))):
        return
    effects = [e for e in read_alone(step.app_label, half).items if isinstance(e, Effect)]
    for operation in adds:
        thing: Any = getattr(operation, "index", None) or operation.constraint
        model = step.before.models.get((step.app_label, operation.model_name.lower()))
        table = plain(table_of(model)) if model else ""
        made = [e.name for e in effects if e.table == table and is_alike(kind_of(thing), e)]
        # One without a name gets one from the server, and nobody knows which.
        if made and all(made) and not _is_said(step, thing.name):
            yield table, thing.name, made[0]


def _is_said(step: Step, name: str) -> bool:
    """Whether anything in the plan that reaches the database says this name."""
    plan = (*(step.ancestors or tuple)(), *(step.after or tuple)())
    reached = [o for migration in plan for o in flat(migration.operations)]
    return any(_says(one, name) for one in (*database_half(step.operation), *reached))


def _says(operation: Any, name: str) -> bool:
    if isinstance(operation, migrations.RunSQL):
        return mentions(sent(operation.sql), name)
    if isinstance(operation, migrations.RunPython):
        return mentions(texts(operation.code), name)
    things = (operation, *(getattr(operation, key, None) for key in ("index", "constraint")))
    return any(name in (getattr(t, "name", None), getattr(t, "new_name", None)) for t in things)


def _stated(operation: Any) -> Iterator[Any]:
    for one in operation.state_operations or ():
        if isinstance(one, migrations.SeparateDatabaseAndState):
            yield from _stated(one)
        else:
            yield one


def _named(table: str, name: str, made: str) -> Finding:
    return Finding(
        what=f"The state says {short(name, 24)}, the database {short(made, 24)}.",
        why=(
            f"The index or constraint of {table} has two names: to remove, rename or validate it "
            "later fails, in the middle of a deploy, after the lock on the table was taken."
        ),
        steps=(f"Give it one name in both halves: {name}, or {made}.",),
    )


def _missing(one: Difference, left: list[Difference]) -> Finding:
    found = next((d.thing for d in left if bool(d.column) == bool(one.column)), "")
    return Finding(
        what=f"Only the state half has {short(one.thing, 40)}.",
        why=(
            f"Code reads and writes {one.thing}, and every query that names it fails, as soon as "
            "that code runs: no database operation makes it, here or in another migration."
            + (f" The database half leaves {found} instead." if found else "")
        ),
        steps=(
            f"Correct the half that is wrong, so that both name {one.thing}.",
            f"Where {one.thing} was made by hand, say how in the database half (RunSQL with IF "
            "NOT EXISTS), for databases that are new.",
        ),
    )


def _unbuilt(one: Apart) -> Finding:
    thing = one.thing
    return Finding(
        what=f"Only the state half has {short(thing.words, 44)}.",
        why=(
            f"No database operation makes it, here or in another migration: {thing.table} goes on "
            "without it, and to remove or rename it later fails in the middle of a deploy, after "
            "the ACCESS EXCLUSIVE lock was taken."
        ),
        steps=(
            "Make it in the database half too, under the same name, and CONCURRENTLY if it is an "
            "index or unique.",
            "Where it was made by hand, say how in the database half (RunSQL with IF NOT EXISTS), "
            "for databases that are new.",
        ),
    )


def _other(one: Difference) -> Finding:
    return Finding(
        what=f"The halves disagree on {short(one.thing, 40)}.",
        why=(
            f"{one.thing} is {one.says}: values that the code takes for valid are refused, or come "
            "back as something else. To change the type later is a rewrite under an ACCESS "
            "EXCLUSIVE lock."
        ),
        steps=("Give both halves the same field or type, before this is applied anywhere.",),
    )
