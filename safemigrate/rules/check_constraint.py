"""E104."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.models import CheckConstraint

from safemigrate.operations.reading import altered, check_of, short
from safemigrate.operations.remedies import Chain, chain_for
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.known import is_not_valid

_BY_HAND = (
    "Deploy code that writes no row which breaks the check, and correct the rows that do.",
    "Then AddConstraintNotValid of django.contrib.postgres.operations, in a migration of its own.",
    "Then ValidateConstraint of the same module, in the next migration.",
)


@rule("E104", "check-constraint", operation=(migrations.AddConstraint, migrations.AlterField))
def check_constraint(step: Step) -> Iterator[Finding]:
    """A CHECK added the ordinary way stops the table while every row is checked."""
    op: Any = step.operation
    if not step.existed_before or is_not_valid(op) or not (name := _check_added(step)):
        return
    instead = chain_for(step) or _not_valid(op)
    yield Finding(
        what=f"{type(op).__name__} checks {short(name)} on all rows of {short(step.table)}.",
        why=(
            f"ADD CONSTRAINT ... CHECK takes an ACCESS EXCLUSIVE lock on {step.table}: every read "
            "and write waits until the whole table has been read. Older code that still writes "
            "rows which break it gets errors."
        ),
        instead=instead,
        steps=_BY_HAND if instead is None else _BY_HAND[:1],
    )


def _check_added(step: Step) -> str:
    op: Any = step.operation
    if isinstance(op, migrations.AddConstraint):
        return str(op.constraint.name) if isinstance(op.constraint, CheckConstraint) else ""
    old, new = altered(step)
    becomes = check_of(step, new, op.name)
    return str(op.name) if becomes and becomes != check_of(step, old, op.name) else ""


def _not_valid(op: Operation) -> Chain | tuple[Operation, ...] | None:
    if not isinstance(op, migrations.AddConstraint):
        return None
    try:
        from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
    except ImportError:
        return None
    added = AddConstraintNotValid(op.model_name, op.constraint)
    return added, ValidateConstraint(op.model_name, op.constraint.name)
