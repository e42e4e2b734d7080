"""Columns of partitioned tables get another type or name, partition by partition."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, migrations, models

from safemigrate import operations as ops
from safemigrate.facts.errors import DataInTheWay, PlanRefused
from tests.backends.partitioned import LATER, by_total, invalid, opened, refers, unique
from tests.operations.shop import Shop, killed_at


@pytest.fixture
def shop(pg) -> Shop:
    return opened(pg)


def widened(name: str = "total", field: models.Field | None = None) -> list[ops.SafeOperation]:
    new = field or models.BigIntegerField()
    return [
        ops.AddShadowField("event", name, new),
        ops.CopyShadowField("event", name, new),
        ops.SwapShadowField("event", name, new),
        ops.DropShadowField("event", name, models.IntegerField()),
    ]


def ours(shop: Shop) -> list:
    """Whatever has a name that is not for good."""
    return shop.ask(
        "SELECT relname FROM pg_class WHERE relname ~ 'safemigrate_(?!backfill)' UNION ALL "
        "SELECT conname FROM pg_constraint WHERE conname ~ 'safemigrate_(?!backfill)' UNION ALL "
        "SELECT attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        "WHERE relkind IN ('r', 'p') AND attname ~ 'safemigrate_' AND NOT attisdropped UNION ALL "
        "SELECT tgname FROM pg_trigger WHERE tgname ~ 'safemigrate_' UNION ALL "
        "SELECT proname FROM pg_proc WHERE proname ~ 'safemigrate_'"
    )


def types(shop: Shop, column: str = "total") -> list:
    return shop.ask(
        "SELECT DISTINCT atttypid::regtype::text, attnotnull FROM pg_attribute "
        "JOIN pg_class c ON c.oid = attrelid WHERE relkind IN ('r', 'p') AND attname = %s "
        "AND attrelid::regclass::text ~ 'shop_[eE]vent'",
        [column],
    )


def test_a_wider_type_is_reached_partition_by_partition(shop):
    """Both releases write meanwhile, and a nightly job makes tomorrow's partition."""
    shop.apply(by_total(), unique("total", "day"))
    schema = shop.schema()
    add, copy, swap, drop = widened()
    shop.apply(add)
    with shop.connection.cursor() as cursor:
        cursor.execute(LATER)
        cursor.execute("INSERT INTO shop_event (id, day, total, word) VALUES (90, 25, 90, 'old')")
        cursor.execute("UPDATE shop_event SET total = 70, day = 26 WHERE id = 8")
    shop.apply(copy)
    before = shop.state
    shop.apply(swap)
    assert types(shop) == [("bigint", True)]
    shop.model("Event").objects.create(id=91, day=12, total=5_000, word="new")
    shop.unapply(swap, before)
    assert types(shop) == [("integer", True)]
    shop.apply(swap, drop)
    found = dict(shop.model("Event").objects.values_list("pk", "total"))
    assert found == {**{n: n for n in range(1, 8)}, 8: 70, 90: 90, 91: 5_000}
    assert (invalid(shop), ours(shop)) == ([], [])
    kept = [thing for thing in shop.schema()["indexes"] if thing[0].split()[-1]]
    assert len(kept) == len(schema["indexes"]) + 3  # those of the new partition


def test_a_swap_that_was_killed_is_finished_by_the_next_run(pg):
    """Whatever partition it was at."""

    def ready() -> tuple[Shop, ops.SafeOperation]:
        made = opened(pg)
        made.apply(by_total(), unique("total", "day"), *widened()[:2])
        return made, widened()[2]

    shop, swap = ready()
    before = shop.state
    with shop.sent() as first:
        shop.apply(swap)
    with shop.sent() as second:
        shop.again(swap, before)
    assert second == []
    undisturbed = shop.schema()
    for at in range(1, len(first), 7):
        with shop.connection.cursor() as cursor:
            cursor.execute(
                'DROP TABLE shop_event; DROP SCHEMA "Old Days"; DROP TABLE shop_customer'
            )
        shop, swap = ready()
        assert killed_at(shop, swap, at, after=bool(at % 2))
        shop.again(swap, before)
        assert invalid(shop) == []
        assert shop.schema() == undisturbed, f"killed at statement {at}"


def test_keys_of_another_type_that_a_partitioned_table_refers_to_are_followed(pg):
    """Customers run out of numbers; their events have a foreign key, partition by partition."""
    small = migrations.CreateModel("Customer", [("id", models.AutoField(primary_key=True))])
    shop = opened(pg, small)
    shop.apply(*refers())
    shop.model("Event").objects.filter(pk__lt=5).update(payer_id=1)
    new = models.BigAutoField(primary_key=True)
    steps = [
        make("customer", "id", new)
        for make in (ops.AddShadowField, ops.CopyShadowField, ops.SwapShadowField)
    ]
    shop.apply(*steps, ops.DropShadowField("customer", "id", models.AutoField(primary_key=True)))
    assert types(shop, "payer_id") == [("bigint", False)]
    assert shop.model("Event").objects.filter(payer_id=1).count() == 4
    assert (invalid(shop), ours(shop)) == ([], [])
    with pytest.raises(IntegrityError):
        shop.model("Event").objects.filter(pk=5).update(payer_id=77)


def test_a_key_that_rows_break_leaves_no_part_of_it_on_any_partition(pg):
    """Somebody has loaded rows with the triggers of foreign keys off; the keys stand as before."""
    small = migrations.CreateModel("Customer", [("id", models.AutoField(primary_key=True))])
    shop = opened(pg, small)
    shop.apply(*refers())
    shop.ask("SELECT set_config('session_replication_role', 'replica', false)")
    shop.model("Event").objects.filter(pk=8).update(payer_id=77)
    shop.ask("SELECT set_config('session_replication_role', 'origin', false)")
    keys = "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'"
    before = sorted(shop.ask(keys))
    new = models.BigAutoField(primary_key=True)
    shop.apply(
        ops.AddShadowField("customer", "id", new), ops.CopyShadowField("customer", "id", new)
    )
    with pytest.raises(DataInTheWay, match="shop_event break"):
        shop.apply(ops.SwapShadowField("customer", "id", new))
    assert sorted(shop.ask(keys)) == before
    shop.model("Event").objects.filter(pk__gt=6).update(payer_id=1)
    shop.apply(ops.SwapShadowField("customer", "id", new))
    assert types(shop, "payer_id") == [("bigint", False)]
    assert invalid(shop) == []


@pytest.mark.parametrize("name", ["total", "id", "payer"])
def test_the_swap_of_many_partitions_takes_no_more_journeys_than_of_few(pg, name):
    """The whole table stands meanwhile, and each journey takes as long as the network."""
    model = "customer" if name == "payer" else "event"
    column = "id" if name == "payer" else name
    big = models.BigIntegerField() if name == "total" else models.BigAutoField(primary_key=True)

    def journeys(more: int) -> int:
        shop = opened(pg)
        with shop.connection.cursor() as cursor:
            for n in range(20, 20 + more):
                cursor.execute(
                    f"CREATE TABLE shop_event_{n} PARTITION OF shop_event "
                    f"FOR VALUES FROM ({n}) TO ({n + 1})"
                )
        shop.apply(by_total(), unique("total", "day"), *refers())
        steps = ops.AddShadowField, ops.CopyShadowField
        shop.apply(*(make(model, column, big) for make in steps))
        with shop.said_under_locks() as locked:
            shop.apply(ops.SwapShadowField(model, column, big))
        assert (invalid(shop), len(shop.ask("SELECT 1 FROM shop_event"))) == ([], 8)
        swaps = [said for said in locked if any("RENAME COLUMN" in sql for sql in said)]
        with shop.connection.cursor() as cursor:
            cursor.execute(
                'DROP TABLE shop_event; DROP SCHEMA "Old Days"; DROP TABLE shop_customer'
            )
        return max(len(said) for said in swaps)

    assert journeys(12) == journeys(0)


BY_DAY = "day is part of what it is partitioned by"
ANOTHER_TABLE = f"{BY_DAY}.*give a model of its own a table"
IN_CODE = f'{BY_DAY}.*Rename it in the code alone, with db_column="day"'
KEPT = {
    "type of what it is partitioned by": (lambda: widened("day")[0], ANOTHER_TABLE),
    "name of what it is partitioned by": (
        lambda: ops.AddRenamedField("event", "day", "d"),
        IN_CODE,
    ),
    "name of the key": (
        lambda: ops.AddRenamedField("event", "id", "number"),
        "id is part of its primary key",
    ),
}


@pytest.mark.parametrize(("make", "named"), KEPT.values(), ids=KEPT)
def test_what_makes_the_partitions_is_kept_and_named_before_anything_is_done(shop, make, named):
    """It is part of the table itself."""
    with shop.sent() as sent, pytest.raises(PlanRefused, match=named):
        shop.apply(make())
    assert sent == []


def primary(shop: Shop) -> list:
    """The primary key of each part: its name, and whether it is part of another one."""
    return shop.ask(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), conparentid <> 0 "
        "FROM pg_constraint WHERE contype = 'p' AND conrelid::regclass::text ~ 'shop_[eE]vent' "
        "ORDER BY 1"
    )


def test_a_primary_key_of_partitions_gets_another_type_and_goes_back(pg):
    """A table of events made for small numbers; the model knows half of its key."""
    small = migrations.AlterField("event", "id", models.AutoField(primary_key=True))
    shop = opened(pg)
    with shop.connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_event ALTER id TYPE int")
    shop.state = shop.after(small)
    keys, schema = primary(shop), shop.schema()
    big = models.BigAutoField(primary_key=True)
    add, copy, swap = (
        make("event", "id", big)
        for make in (ops.AddShadowField, ops.CopyShadowField, ops.SwapShadowField)
    )
    drop = ops.DropShadowField("event", "id", models.AutoField(primary_key=True))
    begun = shop.state
    shop.apply(add, copy)
    before = shop.state
    assert killed_at(shop, swap, 3, after=True)
    with shop.connection.cursor() as cursor:
        cursor.execute(LATER)
        cursor.execute("INSERT INTO shop_event (day, total, word) VALUES (25, 1, 'old')")
    shop.again(swap, before)
    later = ("shop_event_3", "shop_event_3_pkey", "PRIMARY KEY (id, day)", True)
    assert primary(shop) == sorted([*keys, later])
    assert types(shop, "id") == [("bigint", True)]
    with pytest.raises(IntegrityError), shop.connection.cursor() as cursor:
        cursor.execute("INSERT INTO shop_event (id, day, total, word) VALUES (5, 10, 1, 'twice')")
    made = shop.model("Event").objects.create(day=11, total=3, word="new")
    assert made.pk == 2, "the counter goes on"
    shop.unapply(swap, before)
    assert types(shop, "id") == [("integer", True)]
    shop.unapply(add, begun)
    assert primary(shop) == sorted([*keys, later])
    shop.apply(add, copy, swap, drop)
    assert (invalid(shop), ours(shop)) == ([], [])
    assert types(shop, "id") == [("bigint", True)]
    assert len(shop.schema()["constraints"]) >= len(schema["constraints"])


def test_an_index_of_one_partition_alone_is_named_before_anything_is_done(shop):
    """Somebody has made it for a report on old days; it would go with the old column."""
    with shop.connection.cursor() as cursor:
        cursor.execute("CREATE INDEX theirs ON shop_event_2_low (total)")
    with shop.sent() as sent, pytest.raises(PlanRefused, match=r"theirs .*shop_event_2_low\.total"):
        shop.apply(widened()[0])
    assert sent == []
