"""What runs, what is held back, and what is in nobody's way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safemigrate.planner.cut import Cut, Node, cut
from safemigrate.planner.footprints import Footprint, Touch


def node(name: str, *columns: str, after: str = "", may_wait: bool = False) -> Node:
    parents = frozenset(("shop", parent) for parent in after.split())
    touches = frozenset(Touch("shop", "order", column) for column in columns)
    return Node(("shop", name), parents, Footprint(touches), may_wait, may_be_passed=may_wait)


def names(keys) -> list[str]:
    return [name for _, name in keys]


WAITS = {("shop", "1"): "the rollout is not over"}


def test_a_later_migration_about_something_else_floats_past_a_held_contract():
    """Two features merged in one release; the second depends on the first by number only."""
    result = cut([node("1", "flag", may_wait=True), node("2", "total", after="1")], WAITS)
    assert names(result.run) == ["2"]
    assert result.held == WAITS
    assert result.blocked == {}


def test_a_later_migration_about_the_same_thing_is_blocked():
    """The second feature adds again the column that the first has not dropped yet."""
    result = cut([node("1", "flag", may_wait=True), node("2", "flag", after="1")], WAITS)
    assert result.blocked == {("shop", "2"): ("shop", "1")}
    assert result.run == []


def test_what_is_blocked_blocks_all_that_comes_after_it():
    """An expand that could not run is a hole in the history, so nothing may pass it."""
    result = cut(
        [
            node("1", "flag", may_wait=True),
            node("2", "flag", "total", after="1"),
            node("3", "total", after="2"),
            node("4", "note", after="3"),
        ],
        WAITS,
    )
    assert result.blocked == {
        ("shop", "2"): ("shop", "1"),
        ("shop", "3"): ("shop", "2"),
        ("shop", "4"): ("shop", "2"),
    }
    assert result.run == []


def test_an_expand_that_was_not_asked_for_is_passed_by_nobody():
    """--phase contract while an expand is new: the contract behind it must not run first."""
    result = cut([node("1", "a"), node("2", "b", after="1", may_wait=True)], WAITS)
    assert result.run == []
    assert result.held[("shop", "2")] == "it comes after shop.1"


def test_a_contract_behind_a_held_contract_waits_and_is_no_error():
    """Both were going to wait anyway; nothing is wrong with this deploy."""
    result = cut(
        [node("1", "flag", may_wait=True), node("2", "flag", after="1", may_wait=True)], WAITS
    )
    assert result.held[("shop", "2")] == "it comes after shop.1"
    assert result.blocked == {}


def test_a_migration_of_an_unrelated_branch_does_not_care():
    """Only ancestors can be in the way; the graph has no line between these two."""
    result = cut([node("1", "flag", may_wait=True), node("2", "flag")], WAITS)
    assert names(result.run) == ["2"]


def test_an_ancestor_that_is_applied_is_not_part_of_the_plan():
    assert names(cut([node("2", "total", after="1")], {}).run) == ["2"]


@st.composite
def plans(draw):
    size = draw(st.integers(0, 8))
    nodes = []
    for number in range(size):
        parents = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        columns = draw(st.sets(st.sampled_from("abcd"), max_size=2))
        nodes.append(
            node(
                str(number),
                *columns,
                after=" ".join(map(str, sorted(parents))),
                may_wait=draw(st.booleans()),
            )
        )
    may_wait = [n.key for n in nodes if n.may_wait]
    held = draw(st.sets(st.sampled_from(may_wait))) if may_wait else set()
    return nodes, dict.fromkeys(held, "because")


def above(nodes: list[Node], key) -> set:
    parents = {n.key: n.parents for n in nodes}
    found, look = set(), list(parents[key])
    while look:
        parent = look.pop()
        if parent not in found:
            found.add(parent)
            look += parents[parent]
    return found


@given(plans())
def test_every_node_is_in_exactly_one_place(plan):
    nodes, reasons = plan
    result = cut(nodes, reasons)
    places = [*result.run, *result.held, *result.blocked]
    assert sorted(places) == sorted(n.key for n in nodes)
    assert set(reasons) <= set(result.held)


@given(plans())
def test_nothing_that_runs_touches_what_waits_above_it(plan):
    nodes, reasons = plan
    result = cut(nodes, reasons)
    known = {n.key: n for n in nodes}
    for key in result.run:
        for waiting in above(nodes, key) - set(result.run):
            assert waiting in result.held
            assert known[waiting].may_be_passed
            assert not known[waiting].footprint.meets(known[key].footprint)


@given(plans())
def test_the_order_is_kept(plan):
    nodes, reasons = plan
    order = [n.key for n in nodes]
    result = cut(nodes, reasons)
    assert result.run == [key for key in order if key in result.run]


@given(plans())
def test_where_nothing_is_held_everything_runs(plan):
    nodes, _ = plan
    assert cut(nodes, {}) == Cut(run=[n.key for n in nodes])


@given(plans())
def test_whoever_is_blocked_is_told_by_something_that_really_stays(plan):
    nodes, reasons = plan
    result = cut(nodes, reasons)
    for key, culprit in result.blocked.items():
        assert culprit in result.held or culprit in result.blocked
        assert culprit in above(nodes, key)


@pytest.mark.parametrize("unknown", [True, False])
def test_a_migration_that_nobody_can_read_is_in_everybodys_way(unknown):
    """RunPython with a function from C: it may touch anything."""
    later = Node(("shop", "2"), frozenset({("shop", "1")}), Footprint(unknown=unknown))
    result = cut([node("1", "flag", may_wait=True), later], WAITS)
    assert bool(result.blocked) is unknown
