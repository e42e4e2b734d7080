"""E104."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db import migrations
from django.db.models import CheckConstraint

from safemigrate.operations import AddCheckConstraint
from safemigrate.operations.contrib import is_not_valid, is_validation
from safemigrate.operations.phases import flat
from safemigrate.operations.reading import altered, check_of, short
from safemigrate.operations.remedies import chain_for
from safemigrate.rules.base import Finding, Step, rule

_BY_HAND = (
    "Deploy code that writes no row which breaks the check, and correct the rows that do.",
    "Then AddConstraintNotValid of django.contrib.postgres.operations, in a migration of its own.",
    "Then ValidateConstraint of the same module, in the next migration.",
)


@rule(
    "E104",
    "check-constraint",
    operation=(migrations.AddConstraint, migrations.AddField, migrations.AlterField),
)
def check_constraint(step: Step) -> Iterator[Finding]:
    """A CHECK added the ordinary way stops the table while every row is checked."""
    op: Any = step.operation
    if not step.existed_before or not (name := _check_added(step)):
        return
    if is_not_valid(op):
        yield from _validated_at_once(step)
        return
    chain = chain_for(step)
    yield Finding(
        what=f"{type(op).__name__} checks {short(name)} on all rows of {short(step.table)}.",
        why=(
            f"A CHECK that comes in one go takes an ACCESS EXCLUSIVE lock on {step.table}: every "
            "read and write waits until the whole table has been read, for a new column too. "
            "Older code that still writes rows which break it gets errors."
        ),
        instead=chain,
        steps=() if chain else _BY_HAND,
    )


def _check_added(step: Step) -> str:
    op: Any = step.operation
    if isinstance(op, migrations.AddConstraint):
        return str(op.constraint.name) if isinstance(op.constraint, CheckConstraint) else ""
    if isinstance(op, migrations.AddField):
        field: Any = op.field
        if field.many_to_many or field.primary_key:
            return ""  # the business of E117
        if field.generated and field.db_persist:
            return ""  # the business of E115
        # A virtual column has the CHECK of its output, and each row is computed for it.
        field = field.output_field if field.generated else field
        return str(op.name) if check_of(step, field, op.name) else ""
    old, new = altered(step)
    becomes = check_of(step, new, op.name)
    return str(op.name) if becomes and becomes != check_of(step, old, op.name) else ""


def _validated_at_once(step: Step) -> Iterator[Finding]:
    """The lock of NOT VALID is held until its transaction ends, and so through the scan."""
    op: Any = step.operation
    if step.migration is None or not step.migration.atomic:
        return
    operations: Iterable[Any] = flat(step.migration.operations)
    if op.constraint.name in [o.name for o in operations if is_validation(o)]:
        name, table = op.constraint.name, step.table
        yield Finding(
            what=f"{short(name)} is validated in the transaction that adds it.",
            why=(
                f"ADD CONSTRAINT takes an ACCESS EXCLUSIVE lock on {table} and holds it to the end "
                "of the migration: every read and write waits until VALIDATE CONSTRAINT has read "
                "the whole table."
            ),
            instead=(AddCheckConstraint(op.model_name, op.constraint),),
        )
