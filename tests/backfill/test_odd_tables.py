"""Tables that are not as plain as they look: policies, triggers, rules, no rows, one row."""

import pytest
from django.db.models import F, Q

from safemigrate.backfill import Backfill, control, remaining, run
from safemigrate.facts.errors import BackfillFailed

from .tables import Invoice, Line, Order, Table, apps, models

ADDED = Backfill(Order, values={"n": F("n") + 1})
FILLED = Backfill(Order, values={"total": F("amount")}, where=Q(total__isnull=True))


@pytest.fixture
def orders(make, pg):
    make(Order, rows=[{"amount": n} for n in range(1, 301)])
    return Order._base_manager.using(pg.alias)


@pytest.fixture
def tenant(pg, orders):
    """A role that owns the table, whose policies count for the owner too."""
    with pg.cursor() as cursor:
        cursor.execute(
            "CREATE ROLE tenant; GRANT ALL ON SCHEMA public TO tenant; "
            "ALTER TABLE shop_order OWNER TO tenant; "
            "ALTER TABLE shop_order ENABLE ROW LEVEL SECURITY; "
            "CREATE POLICY few ON shop_order USING (id <= 100); SET ROLE tenant"
        )
        yield cursor
        cursor.execute("RESET ROLE; DROP OWNED BY tenant CASCADE; DROP ROLE tenant")


@pytest.mark.parametrize("work", [ADDED, FILLED])
def test_a_role_that_is_shown_some_rows_only_is_refused(tenant, pg, work):
    """A copy that was never made would be missed by nobody until the old column is dropped."""
    tenant.execute("ALTER TABLE shop_order FORCE ROW LEVEL SECURITY")
    with pytest.raises(BackfillFailed, match="Row level security of shop_order") as failed:
        run(pg, work, key="k")
    assert failed.value.changed == "Nothing was changed."
    assert "BYPASSRLS" in failed.value.do


JOINS = {
    "a function that is given whole rows": (Invoice, {"function": f"{__name__}.numbers"}, "order"),
    "a where about the parent": (Invoice, {"values": {"number": 1}, "where": Q(n=0)}, "order"),
    "a where about other rows": (
        Order, {"values": {"total": 1}, "where": Q(total=None, lines__isnull=False)}, "line",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", JOINS)
def test_a_policy_of_a_table_that_is_joined_counts_too(make, pg, what):
    """Its hidden rows would take theirs out of the join: those would not be filled either."""
    model, work, hides = JOINS[what]
    make(Order, Invoice, Line)
    with pg.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shop_order (amount, n) VALUES (1, 0);"
            "INSERT INTO shop_invoice (order_ptr_id) VALUES (1);"
            "CREATE ROLE tenant; GRANT ALL ON ALL TABLES IN SCHEMA public TO tenant;"
            "GRANT ALL ON SCHEMA public TO tenant;"
            f"ALTER TABLE shop_{hides} ENABLE ROW LEVEL SECURITY; SET ROLE tenant"
        )
        found = rf"Row level security of shop_{hides} .* of {model._meta.db_table} "
        try:
            with pytest.raises(BackfillFailed, match=found):
                run(pg, Backfill(model, **work), key="k")
            own = Backfill(Invoice, values={"number": 1}, where=Q(number=None))
            assert run(pg, own, key="joins nothing").rows == 1
            key = Backfill(Invoice, values={"number": 2}, where=Q(number=1, order_ptr__id=1))
            assert run(pg, key, key="only its own column of the key").rows == 1
        finally:
            cursor.execute("RESET ROLE; DROP OWNED BY tenant CASCADE; DROP ROLE tenant")


def numbers(rows):
    return [{"number": row.n} for row in rows]


def test_an_owner_for_whom_the_policies_do_not_count_sees_all_rows(tenant, pg):
    assert run(pg, FILLED, key="k").rows == 300


def test_a_policy_of_a_partition_counts_too(pg, make):
    with pg.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE shop_order (id bigint PRIMARY KEY, amount int, total int, n int, "
            "token uuid, flag bool, word text) PARTITION BY RANGE (id);"
            "CREATE TABLE p1 PARTITION OF shop_order FOR VALUES FROM (0) TO (100);"
            "INSERT INTO shop_order (id, amount, n) SELECT g, g, 0 FROM generate_series(1, 50) g;"
            "CREATE ROLE tenant; GRANT ALL ON ALL TABLES IN SCHEMA public TO tenant;"
            "GRANT ALL ON SCHEMA public TO tenant;"
            "ALTER TABLE p1 ENABLE ROW LEVEL SECURITY; SET ROLE tenant"
        )
        try:
            with pytest.raises(BackfillFailed, match=r"Row level security of p1 .* of shop_order"):
                run(pg, ADDED, key="k")
        finally:
            cursor.execute("RESET ROLE; DROP OWNED BY tenant CASCADE; DROP ROLE tenant")


KEEPS_ROWS = {
    "a trigger that leaves rows alone": "CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql "
    "AS $$ BEGIN RETURN NULL; END $$; CREATE TRIGGER stays BEFORE UPDATE ON shop_order "
    "FOR EACH ROW WHEN (OLD.id > 200) EXECUTE FUNCTION stays()",
    "a rule": "CREATE RULE stays AS ON UPDATE TO shop_order WHERE OLD.id > 200 DO INSTEAD NOTHING",
    "a trigger that takes the value away": "CREATE FUNCTION stays() RETURNS trigger "
    "LANGUAGE plpgsql AS $$ BEGIN NEW.total = NULL; RETURN NEW; END $$; CREATE TRIGGER stays "
    "BEFORE UPDATE ON shop_order FOR EACH ROW WHEN (OLD.id > 200) EXECUTE FUNCTION stays()",
}


@pytest.mark.parametrize("how", KEEPS_ROWS)
def test_rows_that_somebody_keeps_as_they_are_end_it_with_their_query(orders, pg, how):
    with pg.cursor() as cursor:
        cursor.execute(KEEPS_ROWS[how])
    with pytest.raises(BackfillFailed, match=r"100 rows (still )?match") as failed:
        run(pg, FILLED, key="k")
    assert "Find them with: SELECT" in failed.value.do
    assert control.seen(pg)[0].state == "failed"
    assert remaining(pg, FILLED) == 100


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("work", [ADDED, FILLED])
def test_no_row_and_one_row(make, pg, rows, work):
    make(Order, rows=[{"amount": 5}] * rows)
    assert run(pg, work, key="k").rows == rows
    assert control.seen(pg)[0].state == "done"


class Odd(Table):
    """Types without equality, of an extension, and in a schema of their own."""

    id = models.DecimalField(max_digits=40, decimal_places=5, primary_key=True)
    n = models.IntegerField(null=True)

    class Meta:
        apps = apps
        app_label = "shop"
        db_table = 'far"."odd'


def test_numeric_keys_of_any_size_in_another_schema_of_an_unlogged_table(pg):
    with pg.cursor() as cursor:
        cursor.execute(
            "CREATE SCHEMA far; CREATE UNLOGGED TABLE far.odd "
            "(id numeric(40, 5) PRIMARY KEY, n int, plain json); "
            "INSERT INTO far.odd SELECT (g - 250) * 12345678901234567890123.45678, NULL, '{}' "
            "FROM generate_series(1, 500) g"
        )
        work = Backfill(Odd, values={"n": 1}, where=Q(n__isnull=True), batch_rows=33)
        try:
            assert run(pg, work, key="a").rows == 500
            cursor.execute("UPDATE far.odd SET n = NULL")
            function = Backfill(Odd, function=f"{__name__}.ones", where=Q(n__isnull=True))
            assert run(pg, function, key="b").rows == 500
        finally:
            cursor.execute("DROP SCHEMA far CASCADE")


def ones(rows):
    return [{"n": 1} for _ in rows]
