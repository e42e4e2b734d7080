"""The footprint of a migration, in which what the database does not notice is gentle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from safemigrate.operations.remedies.facets import is_about_python, is_unseen
from safemigrate.planner.footprints import Footprint, footprint_of, union
from safemigrate.rules.base import Step

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def as_the_database_sees(
    migration: Migration, state: ProjectState, connection: BaseDatabaseWrapper
) -> Footprint:
    """
    Somebody adds a field, and somebody else a choice to it: both come in one release.

    ``state``: what it starts from, changed in place.
    """
    app_label = migration.app_label
    parts: list[Footprint] = []
    for operation in migration.operations:
        step = Step(app_label, _alone(operation), state, connection=connection)
        unseen = is_unseen(step) if step.operation is operation else is_about_python(step)
        part = footprint_of(operation, app_label)
        parts.append(part.softened() if unseen else part)
        operation.state_forwards(app_label, state)
    return union(parts)


def _alone(operation: Operation) -> Operation:
    """The one operation that stands for the state alone, of a foreign key's texts; else itself."""
    if not isinstance(operation, migrations.SeparateDatabaseAndState):
        return operation
    alone = len(operation.state_operations) == 1 and not operation.database_operations
    return operation.state_operations[0] if alone else operation
