"""
One autodetected migration becomes several, each of one phase, in as few files as that allows.

An operation goes into the first file of its kind after the last file that it touches the same
thing as; so operations about different things may change places, and others never do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from django.db.migrations.operations.base import Operation

from safemigrate.facts.phases import Phase
from safemigrate.operations import (
    AddFieldIndexConcurrently,
    AddForeignKey,
    AddIndexConcurrently,
    AddUniqueConstraintConcurrently,
    AlterUniqueTogetherConcurrently,
    BatchedBackfill,
    RenameConstraint,
    ReplaceConstraint,
    ReplaceIndex,
    SafeOperation,
)
from safemigrate.operations.assured import inner
from safemigrate.operations.phases import phase_of, touches_no_table
from safemigrate.planner.footprints import Footprint, footprint_of, union

BUILDS = (
    AddIndexConcurrently,
    AddFieldIndexConcurrently,
    AddForeignKey,
    AddUniqueConstraintConcurrently,
    AlterUniqueTogetherConcurrently,
    # Not builds, but they can come only behind one.
    RenameConstraint,
    ReplaceConstraint,
    ReplaceIndex,
)


@dataclass
class Part:
    """
    One file to be. ``atomic``: True or False as its operations need it, None if all can do both.

    ``late``: an expand that is cheaper after the fills: an index that is built before them gets
    an entry for every row twice. ``sources``: the autodetector's own operations that it carries
    out, for its name.
    """

    phase: Phase
    atomic: bool | None
    late: bool = False
    operations: list[Operation] = field(default_factory=list)
    sources: list[Operation] = field(default_factory=list)
    footprint: Footprint = field(default_factory=Footprint)

    @property
    def rank(self) -> int:
        """Its place in the order of a deploy's steps."""
        return _rank(self.phase, self.late)

    def takes(self, phase: Phase, atomic: bool | None, late: bool) -> bool:
        same = self.rank == _rank(phase, late)
        return same and (None in (self.atomic, atomic) or self.atomic == atomic)

    def add(self, operation: Operation, source: Operation, touched: Footprint) -> None:
        self.operations.append(operation)
        if source not in self.sources:
            self.sources.append(source)
        self.footprint = union([self.footprint, touched])


def _rank(phase: Phase, late: bool) -> int:
    return {Phase.EXPAND: 2 if late else 0, Phase.BACKFILL: 1, Phase.CONTRACT: 3}[phase]


@dataclass(frozen=True)
class Rewritten:
    """
    One operation and what takes its place, in order.

    ``stays``: code, or a class of somebody else's; what it touches is a guess, so nothing but a
    contract changes places with it. ``unseen``: the database notices nothing of it.
    """

    source: Operation
    operations: Sequence[Operation]
    stays: bool = False
    unseen: bool = False


def atomicity(operation: Operation) -> bool | None:
    """What an operation needs of ``Migration.atomic``: stock ones cannot be run again."""
    if isinstance(operation, SafeOperation):
        return False if operation.needs_autocommit else None
    return None if touches_no_table(operation) else True


def parts_of(
    rewritten: Iterable[Rewritten], app_label: str, atomic_code: bool = True
) -> list[Part]:
    """
    Lay the operations out in parts; the parts run one after the other.

    ``atomic_code``: what the migration said of those that stay as they are.
    """
    parts: list[Part] = []
    rewritten = list(rewritten)
    fills = any(isinstance(o, BatchedBackfill) for item in rewritten for o in item.operations)
    floor = -1
    for item in rewritten:
        places = [(operation, *_kind(operation, fills)) for operation in item.operations]
        for operation, phase, late in sorted(places, key=lambda place: _rank(*place[1:])):
            touched = footprint_of(operation, app_label)
            atomic = atomic_code if item.stays else atomicity(operation)
            if item.unseen:
                touched, atomic = touched.softened(), None
            lowest = _last_before_contracts(parts) if item.stays else floor
            part = _place(parts, phase, atomic, late, touched, lowest)
            part.add(operation, item.source, touched)
            if item.stays:
                floor = next(n for n, p in enumerate(parts) if p is part)
    return parts


def _kind(operation: Operation, fills: bool) -> tuple[Phase, bool]:
    """Its phase, and whether it is late in it."""
    return phase_of(inner(operation)) or Phase.EXPAND, fills and isinstance(operation, BUILDS)


def _last_before_contracts(parts: Sequence[Part]) -> int:
    return max((n for n, part in enumerate(parts) if part.phase is not Phase.CONTRACT), default=-1)


def _place(
    parts: list[Part],
    phase: Phase,
    atomic: bool | None,
    late: bool,
    touched: Footprint,
    floor: int,
) -> Part:
    """``floor``: the last part that it comes after, or may join, whatever it touches."""
    last_met = max((n for n, p in enumerate(parts) if p.footprint.meets(touched)), default=-1)
    last_met = max(last_met, floor)
    start = max(last_met, 0)
    for part in parts[start:]:
        if part.takes(phase, atomic, late):
            part.atomic = atomic if part.atomic is None else part.atomic
            return part
    after = last_met + 1
    later = (n for n in range(after, len(parts)) if parts[n].rank > _rank(phase, late))
    new = Part(phase, atomic, late)
    parts.insert(next(later, len(parts)), new)
    return new


def backward_step(parts: Sequence[Part]) -> tuple[Part, Part] | None:
    """A part that must wait for one of a later phase: no order of deploys serves both."""
    for before, after in pairwise(parts):
        if before.phase is Phase.CONTRACT is not after.phase:
            return before, after
    return None
