"""Partitioned tables: made by hand, known to Django as a table like any other."""

from __future__ import annotations

import pytest
from django.db import models
from django.db.models import F, Q

from safemigrate import operations as ops
from safemigrate.facts.errors import DataInTheWay, PlanRefused
from tests.backends.partitioned import (
    HAS_RULES,
    LATER,
    by_total,
    counted,
    deletes,
    invalid,
    opened,
    refers,
    unique,
)
from tests.operations.shop import Shop, killed_at


@pytest.fixture
def shop(pg) -> Shop:
    return opened(pg)


def test_an_index_is_built_partition_by_partition_and_attached(shop):
    """CREATE INDEX CONCURRENTLY does not work on a partitioned table."""
    with shop.sent() as sent:
        shop.apply(by_total())
    builds = [s for s in sent if s.startswith("CREATE INDEX CONCURRENTLY")]
    assert len(builds) == 4
    assert all("total DESC, day) INCLUDE (word) WHERE (total > 1)" in s for s in builds)
    assert sum("ATTACH PARTITION" in s for s in sent) == 5
    assert [s for s in sent if "CREATE INDEX" in s and "ONLY" not in s] == builds
    assert invalid(shop) == []
    assert counted(shop) == 12


STEPS = [
    pytest.param(list, by_total, id="index"),
    pytest.param(list, lambda: unique("total", "day"), id="unique"),
    pytest.param(
        list,
        lambda: unique("id", "day", deferrable=models.Deferrable.DEFERRED),
        id="deferrable",
    ),
    pytest.param(list, lambda: unique("id", "day", condition=Q(total__gt=2)), id="partial unique"),
    pytest.param(lambda: refers()[:1], lambda: refers()[1], id="foreign key"),
    *([pytest.param(refers, deletes, id="deleted by the server")] if HAS_RULES else []),
]


@pytest.mark.parametrize(("prepare", "make"), STEPS)
def test_killed_at_any_statement_it_is_finished_by_the_next_run(pg, prepare, make):
    """The deploy's container was evicted while a partition's index was built."""
    shop = opened(pg)
    shop.apply(*prepare())
    before = shop.state
    shop.apply(make())
    with shop.sent() as second:
        shop.again(make(), before)
    assert second == []
    undisturbed = shop.schema()
    at, fell = 0, True
    while fell:
        at += 1
        with shop.connection.cursor() as cursor:
            cursor.execute(
                'DROP TABLE shop_event; DROP SCHEMA "Old Days"; DROP TABLE shop_customer'
            )
        shop = opened(pg)
        shop.apply(*prepare())
        fell = killed_at(shop, make(), at, after=bool(at % 2))
        if fell:
            shop.again(make(), before)
        assert invalid(shop) == []
        assert shop.schema() == undisturbed, f"killed at statement {at}"
    assert at > 2


@pytest.mark.parametrize(("prepare", "make"), STEPS)
def test_what_was_half_done_is_undone_as_a_whole(pg, prepare, make):
    """The feature is given up after a run that did not end."""
    shop = opened(pg)
    shop.apply(*prepare())
    before, schema = shop.state, shop.schema()
    assert killed_at(shop, make(), 1 if prepare() else 5, after=True)
    shop.state = shop.after(make())
    shop.unapply(make(), before)
    assert shop.schema() == schema
    shop.apply(make())
    shop.unapply(make(), before)
    assert shop.schema() == schema


@pytest.mark.parametrize("make", [by_total, lambda: unique("total", "day")])
def test_a_partition_that_is_added_meanwhile_gets_its_part(shop, make):
    """A nightly job makes tomorrow's partition while today's index is being built."""
    before = shop.state
    assert killed_at(shop, make(), 4, after=True)
    with shop.connection.cursor() as cursor:
        cursor.execute(LATER)
    shop.again(make(), before)
    assert invalid(shop) == []
    assert counted(shop) == 14


@pytest.mark.parametrize("condition", [None, Q(total__gt=2)])
def test_what_is_unique_must_include_the_partition_key(shop, condition):
    """The server cannot look into the other partitions."""
    schema = shop.schema()
    with pytest.raises(PlanRefused, match=r"RANGE \(day\).*Nothing was changed"):
        shop.apply(unique("total", condition=condition))
    assert shop.schema() == schema


@pytest.mark.parametrize("condition", [None, Q(total__gt=0)])
def test_duplicates_in_one_partition_leave_nothing_behind(shop, condition):
    """Other partitions were done already; alone they would refuse rows."""
    with shop.connection.cursor() as cursor:
        cursor.execute("INSERT INTO shop_event VALUES (100, 13, 6, 'w'), (101, 13, 6, 'w')")
    schema = shop.schema()
    with pytest.raises(DataInTheWay, match="duplicates"):
        shop.apply(unique("total", "day", "word", condition=condition))
    assert shop.schema() == schema


def test_an_index_goes_with_all_its_parts(shop):
    """DROP INDEX CONCURRENTLY does not work on a partitioned table either."""
    shop.apply(by_total())
    shop.apply(ops.RemoveIndexConcurrently("event", "total_idx"))
    assert counted(shop) == 6


def test_rows_that_point_nowhere_are_named(shop):
    shop.apply(*refers()[:1])
    shop.model("Event").objects.filter(pk=8).update(payer_id=77)
    with pytest.raises(DataInTheWay, match="point at rows"):
        shop.apply(*refers()[1:])
    shop.model("Event").objects.filter(pk=8).update(payer_id=1)
    shop.apply(*refers()[1:])
    assert invalid(shop) == []
    shop.unapply(refers()[1], shop.state)
    assert shop.ask("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == [(0,)]


def test_columns_fills_and_not_null_work_as_on_any_table(shop):
    """A new required field, from the first release to the last."""
    note = models.CharField(max_length=9)
    shop.apply(
        ops.ExpandField("event", "note", note),
        ops.BatchedBackfill("event", {"note": F("word")}, Q(note__isnull=True), keep_filled=True),
    )
    with shop.connection.cursor() as cursor:
        cursor.execute("INSERT INTO shop_event (id, day, total, word) VALUES (99, 12, 1, 'old')")
    assert shop.model("Event").objects.get(pk=99).note == "old"
    shop.apply(ops.SetNotNull("event", "note"))
    notes = (
        "SELECT count(*) FROM pg_attribute "
        "WHERE attname = 'note' AND attrelid::regclass::text ~ 'shop_[eE]vent'"
    )
    assert shop.ask(f"{notes} AND attnotnull") == [(6,)]
    assert shop.ask(
        "SELECT count(*) FROM pg_constraint WHERE conname LIKE 'safemigrate_notnull%%'"
    ) == [(0,)]
    assert shop.schema()["triggers"] == []
    check = models.CheckConstraint(condition=Q(total__gt=0), name="some")
    shop.apply(ops.AddCheckConstraint("event", check))
    assert invalid(shop) == []
    shop.apply(ops.ContractDrop("event", "note"))
    assert shop.ask(notes) == [(0,)]
