"""E208."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations

from safemigrate.operations import MakeFieldIgnorable
from safemigrate.operations.phases import flat
from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.belongings import INDEX, Apart, apart, unheard
from safemigrate.rules.halves import Difference, Kind, database_half, differences


@rule("E208", "state-alone", operation=(migrations.SeparateDatabaseAndState, migrations.RunSQL))
def state_alone(step: Step) -> Iterator[Finding]:
    """The state changes, no database operation ever follows, and the code of that state fails."""
    followed = bool(database_half(step.operation))
    for one in differences(step):
        if one.kind is Kind.LEFT:
            if is_required(step, one):
                yield _required(one)
        elif not followed:
            yield _never_made(one)
    found = apart(step)
    for thing in found:
        if thing.kind is Kind.LEFT:
            # One that has another name now is not left but missing.
            if thing.thing.kind != INDEX and not any(o.kind is Kind.MISSING for o in found):
                yield _still_refuses(thing)
        elif not followed:
            yield _never_built(thing)
    for operation in unheard(step.operation):
        yield _never_runs(operation)


def is_required(step: Step, one: Difference) -> bool:
    """Whether it is a column that stays, and that INSERTs of the new code leave out in vain."""
    return one.required and bool(one.column) and not _is_ignorable(step, one)


def _is_ignorable(step: Step, one: Difference) -> bool:
    for migration in step.ancestors() if step.ancestors else ():
        for operation in flat(migration.operations):
            if isinstance(operation, MakeFieldIgnorable):
                key = (migration.app_label, operation.model_name_lower)
                if key in one.models and operation.name == one.field:
                    return True
    return False


def _never_made(one: Difference) -> Finding:
    if one.kind is Kind.OTHER:
        why = f"{one.thing} is {one.says}: values that the code takes for valid are refused."
    else:
        why = (
            f"Code reads and writes {one.thing}, and every query that names it fails, as soon as "
            "that code runs. A database that is new, such as a test's, never gets it."
        )
    return Finding(
        what=f"The state changes {short(one.thing, 36)}; the database never follows.",
        why=why + " Done by hand later, it takes an ACCESS EXCLUSIVE lock that nobody looks after.",
        steps=(
            "Let the database follow: the same operation outside of SeparateDatabaseAndState, or "
            "one in database_operations, in this migration or a later one.",
            "Where it was done by hand already, say so in RunSQL with IF NOT EXISTS.",
        ),
    )


def _required(one: Difference) -> Finding:
    model: Any = next(iter(sorted(one.models)))[1]
    return Finding(
        what=f"The state forgets {short(one.thing, 40)}, which stays required.",
        why=(
            f"Code that no longer knows {one.thing} leaves it out, and each of its INSERTs into "
            f"{one.table} fails: the column is NOT NULL and has no default in the database."
        ),
        steps=(
            f'MakeFieldIgnorable("{model}", "{one.field}") of safemigrate.operations in a '
            "migration before this one.",
            f'Then ContractDrop("{model}", "{one.field}") instead of this operation: it takes the '
            "field out of the state and drops the column when no older code is alive.",
        ),
    )


def _never_built(one: Apart) -> Finding:
    thing = one.thing
    if thing.kind == INDEX:
        why = f"Queries that count on it read all of {thing.table}"
    else:
        why = f"Rows of {thing.table} that break it are written, and no error tells"
    return Finding(
        what=f"The state has {short(thing.words, 36)}; the database never does.",
        why=(
            f"{why}. To remove or rename it later fails in the middle of a deploy, after its "
            "ACCESS EXCLUSIVE lock is taken. A new database, such as a test's, never gets it."
        ),
        steps=(
            "Let the database follow: makemigrations writes the safe operations, or one in "
            "database_operations or RunSQL makes it, in this migration or a later one.",
            "Where it was done by hand already, say so in RunSQL with IF NOT EXISTS, by its name.",
        ),
    )


def _still_refuses(one: Apart) -> Finding:
    thing = one.thing
    return Finding(
        what=f"The state forgets {short(thing.words, 36)}, which stays.",
        why=(
            f"Code that no longer knows it writes rows to {thing.table} that the database refuses: "
            "each such INSERT or UPDATE fails. Dropped by hand later, it takes an ACCESS EXCLUSIVE "
            "lock that nobody looks after."
        ),
        steps=("Let the database follow: the same operation outside of state_operations.",),
    )


def _never_runs(operation: Any) -> Finding:
    name = type(operation).__name__
    return Finding(
        what=f"{short(name, 30)} in state_operations never runs.",
        why=(
            "Django asks the operations there what the models become, and sends nothing to the "
            f"database: what {name} is for is never done, there or back, and no error tells."
        ),
        steps=(f"Move {name} to database_operations, or out of SeparateDatabaseAndState.",),
    )
