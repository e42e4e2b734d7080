"""What runs, what is held back, and what is in nobody's way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safemigrate.planner.cut import Cut, Node, cut, rising
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


# Merged branches: no line between them -----------------------------------------------------


def test_another_branch_waits_for_a_held_contract_about_the_same_thing():
    """A new field, its default still to be dropped; merged with a new name for the table."""
    result = cut([node("1", "flag", may_wait=True), node("2", "*")], WAITS)
    assert result.blocked == {("shop", "2"): ("shop", "1")}


def test_another_branch_waits_in_whatever_order_the_plan_lists_them():
    result = cut([node("2", "*"), node("1", "flag", may_wait=True)], WAITS)
    assert result.blocked == {("shop", "2"): ("shop", "1")}


def test_another_branch_about_something_else_does_not_care():
    result = cut([node("1", "flag", may_wait=True), node("2", "total")], WAITS)
    assert names(result.run) == ["2"]


def test_a_contract_that_is_due_goes_before_another_branch_about_the_same_thing():
    """The table is a view as soon as 2 has run, and 1 would not find what it was written for."""
    result = cut([node("0", "note"), node("2", "*"), node("1", "flag", may_wait=True)], {})
    assert names(result.run) == ["1", "0", "2"]


def test_a_contract_that_meets_nobody_stays_in_its_place():
    result = cut([node("2", "total"), node("1", "flag", may_wait=True)], {})
    assert names(result.run) == ["2", "1"]


def test_two_branches_that_come_together_do_not_wait_for_each_other():
    """The first one begins; the second waits for its contract, and not the other way round."""
    both = [
        node("1", "flag"),
        node("2", "flag", after="1", may_wait=True),
        node("3", "*"),
        node("4", "*", after="3", may_wait=True),
    ]
    result = cut(both, {("shop", "2"): "because", ("shop", "4"): "because"})
    assert names(result.run) == ["1"]
    assert result.blocked == {("shop", "3"): ("shop", "2")}
    at_the_next_release = cut(both[1:], {("shop", "4"): "because"})
    assert names(at_the_next_release.run) == ["2", "3"]
    assert at_the_next_release.blocked == {}


def test_a_contract_that_is_due_does_not_wait_for_one_of_another_branch():
    """It ends what its release began, whatever new branches come meanwhile."""
    result = cut([node("1", "flag", may_wait=True), node("2", "flag", may_wait=True)], WAITS)
    assert names(result.run) == ["2"]


def test_a_contract_whose_expand_waits_itself_is_in_no_other_branch_s_way():
    """--phase contract: neither branch has begun, so nothing is half-way."""
    plan = [node("1", "flag"), node("2", "flag", after="1", may_wait=True), node("3", "flag")]
    result = cut(plan, WAITS)
    assert names(result.run) == ["3"]
    assert set(names(result.held)) == {"1", "2"}


def test_a_fill_of_another_branch_finds_what_its_author_saw():
    """It changes no shape: the rows are there before the contract as they were."""
    fill = Node(
        ("shop", "2"), frozenset(), Footprint(frozenset({Touch("shop", "order")})), False, True
    )
    for order in ([node("1", "flag", may_wait=True), fill], [fill, node("1", may_wait=True)]):
        assert names(cut(order, WAITS).run) == ["2"]


@pytest.mark.parametrize("guess", [Footprint(unknown=True), Footprint(texts=("UPDATE flag",))])
def test_what_nobody_can_read_does_not_wait_for_another_branch(guess):
    """A package comes with an operation of its own, in any release: it knows nothing of ours."""
    stranger = Node(("audit", "1"), frozenset(), guess)
    result = cut([node("1", "flag", may_wait=True), stranger], WAITS)
    assert names(result.run) == ["1"]


def test_a_plan_is_cut_where_it_leaves_the_order_of_the_graph():
    """Django runs each part in its own order, whatever it is given."""
    assert rising([2, 5, 0, 1, 4, 3], lambda number: number) == [[2, 5], [0, 1, 4], [3]]
    assert rising([], lambda number: number) == [[]]


# Everything else ---------------------------------------------------------------------------


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


def collide(nodes: list[Node], one, other) -> bool:
    known = {n.key: n for n in nodes}
    return known[one].footprint.collides(known[other].footprint)


@given(plans())
def test_what_is_above_comes_first(plan):
    nodes, reasons = plan
    run = cut(nodes, reasons).run
    for number, key in enumerate(run):
        assert not above(nodes, key) & set(run[number:])


@given(plans())
def test_the_order_is_kept_but_for_contracts_that_must_go_first(plan):
    nodes, reasons = plan
    run = cut(nodes, reasons).run
    waiting = {n.key for n in nodes if n.may_wait}
    order = [n.key for n in nodes if n.key in run]
    assert [k for k in run if k not in waiting] == [k for k in order if k not in waiting]
    if not any(collide(nodes, a, b) for a in waiting for b in order if b not in waiting):
        assert run == order


@given(plans())
def test_where_nothing_is_held_everything_runs(plan):
    nodes, _ = plan
    result = cut(nodes, {})
    assert sorted(result.run) == sorted(n.key for n in nodes)
    assert result == Cut(run=result.run)


@given(plans())
def test_no_contract_waits_for_another_branch(plan):
    nodes, reasons = plan
    result = cut(nodes, reasons)
    stay = result.held.keys() | result.blocked.keys()
    assert all(key in reasons or above(nodes, key) & stay for key in result.held)


@given(plans())
def test_whoever_is_blocked_is_told_by_something_that_really_stays(plan):
    nodes, reasons = plan
    result = cut(nodes, reasons)
    for key, culprit in result.blocked.items():
        assert culprit in result.held or culprit in result.blocked
        assert culprit in above(nodes, key) or collide(nodes, key, culprit)
        assert key not in above(nodes, culprit)


@pytest.mark.parametrize("unknown", [True, False])
def test_a_migration_that_nobody_can_read_is_in_everybodys_way(unknown):
    """RunPython with a function from C: it may touch anything."""
    later = Node(("shop", "2"), frozenset({("shop", "1")}), Footprint(unknown=unknown))
    result = cut([node("1", "flag", may_wait=True), later], WAITS)
    assert bool(result.blocked) is unknown
