"""What a run fills, when it is over, and what it does when asked again."""

import threading
import time

import pytest
from django.db import transaction
from django.db.models import Case, F, IntegerField, OuterRef, Q, Subquery, Value, When

from safemigrate.backfill import STATE_TABLE, Backfill, forget, remaining, run
from safemigrate.facts.errors import BackfillFailed, NeedsAutocommit

from .tables import Line, Order

UNFILLED = Q(total__isnull=True)
TOTAL = IntegerField()


@pytest.fixture
def orders(make, pg):
    make(Order, rows=[{"amount": n} for n in range(1, 501)])
    return Order._base_manager.using(pg.alias)


def state(pg, *columns):
    with pg.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM {STATE_TABLE} ORDER BY id DESC LIMIT 1")
        return cursor.fetchone()


def test_expressions_constants_and_conditions_are_filled_by_the_server(orders, pg):
    backfill = Backfill(
        Order,
        values={
            "total": F("amount") * 2,
            "flag": Q(amount__gt=100),
            "word": Case(When(amount=1, then=Value("one")), default=Value("more")),
            "n": 7,
            "token": None,
        },
        where=UNFILLED,
        batch_rows=120,
    )
    result = run(pg, backfill, key="k")
    assert (result.rows, result.batches, result.passes) == (500, 5, 1)
    assert orders.filter(total=F("amount") * 2, n=7).count() == 500
    assert orders.filter(flag=True).count() == 400
    assert orders.filter(word="one").count() == 1


def test_a_subquery_reads_another_table(orders, pg, make):
    make(Line, rows=[{"order_id": n} for n in range(1, 501)])
    amount = Order._base_manager.filter(pk=OuterRef("order_id")).values("amount")[:1]
    run(pg, Backfill(Line, values={"total": Subquery(amount)}, batch_rows=100), key="k")
    assert Line._base_manager.using(pg.alias).filter(total=F("order__amount")).count() == 500


@pytest.mark.parametrize("values", [{"total": 1}, {"total": lambda: 1}])
def test_a_where_across_tables_fills_each_row_once(orders, pg, make, values):
    make(Line, rows=[{"order_id": n} for n in (1, 1, 2, 300, 300)])
    backfill = Backfill(Order, values=values, where=UNFILLED & Q(lines__isnull=False))
    assert run(pg, backfill, key="k").rows == 3
    assert orders.filter(total=1).count() == 3


def test_an_empty_table_is_done_at_once(make, pg, heard):
    make(Order)
    assert run(pg, Backfill(Order, values={"n": 1}, where=Q(n=0)), key="k").rows == 0
    assert heard[-1].startswith("Backfilled shop_order: 0 rows in 0.")


def test_the_last_line_says_what_was_done(orders, pg, heard):
    result = run(pg, Backfill(Order, values={"n": 1}, batch_rows=100), key="k")
    seconds = f"{result.took.total_seconds():.1f}"
    assert heard[-1].startswith(f"Backfilled shop_order: 500 rows in {seconds} s (")
    assert f"5 batches, median {result.batch_ms_median:.0f} ms)" in heard[-1]


def test_the_state_tells_who_looks_how_it_went(orders, pg):
    run(pg, Backfill(Order, values={"total": 1}, where=UNFILLED, batch_rows=100), key="k")
    assert state(pg, "key", "table_name", "state", "rows_done", "batches", "pass_no") == (
        "k", "shop_order", "done", 500, 5, 1,
    )  # fmt: skip
    assert state(pg, "length(fingerprint)", "finished_at >= started_at", "error") == (64, True, "")


def test_remaining_counts_up_to_its_cap(make, pg):
    make(Order, rows=[{"total": n % 2 or None} for n in range(3_000)])
    assert remaining(pg, Backfill(Order, values={"total": 1}, where=UNFILLED)) == 1_001
    assert remaining(pg, Backfill(Order, values={"total": 1}, where=Q(total=2))) == 0
    assert remaining(pg, Backfill(Order, values={"total": 1})) is None


# Asked again -------------------------------------------------------------------------------------


def test_done_without_a_where_is_never_done_twice(orders, pg, heard):
    """A migration killed between its end and its record is applied again."""
    backfill = Backfill(Order, values={"n": F("n") + 1})
    run(pg, backfill, key="k")
    assert run(pg, backfill, key="k").rows == 0
    assert set(orders.values_list("n", flat=True)) == {1}
    assert heard[-1] == "shop_order: this backfill is already done"


def test_done_with_a_where_fills_only_what_came_since(orders, pg):
    backfill = Backfill(Order, values={"total": 1, "n": F("n") + 1}, where=UNFILLED)
    run(pg, backfill, key="k")
    orders.create(id=100_000)
    orders.create(id=-1)
    assert run(pg, backfill, key="k").rows == 2
    assert set(orders.values_list("n", flat=True)) == {1}
    assert run(pg, backfill, key="k").batches == 0


def test_other_work_under_the_same_key_starts_over(orders, pg):
    run(pg, Backfill(Order, values={"n": F("n") + 1}), key="k")
    run(pg, Backfill(Order, values={"n": F("n") + 10}), key="k")
    assert set(orders.values_list("n", flat=True)) == {11}


def test_forgotten_work_is_done_again(orders, pg):
    """The way back of the migration forgets; the way forwards then fills a new column."""
    backfill = Backfill(Order, values={"n": F("n") + 1})
    forget(pg, "k")  # nothing is there yet, not even the table
    run(pg, backfill, key="k")
    forget(pg, "k")
    run(pg, backfill, key="k")
    assert set(orders.values_list("n", flat=True)) == {2}


def test_two_keys_do_not_know_each_other(orders, pg):
    for key in ("one", "two"):
        run(pg, Backfill(Order, values={"n": F("n") + 1}), key=key)
    assert set(orders.values_list("n", flat=True)) == {2}


# Passes ------------------------------------------------------------------------------------------


def test_a_row_that_appears_behind_the_cursor_is_found_by_another_pass(orders, pg, other):
    """The old release inserts below what was already walked."""
    with other.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION behind() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO shop_order (id, amount, n) SELECT -1, 0, 0 "
            "WHERE NOT EXISTS (SELECT 1 FROM shop_order WHERE id = -1); RETURN NULL; END $$; "
            "CREATE TRIGGER behind AFTER UPDATE ON shop_order FOR EACH ROW "
            "WHEN (OLD.id = 500) EXECUTE FUNCTION behind()"
        )
        other.commit()
    backfill = Backfill(Order, values={"total": 1}, where=UNFILLED, batch_rows=100)
    result = run(pg, backfill, key="k")
    assert (result.rows, result.passes) == (501, 2)


def test_a_where_that_filling_does_not_change_is_refused_before_anything_is_kept(orders, pg):
    backfill = Backfill(Order, values={"n": F("n") + 1}, where=UNFILLED, batch_rows=100)
    with pytest.raises(BackfillFailed, match="never gets smaller") as failed:
        run(pg, backfill, key="k")
    assert failed.value.what == (
        "The backfill of shop_order filled 100 rows, and all of them still match its where: "
        "it never gets smaller."
    )
    assert failed.value.changed == "Nothing was changed: the batch of keys 1..100 was rolled back."
    assert set(orders.values_list("n", flat=True)) == {0}
    assert state(pg, "state", "error") == ("failed", "WhereStays")


def test_a_pass_that_changes_nothing_while_rows_match_is_the_end(orders, pg):
    """A function that declines the rows which its where selects."""
    backfill = Backfill(Order, function="tests.backfill.tables.only_even", where=UNFILLED)
    with pytest.raises(BackfillFailed, match="never gets smaller") as failed:
        run(pg, backfill, key="k")
    text = str(failed.value)
    assert "A full pass over shop_order (number 2) changed nothing, and 250 rows" in text
    assert "250 rows were filled and stay." in text
    query = text.partition("Find them with: ")[2].partition(";")[0]
    with pg.cursor() as cursor:
        cursor.execute(query)
        assert len(cursor.fetchall()) == 10


def test_rows_that_come_back_in_every_pass_end_after_the_third(orders, pg):
    # The first row to be filled leaves the where, so that the look at the first batch is content.
    still = Case(When(amount__gt=100, then=Value(None)), default=Value(5), output_field=TOTAL)
    backfill = Backfill(Order, values={"total": still, "n": F("n") + 1}, where=UNFILLED)
    with pytest.raises(BackfillFailed) as failed:
        run(pg, backfill, key="k")
    assert "After 3 passes over shop_order, 400 rows match" in failed.value.what


def test_a_run_that_failed_has_all_its_passes_again(orders, pg):
    backfill = Backfill(Order, function="tests.backfill.tables.only_even", where=UNFILLED)
    with pytest.raises(BackfillFailed):
        run(pg, backfill, key="k")
    orders.filter(total__isnull=True)._raw_delete(pg.alias)
    result = run(pg, backfill, key="k")
    assert (result.rows, result.rows_total, result.resumed) == (0, 250, True)
    assert state(pg, "state") == ("done",)


def test_others_who_append_all_the_time_do_not_keep_it_from_ending(orders, pg, other):
    stop = threading.Event()

    def append():
        while not stop.is_set():
            other.execute("INSERT INTO shop_order (amount, n) VALUES (1, 0)")
            other.commit()

    thread = threading.Thread(target=append)
    thread.start()
    try:
        result = run(pg, Backfill(Order, values={"n": F("n") + 1}, batch_rows=50), key="k")
    finally:
        stop.set()
        thread.join(10)
    assert result.rows >= 500
    assert orders.filter(n__gt=1).count() == 0


# Transactions ------------------------------------------------------------------------------------


def test_inside_a_transaction_it_refuses(orders, pg):
    with transaction.atomic(using=pg.alias), pytest.raises(NeedsAutocommit) as refused:
        run(pg, Backfill(Order, values={"n": 1}), key="k")
    assert "Set atomic = False on the migration." in str(refused.value)


def test_inside_a_transaction_an_empty_table_is_let_through(make, pg):
    make(Order)
    with transaction.atomic(using=pg.alias):
        run(pg, Backfill(Order, values={"n": 1}), key="k")
    assert state(pg, "state") == ("done",)


def test_allowed_into_a_transaction_it_ends_with_it(orders, pg):
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=100)
    with transaction.atomic(using=pg.alias):
        assert run(pg, backfill, key="k", allow_atomic=True).rows == 500
        transaction.set_rollback(True, using=pg.alias)
    assert set(orders.values_list("n", flat=True)) == {0}
    with transaction.atomic(using=pg.alias):
        run(pg, backfill, key="k", allow_atomic=True)
        with pg.cursor() as cursor:
            cursor.execute("SHOW enable_seqscan")
            assert cursor.fetchone() == ("on",)
    assert run(pg, backfill, key="k").rows == 0
    assert set(orders.values_list("n", flat=True)) == {1}


def test_no_setting_outlives_a_batch(orders, pg):
    names = "lock_timeout", "statement_timeout", "synchronous_commit", "enable_seqscan", "jit"
    names += ("backend_flush_after", "max_parallel_workers_per_gather")
    columns = ", ".join(f"current_setting('{name}')" for name in names)
    with pg.cursor() as cursor:
        cursor.execute(f"SELECT {columns}")
        before = cursor.fetchone()
        run(pg, Backfill(Order, values={"n": 1}), key="k")
        cursor.execute(f"SELECT {columns}")
        assert cursor.fetchone() == before


def test_the_proof_leaves_the_other_cores_to_the_traffic(orders, pg, settings):
    """It reads the whole table; with two parallel workers on two cores every request waits."""
    asked = "SELECT current_setting('max_parallel_workers_per_gather')"
    seen = []

    def watch(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("SELECT COUNT(*) FROM (SELECT"):
            with context["connection"].connection.cursor() as cursor:
                seen.append(cursor.execute(asked).fetchone()[0])
        return result

    for wanted, given in (("0", {}), ("2", {"BUILD_WORKERS": 2})):
        settings.SAFEMIGRATE = given
        with pg.execute_wrapper(watch):
            left = Q(n__lt=int(wanted) + 1)
            run(pg, Backfill(Order, values={"n": int(wanted) + 1}, where=left), key=wanted)
        assert seen == [wanted]
        seen.clear()


def test_two_processes_may_make_the_state_table_at_once(pg, server, monkeypatch):
    """The one that comes second finds that it is there."""
    from safemigrate.backfill.store import STATE_TABLE, Store
    from safemigrate.backfill.tables import OwnTables

    first, second = Store(pg), Store(pg)
    first.ensure_schema()
    looks = iter([lambda self: set()])
    there = OwnTables.there
    monkeypatch.setattr(OwnTables, "there", lambda self: next(looks, there)(self))
    second.ensure_schema()
    assert next(looks, None) is None
    assert STATE_TABLE in second.connection.introspection.table_names()


def test_a_batch_is_timed_from_its_first_statement_to_its_commit(orders, pg):
    began = time.perf_counter()
    result = run(pg, Backfill(Order, values={"n": 1}, batch_rows=100), key="k")
    assert 0 < result.batch_ms_median < (time.perf_counter() - began) * 1000


def test_a_large_table_without_statistics_is_analyzed_before_the_first_batch(orders, pg, other):
    """Else an index for the where seems as good as the key: it would be read whole each time."""
    with pg.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE shop_order SET (autovacuum_enabled = off);"
            "CREATE INDEX ON shop_order (total) WHERE total IS NULL;"
            "INSERT INTO shop_order (amount, n) SELECT g, 0 FROM generate_series(1, 200000) g"
        )
    run(pg, Backfill(Order, values={"total": 1}, where=UNFILLED), key="k")
    with pg.cursor() as cursor:
        cursor.execute("SELECT reltuples > 100000 FROM pg_class WHERE relname = 'shop_order'")
        assert cursor.fetchone() == (True,)


def test_statistics_that_cannot_be_had_are_done_without(orders, pg, other):
    with pg.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE shop_order SET (autovacuum_enabled = off);"
            "INSERT INTO shop_order (amount, n) SELECT g, 0 FROM generate_series(1, 150000) g"
        )
    other.execute("LOCK TABLE shop_order IN SHARE UPDATE EXCLUSIVE MODE")
    assert run(pg, Backfill(Order, values={"n": 1}), key="k").rows == 150_500
    other.rollback()


def test_no_batch_gets_dearer_as_the_rows_to_fill_run_out(orders, pg, other):
    """Each row is read a few times by the whole run, not once for each batch behind it."""
    rows, batch = 3_000, 50
    with pg.cursor() as cursor:
        cursor.execute("DELETE FROM shop_order")
        cursor.execute(
            "INSERT INTO shop_order (id, amount, n) "
            "SELECT 10000 + g, g, 0 FROM generate_series(1, %s) g",
            [rows],
        )
        cursor.execute("VACUUM ANALYZE shop_order")
        cursor.execute("SELECT pg_stat_reset()")
    backfill = Backfill(Order, values={"total": 1}, where=UNFILLED, batch_rows=batch)
    assert run(pg, backfill, key="k").batches == rows / batch
    pg.close()  # its counts are told to the server now
    deadline = time.monotonic() + 20
    written = read = 0
    while written < rows:
        assert time.monotonic() < deadline
        written, read = other.execute(
            "SELECT n_tup_upd, seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables "
            "WHERE relname = 'shop_order'"
        ).fetchone()
        other.rollback()
    assert read <= 6 * rows  # with LIMIT and without a cursor: some 30 times


@pytest.mark.slow
def test_a_new_column_with_an_index_does_not_have_each_batch_read_all_its_nulls(orders, pg, other):
    """Analyzed before it was added: nobody knows that all is NULL, and the index looks better."""
    with pg.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE shop_order SET (autovacuum_enabled = off);"
            "INSERT INTO shop_order (id, amount, n) "
            "SELECT 1000 + g::bigint * 104729 % 1000003, g, 0 FROM generate_series(1, 249500) g;"
            "ALTER TABLE shop_order DROP COLUMN total"
        )
        cursor.execute("ANALYZE shop_order")
        cursor.execute("ALTER TABLE shop_order ADD COLUMN total int")
        cursor.execute("CREATE INDEX by_total ON shop_order (total)")
    run(pg, Backfill(Order, values={"total": 1}, where=UNFILLED, batch_rows=5_000), key="k")
    pg.close()  # its counts are told to the server now
    deadline = time.monotonic() + 20
    written = read = 0
    while written < 250_000:
        assert time.monotonic() < deadline
        written, read = other.execute(
            "SELECT n_tup_upd, (SELECT idx_tup_read FROM pg_stat_user_indexes "
            "WHERE indexrelname = 'by_total') FROM pg_stat_user_tables WHERE relname = 'shop_order'"
        ).fetchone()
        other.rollback()
    assert read <= 250_000  # the proof may use it; each of 50 batches would read most of it
