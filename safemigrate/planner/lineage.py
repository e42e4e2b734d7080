"""Which migrations come before and after which: worked out once for a whole plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.migrations.graph import MigrationGraph
from django.db.migrations.migration import Migration

from safemigrate.planner.register import Key


class Lineage:
    """
    Answers in the order of ``plan``, which holds every migration of the graph.

    Each migration has a number, and its ancestors are the bits of one integer: walking the graph
    for each question takes longer than all the questions.
    """

    def __init__(self, graph: MigrationGraph, plan: Sequence[Key]) -> None:
        self._number = {key: number for number, key in enumerate(plan)}
        nodes: Any = graph.nodes  # of a graph that was loaded; none is missing
        self._migrations: list[Migration] = [nodes[key] for key in plan]
        self._ancestors: list[int] = []
        for number, key in enumerate(plan):
            bits = 1 << number
            for parent in graph.node_map[key].parents:
                bits |= self._ancestors[self._number[parent.key]]
            self._ancestors.append(bits)

    def before(self, key: Key) -> list[Migration]:
        """Those that a migration rests on, and itself."""
        bits = self._ancestors[self._number[key]]
        return [one for number, one in enumerate(self._migrations) if bits >> number & 1]

    def above(self, key: Key, among: Iterable[Key]) -> list[Key]:
        """Those of ``among`` that a migration rests on; not itself."""
        own = self._number[key]
        bits = self._ancestors[own] & ~(1 << own)
        return sorted(
            (k for k in among if bits >> self._number[k] & 1), key=self._number.__getitem__
        )

    def after(self, key: Key) -> list[Migration]:
        """Itself, and those that rest on it."""
        bit = 1 << self._number[key]
        return [
            one for one, bits in zip(self._migrations, self._ancestors, strict=True) if bits & bit
        ]
