"""Columns, tables and triggers: short statements, honest errors, nothing of others' dropped."""

from __future__ import annotations

import pytest
from django.db import migrations, models
from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Now, Upper

from safemigrate import operations as ops
from safemigrate.backends.names import own_name
from safemigrate.facts.errors import DataInTheWay, PlanRefused, WrongOperation
from tests.operations.shop import BIG, Shop

TEXT = models.CharField(max_length=40)
UNFILLED = Q(note__isnull=True)


def expand(name="note", field=TEXT, **more):
    return ops.ExpandField("order", name, field, **more)


def old_insert(shop, slug="old", columns="", values=""):
    """A row from code that does not know any new field."""
    shop.ask(
        f"INSERT INTO shop_order (total, email, flag, status, slug, customer_id{columns}) "
        f"VALUES (1, 'old@example.org', true, 'new', '{slug}', 1{values}) RETURNING 1"
    )


def note(shop, slug):
    return shop.ask("SELECT note FROM shop_order WHERE slug = %s", [slug])


def test_nulls_are_counted_and_the_query_is_given(shop):
    """The backfill was skipped, or somebody wrote NULL afterwards."""
    shop.apply(expand())
    with pytest.raises(DataInTheWay) as raised:
        shop.apply(ops.SetNotNull("order", "note"))
    text = str(raised.value)
    assert "shop_order.note is NULL in 5 rows" in text
    assert "Nothing was changed" in text
    assert 'SELECT * FROM "shop_order" WHERE "note" IS NULL' in text


def test_after_filling_a_rerun_finishes(shop):
    shop.apply(expand())
    with pytest.raises(DataInTheWay):
        shop.apply(ops.SetNotNull("order", "note"))
    shop.ask("UPDATE shop_order SET note = 'x' RETURNING 1")
    with shop.sent() as sent:
        shop.apply(ops.SetNotNull("order", "note"))
    assert [s.partition('"shop_order" ')[2].split('"')[0] for s in sent] == [
        "ADD CONSTRAINT ",
        "VALIDATE CONSTRAINT ",
        "ALTER COLUMN ",
        "DROP CONSTRAINT IF EXISTS ",
    ]
    assert not [k for k in shop.schema()["constraints"] if "safemigrate" in k[1]]


def test_a_refused_not_null_leaves_nothing_that_refuses_rows(shop):
    """Code that has always written NULL goes on running after the failed deploy."""
    shop.apply(expand())
    schema = shop.schema()
    with pytest.raises(DataInTheWay):
        shop.apply(ops.SetNotNull("order", "note"))
    assert shop.schema() == schema
    old_insert(shop)


def test_a_column_with_a_dependent_view_is_not_dropped_and_the_view_named(shop):
    """An analyst's view; CASCADE would have taken it along."""
    with shop.connection.cursor() as cursor:
        cursor.execute("CREATE VIEW monthly AS SELECT code FROM shop_order")
    schema = shop.schema()
    with pytest.raises(PlanRefused, match=r"column shop_order\.code cannot be dropped.*monthly"):
        shop.apply(ops.ContractDrop("order", "code"))
    assert shop.schema() == schema


def test_a_table_with_a_dependent_view_or_foreign_key_is_not_dropped(shop):
    """A foreign key of somebody else's table."""
    with shop.connection.cursor() as cursor:
        cursor.execute("CREATE TABLE theirs (note_id bigint REFERENCES shop_note)")
    with pytest.raises(PlanRefused, match=r"table shop_note cannot be dropped.*theirs"):
        shop.apply(ops.ContractDrop("Note"))
    assert shop.ask("SELECT to_regclass('shop_note') IS NOT NULL") == [(True,)]


VALUES = {
    "column": F("slug"),
    "expression": Concat(Upper("slug"), Value(" it's 100 % "), F("email")),
    "constant": "it's 100 %",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_the_trigger_says_what_the_backfill_says(shop, value):
    """Rows that older code inserts must not differ from the rows that were filled."""
    shop.apply(expand())
    old_insert(shop, "a")
    shop.apply(ops.BatchedBackfill("order", {"note": value}, UNFILLED, keep_filled=True))
    by_backfill = note(shop, "a")
    shop.ask("DELETE FROM shop_order WHERE slug = 'a' RETURNING 1")
    old_insert(shop, "a")
    assert note(shop, "a") == by_backfill != [(None,)]


def test_the_trigger_leaves_alone_what_is_given_and_what_is_updated(shop):
    """New code writes the field itself; a save of something else is no reason to fire."""
    shop.apply(expand())
    shop.apply(ops.BatchedBackfill("order", {"note": "x"}, UNFILLED, keep_filled=True))
    old_insert(shop, "own", ", note", ", 'mine'")
    assert note(shop, "own") == [("mine",)]
    shop.ask("UPDATE shop_order SET note = NULL, total = 9 WHERE slug = 'own' RETURNING 1")
    assert note(shop, "own") == [(None,)]
    shop.ask("UPDATE shop_order SET total = 10 WHERE slug = 'own' RETURNING 1")
    assert note(shop, "own") == [(None,)]


def test_older_code_that_knows_the_field_cannot_empty_it_again(shop):
    """It is on its way to NOT NULL, and newer code relies on it."""
    shop.apply(expand())
    shop.apply(ops.BatchedBackfill("order", {"note": "x"}, UNFILLED, keep_filled="always"))
    old_insert(shop, "own", ", note", ", 'mine'")
    shop.ask("UPDATE shop_order SET note = NULL, total = 9 WHERE slug = 'own' RETURNING 1")
    assert note(shop, "own") == [("x",)]
    shop.ask("UPDATE shop_order SET note = 'new' WHERE slug = 'own' RETURNING 1")
    assert note(shop, "own") == [("new",)]


def test_a_word_that_keep_filled_does_not_know_is_refused(shop):
    shop.apply(expand())
    with pytest.raises(WrongOperation, match="keep_filled='sometimes'"):
        shop.apply(ops.BatchedBackfill("order", {"note": "x"}, UNFILLED, keep_filled="sometimes"))


def test_the_trigger_is_gone_after_set_not_null(shop):
    """Function and trigger would be found years later by somebody who wonders."""
    shop.apply(expand())
    shop.apply(ops.BatchedBackfill("order", {"note": "x"}, UNFILLED, keep_filled=True))
    assert shop.schema()["triggers"]
    shop.apply(ops.SetNotNull("order", "note"))
    assert shop.schema()["triggers"] == shop.schema()["functions"] == []


@pytest.mark.parametrize(
    ("value", "why"),
    [(lambda: "x", "Python function"), (F("customer__name"), "Joined field references")],
)
def test_what_no_trigger_can_say_is_refused_before_anything_is_done(shop, value, why):
    """Half of it would fill old rows and leave new ones empty."""
    shop.apply(expand())
    schema, data = shop.schema(), shop.data()
    with pytest.raises(WrongOperation, match=why):
        shop.apply(ops.BatchedBackfill("order", {"note": value}, UNFILLED, keep_filled=True))
    assert (shop.schema(), shop.data()) == (schema, data)


# Adding ------------------------------------------------------------------------------------


def column(shop, name):
    return [c[3:] for c in shop.schema()["columns"] if c[:2] == ("shop_order", name)]


def rewritten(shop, operation) -> bool:
    """Whether the table's file changed: every row was written anew."""
    file = "SELECT pg_relation_filenode('shop_order')"
    before = shop.ask(file)
    shop.apply(operation)
    return shop.ask(file) != before


@pytest.mark.parametrize(
    ("field", "default"),
    [
        (models.IntegerField(default=3), {"database_default": 3}),
        (models.UUIDField(), {"database_default": ops.RandomUUID()}),
        (models.DateTimeField(auto_now_add=True), {"database_default": Now()}),
        (models.PositiveIntegerField(default=0), {"database_default": 0}),
        (models.JSONField(default=dict), {"database_default": {}}),
        (TEXT, {}),
    ],
)
def test_no_column_rewrites_the_table_and_old_code_can_insert(shop, field, default):
    """A rewrite holds ACCESS EXCLUSIVE for as long as the table is large."""
    assert not rewritten(shop, expand("fresh", field, **default))
    old_insert(shop)


def test_an_expression_is_for_rows_to_come(shop):
    """The rows that are there are the backfill's."""
    shop.apply(expand("fresh", models.UUIDField(), database_default=ops.RandomUUID()))
    assert column(shop, "fresh") == [(False, "gen_random_uuid()")]
    assert shop.ask("SELECT count(fresh) FROM shop_order") == [(0,)]


def test_the_fields_own_constant_default_is_obeyed_at_once(shop):
    """``db_default=Now()`` is one value for the rows that are there, so NOT NULL at once."""
    shop.apply(expand("since", models.DateTimeField(db_default=Now()), database_default=Now()))
    ((not_null, _),) = column(shop, "since")
    assert not_null
    assert shop.ask("SELECT count(since) FROM shop_order") == [(5,)]


def test_the_check_of_a_positive_integer_is_validated_outside_the_lock(shop):
    """In ADD COLUMN it would read every row under ACCESS EXCLUSIVE."""
    with shop.sent() as sent:
        shop.apply(expand("count", models.PositiveIntegerField(default=0), database_default=0))
    assert ["CHECK" in s for s in sent] == [False, True, False]
    assert sent[1].endswith("NOT VALID")
    assert "VALIDATE CONSTRAINT" in sent[2]
    assert ("shop_order", True) in [
        (k[0], k[3]) for k in shop.schema()["constraints"] if "count >= 0" in k[2]
    ]


def test_a_foreign_key_is_not_checked_while_the_column_is_added(shop):
    """With a default it would read every row, and lock the parent meanwhile."""
    key = models.ForeignKey("shop.customer", models.CASCADE, default=1, related_name="+")
    with shop.sent() as sent:
        shop.apply(expand("payer", key, database_default=1))
    assert not any("REFERENCES" in statement for statement in sent)
    with shop.sent() as sent:
        shop.apply(ops.AddForeignKey("order", "payer"))
    assert [s.split()[-1] == "VALID" or "VALIDATE" in s for s in sent] == [True, True]


def test_rows_that_point_nowhere_are_said_and_a_rerun_finishes(shop):
    """The column was an integer for years."""
    shop.apply(
        expand(
            "payer", models.ForeignKey("shop.customer", models.CASCADE, null=True, related_name="+")
        )
    )
    shop.ask("UPDATE shop_order SET payer_id = 77 WHERE slug = 's1' RETURNING 1")
    with pytest.raises(DataInTheWay, match=r"Rows of shop_order point at rows of shop_customer"):
        shop.apply(ops.AddForeignKey("order", "payer"))
    shop.ask("UPDATE shop_order SET payer_id = NULL RETURNING 1")
    with shop.sent() as sent:
        shop.apply(ops.AddForeignKey("order", "payer"))
    assert len(sent) == 1
    assert "VALIDATE" in sent[0]


# Names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x" * 63, "Order's total", "with space", "ÄÖÜ" * 10, "order"])
def test_any_name_that_postgresql_allows_is_handled(pg, name):
    """Legacy tables are called as somebody once liked."""
    shop = Shop(pg)
    shop.apply(
        migrations.CreateModel(
            "Odd",
            [("id", BIG(primary_key=True)), ("total", models.IntegerField(db_column=name))],
            options={"db_table": name},
        )
    )
    quoted = pg.ops.quote_name(name)
    shop.ask(f"INSERT INTO {quoted} ({quoted}) VALUES (1) RETURNING 1")
    field = models.CharField(max_length=9, db_column=("n" + name)[:31])
    wanted = Q(note__isnull=True)
    steps = [
        ops.ExpandField("odd", "note", field),
        ops.AddFieldIndexConcurrently(
            "odd", "note", models.CharField(max_length=9, unique=True, db_column=("n" + name)[:31])
        ),
        ops.BatchedBackfill("odd", {"note": "x"}, wanted, keep_filled=True),
        ops.SetNotNull("odd", "note"),
        ops.AddIndexConcurrently("odd", models.Index(fields=["total"], name="odd_idx")),
        ops.MakeFieldIgnorable("odd", "total"),
        ops.RemoveIndexConcurrently("odd", "odd_idx"),
        ops.ContractDrop("odd", "total"),
        ops.ContractDrop("odd"),
    ]
    for step in steps:
        before = shop.state
        shop.apply(step)
        with shop.sent() as again:
            shop.again(step, before)
        assert again == []
    assert shop.ask("SELECT to_regclass(%s) IS NULL", [quoted]) == [(True,)]


def test_names_of_our_own_fit_and_do_not_meet():
    """PostgreSQL cuts at 63 bytes, and two long names would become one."""
    names = {own_name("fill", "t" * 60, "c" * n) for n in range(1, 60)}
    assert len(names) == 59
    assert all(len(name.encode()) <= 63 for name in names)
    assert own_name("fill", "ä" * 40, "b") == own_name("fill", "ä" * 40, "b")
    assert own_name("fill", "a_b", "c") != own_name("fill", "a", "b_c")
    assert '"' not in own_name("fill", 'archive"."old', "c")


def test_on_sqlite_a_second_new_column_does_not_stumble_over_the_first(lite):
    """Django makes the table anew, from a model that says NOT NULL of what is still empty."""
    shop = Shop(lite).open()
    shop.apply(expand())
    shop.apply(expand("urgency", models.IntegerField(default=3), database_default=3))
    shop.apply(expand("extra", models.CharField(max_length=9, unique=True)))
    shop.apply(ops.AddFieldIndexConcurrently("order", "extra"))
    shop.apply(ops.BatchedBackfill("order", {"note": F("slug"), "extra": F("slug")}))
    shop.apply(ops.SetNotNull("order", "note"))
    shop.apply(ops.SetNotNull("order", "extra"))
    rows = shop.ask("SELECT note, urgency, extra FROM shop_order ORDER BY id LIMIT 1")
    assert rows == [("s1", 3, "s1")]
