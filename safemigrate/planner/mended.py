"""A migration that somebody has written already, laid out as its safe chain."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from safemigrate.planner.footprints import footprint_of
from safemigrate.planner.refusals import ModelKey, Refusal
from safemigrate.planner.reworded import reworded
from safemigrate.planner.split import Part, Rewritten, backward_step, parts_of
from safemigrate.planner.walk import Walk, models_that_go

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass
class Mended:
    """``rewritten``: the migration's ``operations`` with what takes their places."""

    operations: list[Operation]
    rewritten: list[Rewritten]
    parts: list[Part]
    refusals: list[Refusal]

    @property
    def is_rewritten(self) -> bool:
        """Whether any operation is another one now."""
        return any(list(item.operations) != [item.source] for item in self.rewritten)

    @property
    def is_split(self) -> bool:
        return len(self.parts) > 1

    def source_of(self, operation: Operation) -> tuple[int, bool]:
        """Which of the migration's operations it comes from, and whether it is the first."""
        for number, source in enumerate(self.operations):
            for place, one in enumerate(self._instead_of(source)):
                if one is operation:
                    return number, place == 0
        raise LookupError(operation)

    def gone(self) -> list[int]:
        """Which of the migration's operations are part of another one now."""
        return [n for n, source in enumerate(self.operations) if not self._instead_of(source)]

    def _instead_of(self, source: Operation) -> list[Operation]:
        return [one for item in self.rewritten if item.source is source for one in item.operations]


def mended(
    migration: Migration,
    before: ProjectState,
    connection: BaseDatabaseWrapper,
    new_models: Iterable[ModelKey] = (),
    state_alone: Collection[int] = (),
) -> Mended:
    """
    What ``makemigrations`` would have written in its place.

    ``before``: the state that it starts from, changed in place. ``new_models``: nobody uses them.
    ``state_alone``: the places of operations whose state the database never follows.
    """
    operations, app_label = migration.operations, migration.app_label
    instead = reworded(operations, app_label, before, state_alone)
    walk = Walk(before, connection, set(new_models))
    asked = [
        (one, source)
        for place, source in enumerate(operations)
        for one in instead.get(place, [source])
    ]
    sources = {id(one): source for one, source in asked}
    rewritten = [
        replace(item, source=sources[id(item.source)])
        for item in walk.through([one for one, _ in asked], app_label, models_that_go(operations))
    ]
    parts = parts_of(rewritten, app_label, bool(migration.atomic))
    if clash := backward_step(parts):
        walk.refusals.append(two_releases(app_label, *clash))
    return Mended(list(operations), rewritten, parts, walk.refusals)


def two_releases(app_label: str, before: Part, after: Part) -> Refusal:
    """No order of deploys serves both parts."""
    first, second = _that_meet(app_label, before, after)
    return Refusal(
        app_label,
        after.sources[0],
        reason=f"{second.describe()} can start only when this is done: {first.describe()}. "
        "The first belongs to this release, the second to a later one.",
        do="Make the one change alone now and deploy it; make the other in the next release. "
        "A new name instead of the same one needs no waiting.",
    )


def _that_meet(app_label: str, before: Part, after: Part) -> tuple[Operation, Operation]:
    """The operations because of which one part waits for the other; for its files, the first."""
    for second in after.operations:
        touched = footprint_of(second, app_label)
        for first in before.operations:
            if touched.meets(footprint_of(first, app_label)):
                return first, second
    return before.operations[0], after.operations[0]
