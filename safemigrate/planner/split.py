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
from safemigrate.operations import SafeOperation
from safemigrate.operations.phases import STATE_ONLY, phase_of
from safemigrate.planner.footprints import Footprint, footprint_of, union


@dataclass
class Part:
    """
    One file to be. ``atomic``: True or False as its operations need it, None if all can do both.

    ``sources``: the autodetector's own operations that it carries out, for its name.
    """

    phase: Phase
    atomic: bool | None
    operations: list[Operation] = field(default_factory=list)
    sources: list[Operation] = field(default_factory=list)
    footprint: Footprint = field(default_factory=Footprint)

    def takes(self, phase: Phase, atomic: bool | None) -> bool:
        return self.phase is phase and (None in (self.atomic, atomic) or self.atomic == atomic)

    def add(self, operation: Operation, source: Operation, touched: Footprint) -> None:
        self.operations.append(operation)
        if source not in self.sources:
            self.sources.append(source)
        self.footprint = union([self.footprint, touched])


@dataclass(frozen=True)
class Rewritten:
    """One autodetected operation and what takes its place, in order."""

    source: Operation
    operations: Sequence[Operation]


def atomicity(operation: Operation) -> bool | None:
    """What an operation needs of ``Migration.atomic``: stock ones cannot be run again."""
    if isinstance(operation, SafeOperation):
        return False if operation.needs_autocommit else None
    return None if isinstance(operation, STATE_ONLY) else True


def parts_of(rewritten: Iterable[Rewritten], app_label: str) -> list[Part]:
    """Lay the operations out in parts; the parts run one after the other."""
    parts: list[Part] = []
    for item in rewritten:
        for operation in item.operations:
            touched = footprint_of(operation, app_label)
            phase = phase_of(operation) or Phase.EXPAND
            part = _place(parts, phase, atomicity(operation), touched)
            part.add(operation, item.source, touched)
    return parts


def _place(parts: list[Part], phase: Phase, atomic: bool | None, touched: Footprint) -> Part:
    last_met = max((n for n, p in enumerate(parts) if p.footprint.meets(touched)), default=-1)
    start = max(last_met, 0)
    for part in parts[start:]:
        if part.takes(phase, atomic):
            part.atomic = atomic if part.atomic is None else part.atomic
            return part
    after = last_met + 1
    later = (n for n in range(after, len(parts)) if parts[n].phase.order > phase.order)
    new = Part(phase, atomic)
    parts.insert(next(later, len(parts)), new)
    return new


def backward_step(parts: Sequence[Part]) -> tuple[Part, Part] | None:
    """A part that must wait for one of a later phase: no order of deploys serves both."""
    for before, after in pairwise(parts):
        if after.phase.order < before.phase.order:
            return before, after
    return None
