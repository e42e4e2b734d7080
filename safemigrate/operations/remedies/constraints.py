"""Constraints of Meta."""

from __future__ import annotations

from django.db import migrations
from django.db.models import CheckConstraint, UniqueConstraint

from safemigrate.operations.constraints import (
    AddCheckConstraint,
    AddUniqueConstraintConcurrently,
    AlterUniqueTogetherConcurrently,
    DropConstraint,
)
from safemigrate.operations.reading import Asked
from safemigrate.operations.remedies.base import Chain, remedy


@remedy(migrations.AddConstraint)
def add_constraint(asked: Asked) -> Chain | None:
    operation: migrations.AddConstraint = asked.operation
    constraint, model_name = operation.constraint, operation.model_name
    if not _speaks_plainly(constraint):
        return None
    if isinstance(constraint, UniqueConstraint):
        return Chain(expand=[AddUniqueConstraintConcurrently(model_name, constraint)])
    if isinstance(constraint, CheckConstraint):
        return Chain(contract=[AddCheckConstraint(model_name, constraint)])
    return None


@remedy(migrations.RemoveConstraint)
def remove_constraint(asked: Asked) -> Chain | None:
    operation: migrations.RemoveConstraint = asked.operation
    found = [c for c in asked.model.options["constraints"] if c.name == operation.name]
    # Of others nobody knows how they would come back; Django's own drop is instant as well.
    if not found or not _speaks_plainly(found[0]):
        return None
    return Chain(expand=[DropConstraint(operation.model_name, operation.name)])


def _speaks_plainly(constraint: object) -> bool:
    """Whether it is one of Django's, or a subclass that leaves the SQL alone."""
    return any(
        isinstance(constraint, known) and type(constraint).create_sql is known.create_sql
        for known in (CheckConstraint, UniqueConstraint)
    )


@remedy(migrations.AlterUniqueTogether)
def alter_unique_together(asked: Asked) -> Chain:
    operation: migrations.AlterUniqueTogether = asked.operation
    now, asked_for = asked.model.options.get("unique_together"), operation.option_value
    if {tuple(names) for names in now or ()} == {tuple(names) for names in asked_for or ()}:
        return Chain()  # a field was renamed; Django says twice what follows from that
    return Chain(expand=[AlterUniqueTogetherConcurrently(operation.name, operation.option_value)])
