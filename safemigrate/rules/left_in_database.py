"""W410."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule, table_of
from safemigrate.rules.belongings import INDEX, Apart, apart
from safemigrate.rules.halves import Difference, Kind, differences
from safemigrate.rules.sql.context import plain
from safemigrate.rules.state_alone import is_required


@rule(
    "W410",
    "left-in-database",
    operation=(migrations.SeparateDatabaseAndState, migrations.RunSQL),
)
def left_in_database(step: Step) -> Iterator[Finding]:
    """The state forgets a column or a table, and nothing ever drops it."""
    found = differences(step)
    if any(one.kind is Kind.MISSING for one in found):
        return  # under another name, rather than left; that is an error
    for one in found:
        if one.kind is Kind.LEFT and _was_known(step, one) and not is_required(step, one):
            yield _finding(one)
    indexes = apart(step)
    for thing in indexes:
        if thing.thing.kind == INDEX and not any(o.kind is Kind.MISSING for o in indexes):
            yield _index(thing)


def _index(one: Apart) -> Finding:
    return Finding(
        what=f"{short(one.thing.words, 40)} leaves the state, and nothing drops it.",
        why=(
            f"Every write to {one.thing.table} keeps the index up to date, and nobody who "
            "reads the models knows of it. Whoever drops it by hand takes an ACCESS EXCLUSIVE lock."
        ),
        steps=(
            "Let the database follow: RemoveIndexConcurrently outside of state_operations, or DROP "
            "INDEX CONCURRENTLY in RunSQL, in this migration or a later one.",
        ),
    )


def _was_known(step: Step, one: Difference) -> bool:
    """What the database half alone makes may be on its way into the state."""
    models = [step.before.models[key] for key in one.models if key in step.before.models]
    if one.column:
        return any(one.field in model.fields for model in models)
    auto = {
        plain(field.db_table or f"{table_of(model)}_{name}")
        for model in step.before.models.values()
        for name, field in model.fields.items()
        if field.many_to_many and field.remote_field.through is None
    }
    return bool(models) or one.table in auto


def _finding(one: Difference) -> Finding:
    kind = "column" if one.column else "table"
    back = "AddField" if one.column else "CreateModel, or AddField if it is many-to-many,"
    return Finding(
        what=f"{short(one.thing, 40)} leaves the state, and nothing drops it.",
        why=(
            f"The {kind} stays in the database with all its data, and nobody who reads the models "
            "knows of it. Whoever drops it by hand takes an ACCESS EXCLUSIVE lock for it."
        ),
        steps=(
            "While this is applied nowhere: ContractDrop instead of this operation.",
            f"Later, in a migration of its own: {back} in state_operations of "
            "SeparateDatabaseAndState brings it back into the state, ContractDrop after it takes "
            "it out of both.",
        ),
    )
