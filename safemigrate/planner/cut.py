"""
Which migrations of a plan run now, which are held back, and which cannot run because of those.

A migration that is held back does not hold its descendants unless they touch the same thing:
the numbers in their names make them depend on it, the database does not. That is so for
contracts and backfills alone, because the history check knows those holes; anything else that
stays keeps all that comes after it.

Branches that were merged have no line between them, and Django may list them in either order. A
contract whose expand is applied goes first, since its table is half-way until then: what would
change the shape of the same thing comes after it, and waits if it waits. The other way round
nobody waits: a contract that is due never asks what stands in another branch, so no two branches
wait for each other, and each deploy ends what the one before has begun.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from safemigrate.planner.register import Key, Register

if TYPE_CHECKING:
    from safemigrate.planner.footprints import Footprint


Step = TypeVar("Step")


@dataclass(frozen=True)
class Node:
    """
    One unapplied migration; ``parents``: the nearest unapplied ones above it.

    ``may_wait``: it is a contract, or relies on new code. ``may_be_passed``: others may be
    applied before it, if they touch other things.
    """

    key: Key
    parents: frozenset[Key]
    footprint: Footprint
    may_wait: bool = False
    may_be_passed: bool = False

    @property
    def only_fills(self) -> bool:
        """Its author saw the table as it is before a contract of another branch, and may."""
        return self.may_be_passed and not self.may_wait


@dataclass
class Cut:
    """
    ``run`` in order; ``held``: why each waits; ``blocked``: the held one that is in the way.

    ``in_the_way``: of each that is blocked, all that are.
    """

    run: list[Key] = field(default_factory=list)
    held: dict[Key, str] = field(default_factory=dict)
    blocked: dict[Key, Key] = field(default_factory=dict)
    in_the_way: dict[Key, Sequence[Key]] = field(default_factory=dict)


def cut(nodes: Sequence[Node], reasons: Mapping[Key, str]) -> Cut:
    """
    Split a plan.

    Shape: ``nodes`` parents first; ``reasons``: why a node is held back, for those that are.
    """
    result = Cut()
    place = {node.key: number for number, node in enumerate(nodes)}
    above: dict[Key, _Above] = {}
    held, begun = Register(), Register()
    ahead = False
    for node in _contracts_early(nodes):
        mine = _all_above([above[parent] for parent in node.parents if parent in above])
        in_the_way = [key for key in held.meeting(node.footprint) if key in mine.passable]
        in_the_way += mine.holes
        due: list[Key] = []
        if not (in_the_way or node.may_wait or node.only_fills):
            for key in begun.colliding(node.footprint):
                (in_the_way if key in result.held else due).append(key)
        if node.key in reasons:
            result.held[node.key] = reasons[node.key]
        elif not in_the_way:
            result.run.append(node.key)
            ahead = ahead or any(place[key] > place[node.key] for key in due)
        elif node.may_wait:
            result.held[node.key] = f"it comes after {'.'.join(min(in_the_way))}"
        else:
            result.blocked[node.key] = min(in_the_way)
            result.in_the_way[node.key] = in_the_way
        # A contract whose expand stays as well has no table that is half-way.
        if node.may_wait and not mine.holes:
            begun.add(node.key, node.footprint)
        above[node.key] = mine
        if node.key in result.held and node.may_be_passed:
            held.add(node.key, node.footprint)
            above[node.key] = _Above(mine.passable | {node.key}, mine.holes)
        elif node.key in result.held or node.key in result.blocked:
            above[node.key] = _Above(mine.passable, mine.holes or frozenset({node.key}))
    if not ahead:
        result.run.sort(key=place.__getitem__)
    return result


class _Above(NamedTuple):
    """What stays above a migration: ``holes`` let nothing pass; the first on each way is enough."""

    passable: frozenset[Key] = frozenset()
    holes: frozenset[Key] = frozenset()


def _all_above(parents: Sequence[_Above]) -> _Above:
    if len(parents) == 1:
        return parents[0]  # without a copy: the plan may be long
    nothing = frozenset[Key]()
    return _Above(
        nothing.union(*(each.passable for each in parents)),
        nothing.union(*(each.holes for each in parents)),
    )


def _contracts_early(nodes: Sequence[Node]) -> Iterator[Node]:
    """In the order of the plan, but each contract as soon as all above it were."""
    children: dict[Key, list[Node]] = defaultdict(list)
    keys = {node.key for node in nodes}
    missing = {node.key: len(node.parents & keys) for node in nodes}
    for node in nodes:
        for parent in node.parents:
            children[parent].append(node)
    done: set[Key] = set()
    ready = [node for node in reversed(nodes) if node.may_wait and not missing[node.key]]
    for node in nodes:
        if node.key not in done and not node.may_wait:
            ready.insert(0, node)
        while ready:
            following = ready.pop()
            done.add(following.key)
            yield following
            for child in reversed(children[following.key]):
                missing[child.key] -= 1
                if child.may_wait and not missing[child.key]:
                    ready.append(child)


def rising(steps: Sequence[Step], place: Callable[[Step], int]) -> list[list[Step]]:
    """``steps`` cut wherever ``place`` goes down."""
    parts: list[list[Step]] = [[]]
    for step in steps:
        if parts[-1] and place(step) < place(parts[-1][-1]):
            parts.append([])
        parts[-1].append(step)
    return parts
