"""The phase of every operation, Django's own included, and of a whole migration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import migrations
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation

from safemigrate.facts.phases import Phase
from safemigrate.operations.assured import Assured, inner
from safemigrate.operations.backfill import BatchedBackfill
from safemigrate.operations.base import SafeOperation
from safemigrate.operations.contrib import is_contrib, is_not_valid, is_validation
from safemigrate.operations.names import AlterIndex

STATE_ONLY = (
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
    migrations.AlterConstraint,
    AlterIndex,
)
"""They touch no table, so they may stand beside any phase."""


def touches_no_table(operation: Operation) -> bool:
    """Whether it is about the state alone."""
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return not operation.database_operations
    return isinstance(operation, STATE_ONLY)


def flat(operations: Iterable[Operation]) -> Iterator[Operation]:
    """The operations that reach the database, out of their wrappers."""
    for operation in operations:
        bare = inner(operation)
        if isinstance(bare, migrations.SeparateDatabaseAndState):
            yield from flat(bare.database_operations)
        else:
            yield bare


def phase_of(operation: Operation) -> Phase | None:
    """The phase of one bare operation; None if it may stand beside any (state, unknown SQL)."""
    if isinstance(operation, SafeOperation):
        return operation.phase
    if isinstance(operation, migrations.RemoveField | migrations.DeleteModel):
        return Phase.CONTRACT
    if is_contrib(operation, "RemoveCollation"):
        return Phase.CONTRACT
    if is_not_valid(operation) or is_validation(operation):
        return Phase.CONTRACT  # older code may still write rows that break the check
    if isinstance(operation, migrations.RunPython):
        return Phase.BACKFILL
    if isinstance(operation, (*STATE_ONLY, migrations.RunSQL)):
        return None
    return Phase.EXPAND


def phases_of(migration: Migration) -> frozenset[Phase]:
    """All phases in a migration; more than one is a mistake that a check reports."""
    found = (phase_of(operation) for operation in flat(migration.operations))
    return frozenset(phase for phase in found if phase is not None)


def phase_of_migration(migration: Migration) -> Phase:
    """The phase of a pure migration; a mixed one runs as Django would run it, as an expand."""
    phases = phases_of(migration)
    return next(iter(phases)) if len(phases) == 1 else Phase.EXPAND


def waits_for_rollout(migration: Migration) -> bool:
    """
    Whether it must not run before older code is gone, and so may be held back.

    That is a pure contract of our operations or of contrib's checks, or a backfill that relies
    on new code. Stock RemoveField and DeleteModel alone are no contract: newer code may not insert
    while they wait. Beside ours they are of models without a table, such as a proxy, and wait too.
    """
    operations = list(flat(migration.operations))
    phases = phases_of(migration)
    if phases == {Phase.CONTRACT}:
        stock = (migrations.RemoveField, migrations.DeleteModel, *STATE_ONLY)
        waiting = [o for o in operations if not isinstance(o, stock)]
        return bool(waiting) and all(
            isinstance(o, SafeOperation) or is_not_valid(o) or is_validation(o) for o in waiting
        )
    return phases == {Phase.BACKFILL} and any(
        isinstance(o, BatchedBackfill) and o.after_rollout for o in operations
    )


def stays_as_it_is(operation: Operation) -> bool:
    """Ours, somebody's own class, or code: no stock operation for which there is a chain."""
    code = (migrations.RunPython, migrations.RunSQL, migrations.SeparateDatabaseAndState, Assured)
    stock = type(operation).__module__.startswith("django.db.migrations.operations.")
    return isinstance(operation, code) or not stock
