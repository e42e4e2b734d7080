"""What no later moment of a release will bring, and what is said of it."""

from __future__ import annotations

from safemigrate.planner.cut import cut
from safemigrate.planner.early import Early, note, pairs, reason, too_early, way_out
from safemigrate.planner.footprints import Footprint, Touch
from safemigrate.planner.register import Register
from tests.planner.test_cut import node

WAITS = "the rollout is not over"
TWICE = [
    node("2_expand", "a"),
    node("3_contract", "a", after="2_expand", may_wait=True),
    node("4_expand", "a", after="3_contract"),
    node("5_contract", "a", after="4_expand", may_wait=True),
]
FIRST = Early(("shop", "3_contract"), ("shop", "2_expand"), [("shop", "4_expand")])


def found(plan, held: str, awaited: dict[str, list[str]]) -> list[Early]:
    """``held``: the contracts that wait for a release; ``awaited``: what each waits for."""
    result = cut(plan, {("shop", name): WAITS for name in held.split()})
    asked = {("shop", k): [("shop", name) for name in names] for k, names in awaited.items()}
    return too_early(result, lambda key: asked[key])


def test_what_waits_for_a_contract_whose_expand_is_as_new_comes_too_early():
    """A field is renamed twice before anything is deployed."""
    assert found(TWICE, "3_contract 5_contract", {"3_contract": ["1", "2_expand"]}) == [FIRST]


def test_what_waits_for_a_contract_of_an_earlier_release_does_not():
    """It comes as soon as old sessions have ended."""
    assert found(TWICE[1:], "3_contract", {"3_contract": ["1", "2_expand"]}) == []


def test_a_contract_that_nothing_had_to_prepare_is_its_own_beginning():
    """A CHECK that is added in one run and removed in the next."""
    plan = [node("2_contract", "a", may_wait=True), node("3_expand", "a", after="2_contract")]
    (early,) = found(plan, "2_contract", {"2_contract": ["1", "2_contract"]})
    assert early.begun == early.first == ("shop", "2_contract")
    assert "waits until what came with it has been rolled out" in reason(early)


def test_what_stays_behind_it_is_named_with_it():
    plan = [*TWICE, node("6_expand", "b", after="5_contract")]
    (early,) = found(plan, "3_contract 5_contract", {"3_contract": ["2_expand"]})
    assert early.later == [("shop", "4_expand"), ("shop", "6_expand")]
    assert "cannot run before shop.3_contract, nor can shop.6_expand behind it." in reason(early)


def test_one_that_can_wait_does_not_hide_one_that_cannot():
    """Two contracts are in the way; the first in the alphabet is of an earlier release."""
    plan = [
        node("1_contract", "b", may_wait=True),
        node("2_expand", "a", after="1_contract"),
        node("3_contract", "a", after="2_expand", may_wait=True),
        node("4_expand", "a", "b", after="3_contract"),
    ]
    awaited = {"1_contract": ["0"], "3_contract": ["2_expand"]}
    assert found(plan, "1_contract 3_contract", awaited) == [FIRST]


def test_the_reason_and_the_ways_out_name_the_files():
    assert reason(FIRST) == (
        "shop.4_expand comes too early: it cannot run before shop.3_contract. They change the "
        "same thing, and shop.3_contract waits until shop.2_expand has been rolled out. Both are "
        "new in this release, so that moment never comes."
    )
    assert way_out(FIRST, (), lambda key: "1_initial") == (
        "Deploy shop.3_contract and what comes before it alone, in a release before this one. Or "
        "let one run of makemigrations write both changes: delete shop.2_expand and all that "
        "follows it in shop, and run makemigrations once. Where they are applied, as they may be "
        "on your own database, run migrate shop 1_initial before that."
    )


def test_files_of_two_apps_are_deleted_in_both():
    other = Early(FIRST.first, FIRST.begun, [("crm", "7_expand")])
    said = way_out(other, (), lambda key: "1_initial")
    assert "shop.2_expand and all that follows it in shop and crm.7_expand and all" in said


def test_files_of_a_package_are_not_to_be_deleted():
    """It was upgraded over two versions at once."""
    parts = Early(
        ("shop", "2_sum (contract)"), ("shop", "2_sum (expand)"), [("shop", "3_more (expand)")]
    )
    assert "shop.3_more (expand) comes too early" in reason(parts)
    assert way_out(parts, {"shop"}, lambda key: "1_initial") == (
        "The files of shop are an installed package's: deploy a version that has shop.2_sum and "
        "not yet shop.3_more alone, in a release before this one; or run shop.2_sum as it stands "
        'in a quiet hour: SAFEMIGRATE["ASSURED"] = {"shop.2_sum": "<why>"}.'
    )


def test_a_package_that_needs_a_change_of_the_project_comes_after_it():
    """And the other way round."""
    mixed = Early(FIRST.first, FIRST.begun, [("crm", "7_expand")])
    assert way_out(mixed, {"crm"}, lambda key: "1_initial") == (
        "Deploy shop.3_contract and what comes before it alone, in a release before this one; "
        "then the package that brings crm.7_expand."
    )
    assert "deploy it alone, in a release before this one" in way_out(mixed, {"shop"}, str)


def test_makemigrations_pairs_what_it_writes_with_the_contracts_it_meets():
    contracts = Register()
    for name, column in (("3_contract", "a"), ("5_contract", "b")):
        contracts.add(("shop", name), Footprint(frozenset([Touch("shop", "order", column)])))
    new = [
        (("shop", "6_expand"), Footprint(frozenset([Touch("shop", "order", "b")]))),
        (("shop", "7_expand"), Footprint(frozenset([Touch("shop", "order", "c")]))),
    ]
    found = list(pairs(new, contracts))
    assert found == [(("shop", "6_expand"), ("shop", "5_contract"))]
    assert "which is not applied in the database 'default'." in note(found, "default")
    assert "no database could be asked" in note(found, None)
