"""E207, E208, W410: what the state says and what the database has."""

from __future__ import annotations

import pytest
from django.db import connections, migrations, models
from django.db.migrations.migration import Migration

from safemigrate.facts.phases import Phase
from safemigrate.operations import ContractDrop
from safemigrate.operations.assured import inner
from safemigrate.operations.remedies import chain_for
from safemigrate.rules import Finding, Step
from safemigrate.rules.halves import differences
from tests.rules import corpus_belongings, corpus_halves
from tests.rules.asking import ask, shop
from tests.rules.corpus_halves import Plan, add, both, database, sql, state
from tests.rules.corpus_operations import BREAKING, SLOW

RULES = ("E207", "E208", "W410")
DANGEROUS = [*corpus_halves.DANGEROUS, *corpus_belongings.DANGEROUS]
HARMLESS = [*corpus_halves.HARMLESS, *corpus_belongings.HARMLESS]


def _migration(name: str, *operations) -> Migration:
    made = Migration(name, "shop")
    made.operations = list(operations)
    return made


def said(plan: Plan, **changes) -> list[Finding]:
    before = _migration("0002_before", *plan.before)
    own = _migration("0003_own", plan.operation)
    after = _migration("0004_after", *plan.after)
    start = _migration("0001_initial")
    values = {
        "before": shop(),
        "migration": own,
        "ancestors": lambda: [start, before, own],
        "after": lambda: [own, after],
        **changes,
    }
    for operation in plan.before:
        operation.state_forwards("shop", values["before"])
    found = ask(inner(plan.operation), **values)
    return [finding for finding in found if finding.rule in RULES]


@pytest.mark.parametrize("plan", DANGEROUS, ids=str)
def test_no_half_that_stands_alone_passes(plan):
    found = said(plan)
    assert tuple(finding.rule for finding in found) == plan.rules
    for finding in found:
        assert "\n" not in finding.what
        assert len(finding.what) < 80, finding.what
        assert finding.steps


@pytest.mark.parametrize("plan", HARMLESS, ids=str)
def test_no_halves_that_agree_are_bothered(plan):
    assert said(plan) == []


def replay(operations, before) -> None:
    """What migrate does with the state; it gives the database half one of its own."""
    for operation in map(inner, operations):
        apart = before.clone()
        for each in getattr(operation, "database_operations", ()):
            each.state_forwards("shop", apart)
        operation.state_forwards("shop", before)


@pytest.mark.parametrize("plan", [*DANGEROUS, *HARMLESS], ids=str)
def test_migrate_could_replay_the_plan(plan):
    replay([*plan.before, plan.operation, *plan.after], shop())


@pytest.mark.parametrize("plan", [*DANGEROUS, *HARMLESS], ids=str)
def test_while_nobody_knows_the_other_migrations_nothing_is_said(plan):
    found = said(plan, ancestors=None, after=None)
    assert [one for one in found if "never runs" not in one.what] == []


@pytest.mark.parametrize("plan", [*DANGEROUS, *HARMLESS], ids=str)
def test_the_state_is_left_as_it_was(plan):
    """No more of it is copied than the halves change."""
    before = shop()
    for operation in plan.before:
        operation.state_forwards("shop", before)
    names = {key: dict(model.fields) for key, model in before.models.items()}
    kept = {key: (model, dict(model.options)) for key, model in before.models.items()}
    differences(
        Step(
            "shop",
            inner(plan.operation),
            before,
            connection=connections["default"].copy(),
            ancestors=list,
            after=list,
        )
    )
    assert {key: dict(model.fields) for key, model in before.models.items()} == names
    assert {key: (model, dict(model.options)) for key, model in before.models.items()} == kept


def one(plan: Plan) -> Finding:
    (finding,) = said(plan)
    return finding


class TestHalvesDisagree:
    def test_both_names_are_told(self):
        finding = one(Plan("", both(add("x"), add("y"))))
        assert finding.what == "Only the state half has shop_order.x."
        assert "leaves shop_order.y instead" in finding.why

    def test_both_types_are_told(self):
        finding = one(Plan("", sql("ALTER TABLE shop_order ADD x text", add("x"))))
        assert finding.what == "The halves disagree on shop_order.x."
        assert "integer in the state, text in the database" in finding.why

    def test_a_column_made_later_is_no_disagreement(self):
        later = (database(migrations.AddField("order", "x", add("x").field)),)
        assert said(Plan("", both(add("x"), add("y")), after=later)) == []


class TestStateAlone:
    def test_what_is_missing_is_named(self):
        finding = one(Plan("", state(add("x"))))
        assert finding.what == "The state changes shop_order.x; the database never follows."

    def test_a_required_column_that_stays_gets_the_contract_instead(self):
        finding = one(Plan("", state(migrations.RemoveField("order", "number"))))
        assert finding.what == "The state forgets shop_order.number, which stays required."
        assert 'MakeFieldIgnorable("order", "number")' in finding.steps[0]


class TestLeftInDatabase:
    def test_the_column_is_named(self):
        finding = one(Plan("", state(migrations.RemoveField("order", "note"))))
        assert finding.what == "shop_order.note leaves the state, and nothing drops it."
        assert "ContractDrop" in finding.steps[0]

    def test_what_is_advised_later_can_be_replayed_and_is_accepted(self):
        """A drop in database_operations alone cannot: the state has forgotten the column."""
        gone = state(migrations.RemoveField("order", "note"))
        back = state(add("note", models.TextField(null=True)))
        drop = ContractDrop("order", "note")
        replay([gone, back, drop], shop())
        assert said(Plan("", gone, after=(back, drop))) == []
        assert said(Plan("", back, before=(gone,), after=(drop,))) == []
        (finding,) = said(Plan("", gone))
        assert "database_operations" not in "".join(finding.steps)


@pytest.mark.parametrize(
    "operation", [op for _, op in (*SLOW, *BREAKING)], ids=lambda o: o.describe()
)
def test_what_is_offered_instead_is_a_whole_chain(operation):
    """Nothing that it starts is left, and no half of it stands alone."""
    chain = chain_for(Step("shop", operation, shop(), connection=connections["default"].copy()))
    if chain is None or isinstance(operation, migrations.RemoveIndex):  # it has no such index
        return
    parts = [_migration(str(phase), *chain.of(phase)) for phase in Phase]
    state, found = shop(), []
    for number, part in enumerate(parts):
        for one in part.operations:
            changes = {
                "before": state,
                "migration": part,
                "ancestors": lambda until=number: parts[: until + 1],
                "after": lambda since=number: parts[since:],
            }
            found += [finding.rule for finding in ask(one, **changes)]
            one.state_forwards("shop", state)
    assert {*found} & {*RULES, "E206"} == set()
