"""One autodetected migration, laid out in files of one phase each."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models import F
from hypothesis import given
from hypothesis import strategies as st

from safemigrate.facts.phases import Phase
from safemigrate.operations import (
    AddIndexConcurrently,
    BatchedBackfill,
    ContractDrop,
    DropDatabaseDefault,
    ExpandField,
    SetNotNull,
)
from safemigrate.operations.phases import STATE_ONLY, phase_of
from safemigrate.planner.footprints import footprint_of
from safemigrate.planner.split import Part, Rewritten, atomicity, backward_step, parts_of


def expand(column: str) -> ExpandField:
    return ExpandField("order", column, models.IntegerField(null=True))


def fill(column: str) -> BatchedBackfill:
    return BatchedBackfill("order", values={column: 1})


def drop(column: str) -> ContractDrop:
    return ContractDrop("order", column)


def index(column: str) -> AddIndexConcurrently:
    return AddIndexConcurrently("order", models.Index(fields=[column], name=f"{column}_idx"))


def stock(column: str) -> migrations.AddField:
    return migrations.AddField("order", column, models.IntegerField(null=True))


MAKERS = [
    expand,
    fill,
    drop,
    index,
    stock,
    lambda c: SetNotNull("order", c),
    lambda c: DropDatabaseDefault("order", c, database_default=1),
    lambda c: migrations.AlterModelOptions("order", options={"verbose_name": c}),
]


def laid_out(*operations) -> list[Part]:
    return parts_of([Rewritten(o, [o]) for o in operations], "shop")


def shape(parts: list[Part]) -> list[tuple[str, int]]:
    return [(str(part.phase), len(part.operations)) for part in parts]


def test_a_chain_becomes_one_file_for_each_phase():
    parts = laid_out(expand("a"), fill("a"), SetNotNull("order", "a"))
    assert shape(parts) == [("expand", 1), ("backfill", 1), ("contract", 1)]


def test_two_chains_share_their_files():
    """Three files for ten fields, not thirty."""
    parts = laid_out(expand("a"), fill("a"), drop("x"), expand("b"), fill("b"), drop("y"))
    assert shape(parts) == [("expand", 2), ("backfill", 2), ("contract", 2)]


def test_an_expand_that_comes_last_is_written_first():
    assert shape(laid_out(drop("x"), expand("b"))) == [("expand", 1), ("contract", 1)]


def test_what_can_be_run_again_and_what_cannot_are_kept_apart():
    """A stock AddField needs its transaction, a concurrent build must not have one."""
    parts = laid_out(stock("a"), index("b"), stock("c"))
    assert [part.atomic for part in parts] == [True, False]
    assert shape(parts) == [("expand", 2), ("expand", 1)]


def test_an_operation_that_can_do_both_goes_with_either():
    parts = laid_out(expand("a"), index("a"))
    assert shape(parts) == [("expand", 2)]
    assert parts[0].atomic is False


def test_an_index_on_a_new_stock_column_comes_in_the_file_after_it():
    parts = laid_out(stock("a"), index("a"))
    assert [part.atomic for part in parts] == [True, False]


def test_a_change_that_needs_a_removal_first_is_found():
    """The column is removed and added again as something else, in one makemigrations."""
    parts = laid_out(drop("a"), expand("a"))
    before, after = backward_step(parts)
    assert (before.phase, after.phase) == (Phase.CONTRACT, Phase.EXPAND)


def test_an_ordinary_chain_has_no_step_back():
    assert backward_step(laid_out(expand("a"), fill("a"), drop("b"))) is None


def test_a_column_is_not_dropped_before_it_was_copied():
    """Renaming by hand: total = F("amount"), then amount goes."""
    copy = BatchedBackfill("order", values={"total": F("amount")})
    assert backward_step(laid_out(copy, drop("amount"))) is None
    assert backward_step(laid_out(drop("amount"), copy)) is not None


operations = st.lists(
    st.builds(lambda make, column: make(column), st.sampled_from(MAKERS), st.sampled_from("abc")),
    max_size=8,
)


@given(operations)
def test_nothing_is_lost_and_nothing_is_doubled(given_operations):
    parts = laid_out(*given_operations)
    laid = [id(o) for part in parts for o in part.operations]
    assert sorted(laid) == sorted(id(o) for o in given_operations)


@given(operations)
def test_every_file_is_of_one_phase_and_one_kind_of_transaction(given_operations):
    for part in laid_out(*given_operations):
        phases = {phase_of(o) for o in part.operations if not isinstance(o, STATE_ONLY)}
        assert phases <= {part.phase}
        assert {atomicity(o) for o in part.operations} - {None} <= {part.atomic}


@given(operations)
def test_operations_that_meet_keep_their_order(given_operations):
    place = {}
    for number, part in enumerate(laid_out(*given_operations)):
        for inside, operation in enumerate(part.operations):
            place[id(operation)] = (number, inside)
    for later, second in enumerate(given_operations):
        for first in given_operations[:later]:
            if footprint_of(first, "shop").meets(footprint_of(second, "shop")):
                assert place[id(first)] < place[id(second)]
