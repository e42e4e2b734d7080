"""
The safe chain for a stock operation on an existing table.

One answer for everybody: makemigrations writes it, a rule's finding shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from django.db.migrations.operations.base import Operation

from safemigrate.facts.phases import Phase
from safemigrate.operations.reading import Asked


@dataclass
class Chain:
    """What takes the place of one operation, phase by phase."""

    expand: list[Operation] = field(default_factory=list)
    backfill: list[Operation] = field(default_factory=list)
    contract: list[Operation] = field(default_factory=list)

    def operations(self) -> list[Operation]:
        return [*self.expand, *self.backfill, *self.contract]

    def of(self, phase: Phase) -> list[Operation]:
        return {
            Phase.EXPAND: self.expand,
            Phase.BACKFILL: self.backfill,
            Phase.CONTRACT: self.contract,
        }[phase]


Remedy = Callable[[Asked], Chain | None]
_REMEDIES: dict[type[Operation], Remedy] = {}


def remedy(operation_class: type[Operation]) -> Callable[[Remedy], Remedy]:
    """Register the rewrite of a stock operation; exactly that class, not its subclasses."""

    def register(function: Remedy) -> Remedy:
        _REMEDIES[operation_class] = function
        return function

    return register


def chain_for(asked: Asked) -> Chain | None:
    """
    The safe chain for ``asked.operation``, or None if there is none or none is needed.

    Its table is taken to be in use.
    """
    found = _REMEDIES.get(type(asked.operation))
    return found(asked) if found else None
