"""Constraints on a table that is in use: duplicates, breaches, leftovers, and others that write."""

from __future__ import annotations

import psycopg
import pytest
from django.contrib.postgres import indexes as contrib
from django.contrib.postgres.fields import ArrayField, IntegerRangeField
from django.db import IntegrityError, migrations, models, transaction
from django.db.models import F, Q
from django.db.models.expressions import OrderBy
from django.db.models.functions import Collate, Lower
from django.db.models.indexes import IndexExpression

from safemigrate import operations as ops
from safemigrate.facts.errors import DataInTheWay, PlanRefused, UnsupportedDatabase
from tests.backends.conftest import meanwhile, until
from tests.backends.test_indexes import heads, plain, spoil
from tests.operations.samples import UNIQUE, not_negative, once
from tests.operations.shop import known_to


def unique(constraint):
    return ops.AddUniqueConstraintConcurrently("order", constraint)


def same_email(shop, **more):
    shop.model("Order").objects.update(email="o'Neil@example.org", **more)


# Unique ------------------------------------------------------------------------------------


@pytest.mark.parametrize("constraint", [c for _, c, _ in UNIQUE], ids=[what for what, *_ in UNIQUE])
def test_it_ends_as_plain_django_would_make_it(shop, constraint):
    """The same definition, name and validity; whoever looks at the catalogue cannot tell."""
    before = shop.state
    shop.apply(migrations.AddConstraint("order", known_to(shop.connection, constraint)))
    by_django = shop.schema()
    with shop.connection.schema_editor() as editor:
        migrations.AddConstraint("order", constraint).database_backwards(
            "shop", editor, shop.state, before
        )
    shop.state = before
    shop.apply(unique(constraint))
    assert shop.schema() == by_django


@pytest.mark.parametrize(
    ("constraint", "query"),
    [
        (
            once("email", "flag"),
            'SELECT email, flag, count(*) FROM "shop_order" '
            "GROUP BY email, flag HAVING count(*) > 1",
        ),
        (
            once("email", "code", nulls_distinct=False),
            'SELECT email, code, count(*) FROM "shop_order" '
            "GROUP BY email, code HAVING count(*) > 1",
        ),
        (
            once("email", condition=Q(total__gt=1) | Q(flag=True)),
            'SELECT email, count(*) FROM "shop_order" WHERE total > 1 OR flag '
            "GROUP BY email HAVING count(*) > 1",
        ),
        (
            models.UniqueConstraint(Lower("email"), name="order_once"),
            'SELECT lower(email::text), count(*) FROM "shop_order" '
            "WHERE (lower(email::text)) IS NOT NULL "
            "GROUP BY lower(email::text) HAVING count(*) > 1",
        ),
    ],
    ids=["fields", "nulls", "condition", "expression"],
)
def test_duplicates_are_told_with_the_query_that_finds_them(shop, constraint, query):
    """Somebody is on call and has to find them; no value of theirs is in the log."""
    same_email(shop)
    schema = shop.schema()
    with pytest.raises(DataInTheWay) as raised:
        shop.apply(unique(known_to(shop.connection, constraint)))
    text = str(raised.value)
    assert f"({query})" in text
    assert "Neil" not in text
    assert "The unfinished index was dropped." in text
    assert shop.ask(query.replace("%", "%%"))
    assert shop.schema() == schema


def test_nulls_are_no_duplicates_unless_the_constraint_says_so(shop):
    """Every order's code is NULL."""
    shop.apply(unique(once("code", "status", name="a")))
    stricter = known_to(shop.connection, once("code", "status", name="b", nulls_distinct=False))
    with pytest.raises(DataInTheWay):
        shop.apply(unique(stricter))
    same = shop.model("Order").objects.order_by("pk")[:3].values_list("pk", flat=True)
    shop.apply(ops.DropConstraint("order", "a"))
    shop.model("Order").objects.filter(pk__in=list(same)).update(email="twice", code="x")
    with pytest.raises(DataInTheWay) as raised:
        shop.apply(unique(once("code", "email", name="c")))
    query = str(raised.value).split("them (")[1].split("), then")[0]
    assert "code IS NOT NULL" in query
    assert [row[:2] for row in shop.ask(query)] == [("x", "twice")]


def test_nulls_that_count_need_a_server_of_fifteen(shop, monkeypatch):
    """Django leaves the constraint out without a word on an older server."""
    monkeypatch.setattr(
        type(shop.connection.features), "supports_nulls_distinct_unique_constraints", False
    )
    schema = shop.schema()
    with pytest.raises(UnsupportedDatabase, match=r"needs PostgreSQL 15 or newer.*is \d+\."):
        shop.apply(unique(once("code", nulls_distinct=False)))
    assert shop.schema() == schema


def test_a_deferrable_one_is_checked_at_the_end_of_the_transaction(shop):
    """Two rows exchange their numbers."""
    shop.apply(unique(once("total", deferrable=models.Deferrable.DEFERRED)))
    orders = shop.model("Order").objects
    with transaction.atomic():
        orders.filter(total=1).update(total=2)
        orders.filter(email="o2@example.org").update(total=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        orders.filter(total=1).update(total=2)


def test_an_invalid_index_that_a_killed_build_left_is_built_again(shop):
    """An INVALID unique index refuses rows already, and is no constraint."""
    constraint = once("total", "email")
    before = shop.state
    with shop.connection.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX order_once ON shop_order (total, email)")
    spoil(shop, "order_once")
    with shop.sent() as sent:
        shop.again(unique(constraint), before)
    assert heads(sent) == [
        "DROP INDEX CONCURRENTLY IF EXISTS",
        "CREATE UNIQUE INDEX CONCURRENTLY",
        "ALTER TABLE",
    ]


@pytest.mark.slow
def test_others_write_while_it_is_built(shop, other):
    """The build waits for an old transaction; nobody waits for the build."""
    other.execute("LOCK TABLE shop_order IN ROW EXCLUSIVE MODE")
    building = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE UNIQUE INDEX%%'"
    written = []

    def write():
        with psycopg.connect(**plain(shop), autocommit=True) as third:
            until(lambda: third.execute(building.replace("%%", "%")).fetchall())
            third.execute("SET statement_timeout = '2s'")
            for number in range(20):
                third.execute("UPDATE shop_order SET total = total + 10")
                written.append(number)
        other.rollback()

    with meanwhile(write) as raised:
        shop.apply(unique(once("total", "email")))
    assert raised == []
    assert len(written) == 20


# Check -------------------------------------------------------------------------------------


def test_rows_that_break_a_check_are_counted_before_it_is_added(shop):
    """Added, it would refuse every change of those rows, by whichever code."""
    shop.model("Order").objects.filter(total__lte=2).update(total=-1)
    schema = shop.schema()
    with shop.sent() as sent, pytest.raises(DataInTheWay) as raised:
        shop.apply(ops.AddCheckConstraint("order", not_negative()))
    assert sent == []
    text = str(raised.value)
    assert text.startswith("2 rows of shop_order break the check not_negative.")
    assert 'SELECT * FROM "shop_order" WHERE NOT ("total" >= 0)' in text
    assert shop.schema() == schema


def test_a_check_that_a_row_breaks_in_the_meantime_is_dropped_again(shop, backend, monkeypatch):
    """Between the look and the lock somebody wrote one more."""
    shop.model("Order").objects.filter(total=1).update(total=-1)
    monkeypatch.setattr(type(backend), "refuse_breaches", lambda *args: None)
    schema = shop.schema()
    with pytest.raises(DataInTheWay, match="1 row of shop_order break"):
        shop.apply(ops.AddCheckConstraint("order", not_negative()))
    assert shop.schema() == schema


def test_a_check_with_a_percent_sign_and_a_quote(shop):
    """``LIKE`` with a pattern; the driver must not take it for a parameter."""
    shop.model("Order").objects.filter(total=1).update(email="100%'s")
    check = models.CheckConstraint(condition=~Q(email__contains="%'s"), name="no_percent")
    with pytest.raises(DataInTheWay) as raised:
        shop.apply(ops.AddCheckConstraint("order", check))
    query = str(raised.value).split("(", 1)[1].split("), then")[0]
    with shop.connection.cursor() as cursor:
        cursor.execute(query)
        assert len(cursor.fetchall()) == 1
    shop.model("Order").objects.filter(total=1).update(email="clean")
    shop.apply(ops.AddCheckConstraint("order", check))


def test_a_row_that_is_neither_true_nor_false_passes_a_check(shop):
    """NULL is no breach, as in the server."""
    check = models.CheckConstraint(condition=Q(code__gt="a"), name="late_code")
    shop.apply(ops.AddCheckConstraint("order", check))
    assert ("shop_order", "late_code") in [row[:2] for row in shop.schema()["constraints"]]


# Dropping and the way back -------------------------------------------------------------------


@pytest.mark.parametrize("constraint", [once("email"), not_negative()], ids=["unique", "check"])
def test_the_way_back_is_refused_first_if_newer_rows_break_it(shop, constraint):
    """Nothing must be undone when the whole cannot be."""
    kind = ops.AddCheckConstraint if constraint.name == "not_negative" else None
    shop.apply((kind or ops.AddUniqueConstraintConcurrently)("order", constraint))
    before = shop.state
    drop = ops.DropConstraint("order", constraint.name)
    shop.apply(drop)
    with shop.connection.schema_editor(atomic=False) as editor:
        drop.check_backwards("shop", editor, before)
    same_email(shop, total=-1)
    with (
        pytest.raises(DataInTheWay, match="Nothing was changed"),
        shop.connection.schema_editor(atomic=False) as editor,
    ):
        drop.check_backwards("shop", editor, before)


def test_the_way_back_of_a_replaced_one_is_refused_first_as_well(shop):
    """It was email alone; the newer code has stored one address twice."""
    shop.apply(unique(once("email")))
    before = shop.state
    replace = ops.ReplaceConstraint("order", "order_once", by="newer")
    shop.apply(unique(once("email", "total", name="newer")), replace)
    same_email(shop)
    with (
        pytest.raises(DataInTheWay, match="order_once cannot be unique"),
        shop.connection.schema_editor(atomic=False) as editor,
    ):
        replace.check_backwards("shop", editor, before)


def test_the_way_back_of_unique_together_is_refused_first_as_well(shop):
    shop.apply(ops.AlterUniqueTogetherConcurrently("order", {("flag", "email")}))
    before = shop.state
    fewer = ops.AlterUniqueTogetherConcurrently("order", set())
    shop.apply(fewer)
    same_email(shop)
    with (
        pytest.raises(DataInTheWay, match="flag, email cannot be unique"),
        shop.connection.schema_editor(atomic=False) as editor,
    ):
        fewer.check_backwards("shop", editor, before)


def test_a_unique_constraint_that_a_foreign_key_rests_on_is_not_dropped(shop):
    shop.apply(unique(once("total")))
    with shop.connection.cursor() as cursor:
        cursor.execute("CREATE TABLE rests (total integer REFERENCES shop_order (total))")
    with pytest.raises(PlanRefused, match="rests_total_fkey"):
        shop.apply(ops.DropConstraint("order", "order_once"))


def test_the_constraint_of_a_unique_together_is_found_under_any_name(shop):
    """The table was renamed since it was made."""
    shop.apply(ops.AlterUniqueTogetherConcurrently("order", {("total", "email")}))
    [name] = [n for t, n, d, _ in shop.schema()["constraints"] if d == "UNIQUE (total, email)"]
    with shop.connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE shop_order RENAME CONSTRAINT "{name}" TO old_days')
    shop.apply(unique(once("total", "email", name="stays")))
    shop.apply(ops.AlterUniqueTogetherConcurrently("order", set()))
    names = [n for t, n, d, _ in shop.schema()["constraints"] if d == "UNIQUE (total, email)"]
    assert names == ["stays"]


# Indexes of contrib ------------------------------------------------------------------------


CONTRIB = [
    contrib.BrinIndex(fields=["total"], name="x", autosummarize=True, pages_per_range=4),
    contrib.HashIndex(fields=["email"], name="x"),
    contrib.BTreeIndex(fields=["total"], name="x", fillfactor=70),
    contrib.GinIndex(fields=["words"], name="x", fastupdate=False),
    contrib.GistIndex(fields=["span"], name="x"),
    contrib.SpGistIndex(fields=["span"], name="x"),
    contrib.GinIndex(contrib.OpClass(F("words"), name="array_ops"), name="x"),
    models.Index(contrib.OpClass(Lower("email"), name="varchar_pattern_ops"), name="x"),
    models.Index(
        fields=["-total"],
        name="x",
        include=["email"],
        condition=Q(flag=True),
        db_tablespace="pg_default",
    ),
]


@pytest.mark.parametrize("index", CONTRIB, ids=lambda index: type(index).__name__)
def test_every_class_of_index_is_built_concurrently_as_django_would(shop, index, monkeypatch):
    # What django.contrib.postgres does when it is installed.
    monkeypatch.setattr(IndexExpression, "wrapper_classes", (OrderBy, contrib.OpClass, Collate))
    shop.apply(
        migrations.AddField("order", "words", ArrayField(models.TextField(), null=True)),
        migrations.AddField("order", "span", IntegerRangeField(null=True)),
    )
    before = shop.state
    shop.apply(migrations.AddIndex("order", index))
    by_django = shop.schema()
    remove = ops.RemoveIndexConcurrently("order", "x")
    shop.apply(remove)
    shop.state = before
    with shop.sent() as sent:
        shop.apply(ops.AddIndexConcurrently("order", index))
    assert heads(sent) == ["CREATE INDEX CONCURRENTLY"]
    assert shop.schema() == by_django
