"""
Which migrations of a plan run now, which are held back, and which cannot run because of those.

A migration that is held back does not hold its descendants unless they touch the same thing:
the numbers in their names make them depend on it, the database does not. That is so for
contracts and backfills alone, because the history check knows those holes; anything else that
stays keeps all that comes after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safemigrate.planner.footprints import Footprint

Key = tuple[str, str]


@dataclass(frozen=True)
class Node:
    """
    One unapplied migration; ``parents``: the unapplied ones above it, however far.

    ``may_wait``: it is a contract, or relies on new code. ``may_be_passed``: others may be
    applied before it, if they touch other things.
    """

    key: Key
    parents: frozenset[Key]
    footprint: Footprint
    may_wait: bool = False
    may_be_passed: bool = False


@dataclass
class Cut:
    """``run`` in order; ``held``: why each waits; ``blocked``: the held one that is in the way."""

    run: list[Key] = field(default_factory=list)
    held: dict[Key, str] = field(default_factory=dict)
    blocked: dict[Key, Key] = field(default_factory=dict)


def cut(nodes: Sequence[Node], reasons: Mapping[Key, str]) -> Cut:
    """
    Split a plan.

    Shape: ``nodes`` parents first; ``reasons``: why a node is held back, for those that are.
    """
    result = Cut()
    known = {node.key: node for node in nodes}
    waiting: dict[Key, frozenset[Key]] = {}
    for node in nodes:
        above = frozenset[Key]().union(
            *(waiting[parent] for parent in node.parents if parent in waiting)
        )
        in_the_way = next(
            (
                key
                for key in sorted(above)
                if key in result.blocked
                or not known[key].may_be_passed
                or known[key].footprint.meets(node.footprint)
            ),
            None,
        )
        if node.key in reasons:
            result.held[node.key] = reasons[node.key]
        elif in_the_way is None:
            result.run.append(node.key)
        elif node.may_wait:
            result.held[node.key] = f"it comes after {'.'.join(in_the_way)}"
        else:
            result.blocked[node.key] = in_the_way
        stays = node.key in result.held or node.key in result.blocked
        waiting[node.key] = above | {node.key} if stays else above
    return result
