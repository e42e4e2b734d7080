"""Partition by partition, and along the file of a table whose key has no index."""

import pytest
from django.db import transaction
from django.db.models import F, Q

from safemigrate.backends import server_for
from safemigrate.backfill import Backfill, run, workers
from safemigrate.backfill.lines import ByPlace, Parts, line_of
from safemigrate.backfill.ranges import Keys
from safemigrate.backfill.walking import Walk
from safemigrate.facts.errors import BackfillFailed, WrongOperation

from .tables import Line, Order

UNFILLED = Q(total__isnull=True)
COLUMNS = (
    "id bigint NOT NULL, amount int NOT NULL, total int, n int NOT NULL DEFAULT 0, token uuid, "
    "flag boolean, word varchar(5)"
)
PLAIN = {"total": F("amount") * 2, "n": F("n") + 1}
WAYS = {
    "expression": {"values": PLAIN},
    "callable": {"values": {"total": lambda: 1, "n": F("n") + 1}},
    "function": {"function": f"{__name__}.counted"},
}


def counted(rows):
    return [{"total": row.amount * 2, "n": row.n + 1} for row in rows]


def sql(pg, text):
    with pg.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else None


@pytest.fixture
def parted(pg):
    """Four partitions by number, one of them empty, one cut again."""
    sql(
        pg,
        f"CREATE TABLE shop_order ({COLUMNS}, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
        "CREATE TABLE z_first PARTITION OF shop_order FOR VALUES FROM (0) TO (100);"
        "CREATE TABLE empty PARTITION OF shop_order FOR VALUES FROM (100) TO (200);"
        'CREATE TABLE "Quoted name" PARTITION OF shop_order FOR VALUES FROM (200) TO (300) '
        "PARTITION BY RANGE (id);"
        'CREATE TABLE inner_1 PARTITION OF "Quoted name" FOR VALUES FROM (200) TO (250);'
        'CREATE TABLE "inner 2" PARTITION OF "Quoted name" FOR VALUES FROM (250) TO (300);'
        "INSERT INTO shop_order (id, amount) SELECT g, g FROM generate_series(1, 99) g;"
        "INSERT INTO shop_order (id, amount) SELECT g, g FROM generate_series(200, 299) g",
    )
    return Order._base_manager.using(pg.alias)


@pytest.fixture
def bare(pg):
    """The model says that id is the key; the table does not."""
    sql(
        pg,
        f"CREATE TABLE shop_order ({COLUMNS});"
        "INSERT INTO shop_order (id, amount) SELECT g, g FROM generate_series(1, 3000) g",
    )
    return Order._base_manager.using(pg.alias)


# Partitions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("batch_rows", [1, 30, 1_000])
def test_each_row_of_each_partition_is_done_once(parted, pg, way, batch_rows):
    backfill = Backfill(Order, **WAYS[way], where=UNFILLED, batch_rows=batch_rows)
    assert run(pg, backfill, key="k").rows == 199
    assert set(parted.values_list("n", flat=True)) == {1}


def test_without_a_where_too(parted, pg):
    assert run(pg, Backfill(Order, values=PLAIN, batch_rows=30), key="k").rows == 199
    assert set(parted.values_list("n", flat=True)) == {1}


def test_a_batch_names_one_partition_only(parted, pg):
    """Else every batch would ask every partition's index."""
    sent = []

    def watch(execute, statement, params, many, context):
        sent.append(statement)
        return execute(statement, params, many, context)

    with pg.execute_wrapper(watch):
        run(pg, Backfill(Order, values=PLAIN, batch_rows=30), key="k")
    updates = {text.split(" SET ")[0] for text in sent if text.startswith("UPDATE ")}
    assert updates == {
        'UPDATE "z_first"', 'UPDATE "inner_1"', 'UPDATE "inner 2"',
        'UPDATE "safemigrate_backfill"',
    }  # fmt: skip


def test_a_run_stopped_in_one_partition_goes_on_there(parted, pg, monkeypatch):
    batch, left = Walk.batch, iter(range(3))

    def stops(self, *args):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return batch(self, *args)

    monkeypatch.setattr(Walk, "batch", stops)
    backfill = Backfill(Order, values=PLAIN, batch_rows=30)
    with pytest.raises(KeyboardInterrupt):
        run(pg, backfill, key="k")
    monkeypatch.undo()
    assert run(pg, backfill, key="k").rows_total == 199
    assert set(parted.values_list("n", flat=True)) == {1}


def test_rows_inserted_behind_it_are_found_by_another_pass(parted, pg, monkeypatch):
    batch, numbers = Walk.batch, iter(range(100, 105))

    def beside(self, *args):
        if number := next(numbers, None):
            sql(pg, f"INSERT INTO shop_order (id, amount) VALUES ({number}, 1)")
        return batch(self, *args)

    monkeypatch.setattr(Walk, "batch", beside)
    result = run(pg, Backfill(Order, values=PLAIN, where=UNFILLED, batch_rows=30), key="k")
    assert (result.rows, result.passes) == (204, 2)
    assert set(parted.values_list("n", flat=True)) == {1}


def test_a_where_over_another_table_works_inside_a_partition(parted, pg, make):
    sql(
        pg,
        "CREATE TABLE shop_line (id bigint PRIMARY KEY, order_id bigint, total int, "
        "doubled bigint GENERATED ALWAYS AS (id * 2) STORED);"
        "INSERT INTO shop_line (id, order_id) VALUES (1, 5), (2, 5), (3, 260)",
    )
    assert Line._meta.db_table == "shop_line"
    backfill = Backfill(Order, values=PLAIN, where=UNFILLED & Q(lines__isnull=False))
    assert run(pg, backfill, key="k").rows == 2


def test_workers_share_the_partitions(parted, pg, monkeypatch):
    monkeypatch.setattr(workers, "LEAST_PAGES", 1)
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.02)
    backfill = Backfill(Order, values=PLAIN, batch_rows=20, workers=2)
    assert run(pg, backfill, key="k").rows == 199
    assert set(parted.values_list("n", flat=True)) == {1}


def test_an_error_names_the_partition(parted, pg):
    parted.filter(pk=260).update(amount=2**31 - 1)
    with pytest.raises(BackfillFailed) as failed:
        run(pg, Backfill(Order, values=PLAIN, batch_rows=30), key="k")
    assert "inner 2 250..inner 2 279" in failed.value.changed


@pytest.mark.parametrize("table", ["parted", "bare"])
@pytest.mark.parametrize("workers", [1, 2])
def test_rows_that_fail_are_set_aside_by_their_key(request, pg, heard, table, workers):
    orders = request.getfixturevalue(table)
    orders.filter(pk__in=[50, 260]).update(amount=2**31 - 1)
    backfill = Backfill(
        Order, values=PLAIN, where=UNFILLED, batch_rows=90, error_budget=2, workers=workers
    )
    run(pg, backfill, key="k")
    assert set(orders.filter(total=None).values_list("pk", flat=True)) == {50, 260}
    found = sql(pg, "SELECT row_key FROM safemigrate_backfill_failure ORDER BY row_key")
    assert found == [('["260"]',), ('["50"]',)]


def test_partitions_in_another_schema_are_walked_as_one_table(pg):
    """They cannot be addressed by their bare names."""
    sql(
        pg,
        f"CREATE SCHEMA away; CREATE TABLE shop_order ({COLUMNS}, PRIMARY KEY (id)) "
        "PARTITION BY RANGE (id);"
        "CREATE TABLE away.p PARTITION OF shop_order FOR VALUES FROM (0) TO (100);"
        "INSERT INTO shop_order (id, amount) VALUES (1, 1), (2, 2)",
    )
    try:
        assert type(line_of(Order, pg, server_for(pg))) is Keys
        assert run(pg, Backfill(Order, values=PLAIN), key="k").rows == 2
    finally:
        sql(pg, "DROP SCHEMA away CASCADE")


# Without an index --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("batch_rows", [70, 10_000])
def test_a_table_without_an_index_is_filled_along_its_file(bare, pg, way, batch_rows):
    backfill = Backfill(Order, **WAYS[way], where=UNFILLED, batch_rows=batch_rows)
    result = run(pg, backfill, key="k")
    assert (result.rows, result.passes) == (3_000, 1)
    assert set(bare.values_list("n", flat=True)) == {1}


def test_a_batch_reads_its_own_blocks_only(bare, pg):
    """No sequential scan for each batch: that would be quadratic."""
    keys = line_of(Order, pg, server_for(pg))
    assert isinstance(keys, ByPlace)
    end = keys.end_of_batch(("(3,0)",), keys.last(), 50)
    with transaction.atomic(using=pg.alias):
        server_for(pg)._set_local({"enable_seqscan": "off"})
        query = keys.span(("(3,0)",), end).rows.filter(total=None)
        plan = query.explain()
    assert "Tid Range Scan" in plan
    assert keys.load(keys.dump(end)) == end
    assert keys.say(end) == f"ctid {end[0]}"


def test_without_a_where_it_is_refused(bare, pg):
    with pytest.raises(WrongOperation, match="has no index on its key") as refused:
        run(pg, Backfill(Order, values=PLAIN), key="k")
    assert refused.value.changed == "Nothing was changed."
    assert set(bare.values_list("n", flat=True)) == {0}


def test_a_key_in_front_of_a_longer_index_is_used(pg, make):
    sql(pg, f"CREATE TABLE shop_order ({COLUMNS}); CREATE INDEX ON shop_order (id, amount)")
    assert type(line_of(Order, pg, server_for(pg))) is Keys
    sql(pg, "DROP TABLE shop_order")
    sql(pg, f"CREATE TABLE shop_order ({COLUMNS}); CREATE INDEX ON shop_order (amount, id)")
    assert type(line_of(Order, pg, server_for(pg))) is ByPlace


def test_parts_know_their_keys(parted, pg):
    keys = line_of(Order, pg, server_for(pg))
    assert isinstance(keys, Parts)
    assert list(keys.parts) == ["empty", "inner 2", "inner_1", "z_first"]
    assert keys.last() == ("z_first", 99)
    assert keys.end_of_batch(None, keys.last(), 30) == ("inner 2", 279)
    assert keys.end_of_batch(("inner 2", 299), keys.last(), 30) == ("inner_1", 229)
    assert list(Parts(Order, pg, ["p10", "p2", "p"]).parts) == ["p", "p2", "p10"]
    assert keys.end_of_batch(("a detached one", 7), keys.last(), 30) == ("inner 2", 279)
    assert keys.end_of_batch(("z_first", 99), keys.last(), 30) is None
    assert keys.load(keys.dump(("inner 2", 279))) == ("inner 2", 279)
    assert keys.ends(None, keys.last()) == [("inner 2", 299), ("inner_1", 249)]
    assert keys.first(("inner_1", 249)) == ("z_first", 1)
