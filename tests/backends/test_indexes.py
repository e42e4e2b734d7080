"""Indexes, built and dropped while reads and writes go on; leftovers repaired."""

from __future__ import annotations

import re
from datetime import timedelta

import psycopg
import pytest
from django.db import migrations, models

from safemigrate.backends.postgresql import indexes
from safemigrate.facts.errors import DataInTheWay, DeadlinePassed
from safemigrate.operations import AddFieldIndexConcurrently, AddIndexConcurrently
from tests.backends.conftest import meanwhile, until
from tests.operations.shop import BIG

BUILDING = "SELECT 1 FROM pg_stat_progress_create_index WHERE index_relid > 0"


def by_total(name="total_idx"):
    return AddIndexConcurrently("order", models.Index(fields=["total"], name=name))


def unique_email():
    field = models.CharField(max_length=80, unique=True)
    return AddFieldIndexConcurrently("order", "email", field)


def heads(sent):
    """The words in front of the first name."""
    return [re.match(r"[A-Z ]+(?= )", statement)[0] for statement in sent]


def spoil(shop, name):
    shop.ask(
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass RETURNING 1"
    )


def test_a_leftover_invalid_index_is_dropped_and_built_again(shop, heard):
    """A build killed by a timeout leaves INVALID; the same migration, run again, repairs it."""
    before = shop.state
    shop.apply(by_total())
    spoil(shop, "total_idx")
    with shop.sent() as sent:
        shop.again(by_total(), before)
    assert heads(sent) == ["DROP INDEX CONCURRENTLY IF EXISTS", "CREATE INDEX CONCURRENTLY"]
    assert shop.schema()["indexes"] == [(d, True) for d, _ in shop.schema()["indexes"]]
    assert any("INVALID" in line for line in heard)


def test_an_invalid_index_of_a_unique_field_is_built_again(shop):
    """It refuses duplicates already, and yet is no constraint."""
    unique = unique_email()
    before = shop.state
    shop.apply(unique)
    (name,) = [
        n
        for (n,) in shop.ask(
            "SELECT conname FROM pg_constraint WHERE conname LIKE 'shop_order_email%%_uniq'"
        )
    ]
    with shop.connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE shop_order DROP CONSTRAINT "{name}"')
        cursor.execute(f'CREATE UNIQUE INDEX "{name}" ON shop_order (email)')
    spoil(shop, name)
    with shop.sent() as sent:
        shop.again(unique, before)
    assert heads(sent) == [
        "DROP INDEX CONCURRENTLY IF EXISTS",
        "CREATE UNIQUE INDEX CONCURRENTLY",
        "ALTER TABLE",
    ]


@pytest.mark.slow
def test_an_index_that_an_orphan_is_building_is_waited_for(shop, heard, other):
    """The client was killed; its server process builds on behind somebody's old transaction."""
    before = shop.state
    other.execute("SELECT count(*) FROM shop_order")
    other.execute("LOCK TABLE shop_order IN ROW EXCLUSIVE MODE")
    params = plain(shop)

    def orphan():
        with psycopg.connect(**params, autocommit=True) as session:
            session.execute("CREATE INDEX CONCURRENTLY total_idx ON shop_order (total)")

    with meanwhile(orphan) as raised:
        until(lambda: shop.ask(BUILDING))

        def free():
            until(lambda: any("is being built by process" in line for line in heard))
            other.rollback()

        with meanwhile(free), shop.sent() as sent:
            shop.again(by_total(), before)
    assert raised == []
    assert sent == []


@pytest.mark.slow
def test_an_orphan_that_never_ends_is_named_at_the_deadline(shop, other, settings):
    """It waits for a transaction that somebody forgot."""
    settings.SAFEMIGRATE = {"BUILD_DEADLINE": timedelta(milliseconds=500)}
    other.execute("LOCK TABLE shop_order IN ROW EXCLUSIVE MODE")
    params = plain(shop)

    def orphan():
        with psycopg.connect(**params, autocommit=True) as session:
            session.execute("CREATE INDEX CONCURRENTLY total_idx ON shop_order (total)")

    with meanwhile(orphan):
        until(lambda: shop.ask(BUILDING))
        with pytest.raises(DeadlinePassed, match=r"still building total_idx on shop_order"):
            shop.apply(by_total())
        other.rollback()


@pytest.mark.slow
def test_a_build_that_is_stopped_leaves_nothing_behind(shop, other, settings, heard):
    """The deadline passes while it waits for an old transaction, which then ends."""
    settings.SAFEMIGRATE = {"BUILD_DEADLINE": timedelta(milliseconds=300)}
    hold(other)
    schema = shop.schema()
    with psycopg.connect(**plain(shop), autocommit=True) as third:

        def free():
            until(lambda: third.execute(DROPPING).fetchall())
            other.rollback()

        with (
            meanwhile(free),
            pytest.raises(DeadlinePassed, match=r"unfinished index was dropped.*BUILD_DEADLINE"),
        ):
            shop.apply(by_total())
    assert shop.schema() == schema


@pytest.mark.slow
def test_what_a_stopped_build_left_and_nobody_can_drop_is_said(shop, other, settings, monkeypatch):
    """The old transaction goes on and on; the next run cleans up."""
    settings.SAFEMIGRATE = {"BUILD_DEADLINE": timedelta(milliseconds=300)}
    monkeypatch.setattr(indexes, "CLEAN_UP_MS", 200)
    hold(other)
    before = shop.state
    with pytest.raises(DeadlinePassed, match=r"left INVALID; the next run drops it"):
        shop.apply(by_total())
    other.rollback()
    with shop.sent() as sent:
        shop.again(by_total(), before)
    assert heads(sent) == ["DROP INDEX CONCURRENTLY IF EXISTS", "CREATE INDEX CONCURRENTLY"]


DROPPING = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'DROP INDEX%' AND state = 'active'"


def hold(session) -> None:
    """An old transaction that has written to the table: every build waits for it."""
    session.execute("LOCK TABLE shop_order IN ROW EXCLUSIVE MODE")


def plain(shop) -> dict:
    """What it takes to connect without Django."""
    params = shop.connection.get_connection_params()
    return {k: v for k, v in params.items() if k in ("dbname", "user", "host", "port")}


def test_duplicates_are_said_and_nothing_is_left_behind(shop):
    """An INVALID unique index would go on refusing rows."""
    shop.model("Order").objects.update(email="same@example.org")
    schema = shop.schema()
    unique = unique_email()
    with pytest.raises(DataInTheWay) as raised:
        shop.apply(unique)
    text = str(raised.value)
    for words in (
        "unique index",
        "there are duplicates",
        'SELECT email, count(*) FROM "shop_order" GROUP BY email HAVING count(*) > 1',
        "The unfinished index was dropped.",
        "run migrate again",
    ):
        assert words in text
    assert "same@example.org" not in text
    assert shop.schema() == schema


def test_the_same_index_name_in_two_schemas_is_two_indexes(shop):
    """``db_table`` with a schema: a valid index of the other schema's table is not ours."""
    with shop.connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA archive")
    shop.apply(
        migrations.CreateModel(
            "Old",
            [("id", BIG(primary_key=True)), ("total", models.IntegerField())],
            options={"db_table": 'archive"."old'},
        )
    )
    shop.apply(by_total())
    build = AddIndexConcurrently("old", models.Index(fields=["total"], name="total_idx"))
    before = shop.state
    with shop.sent() as sent:
        shop.apply(build)
    assert heads(sent) == ["CREATE INDEX CONCURRENTLY"]
    found = shop.ask(
        "SELECT schemaname, tablename FROM pg_indexes WHERE indexname = 'total_idx' ORDER BY 1"
    )
    assert found == [("archive", "old"), ("public", "shop_order")]
    with shop.sent() as sent:
        shop.again(build, before)
    assert sent == []
    shop.unapply(build, before)
    assert shop.ask("SELECT schemaname FROM pg_indexes WHERE indexname = 'total_idx'") == [
        ("public",)
    ]


def test_another_tables_index_of_the_same_name_is_not_dropped(shop):
    """PostgreSQL refuses the second one, and the first one must stay."""
    shop.apply(by_total())
    twin = AddIndexConcurrently("tag", models.Index(fields=["word"], name="total_idx"))
    schema = shop.schema()
    with pytest.raises(Exception, match="already exists"):
        shop.apply(twin)
    assert shop.schema() == schema


@pytest.mark.slow
def test_the_progress_of_a_build_is_said(shop, heard, other, monkeypatch):
    """Forty minutes of silence make somebody kill it."""
    monkeypatch.setattr(indexes, "WATCH_EVERY_S", 0.01)
    other.execute("LOCK TABLE shop_order IN ROW EXCLUSIVE MODE")

    def free():
        until(lambda: any(line.startswith("building total_idx: ") for line in heard))
        other.rollback()

    with meanwhile(free) as raised:
        shop.apply(by_total())
    assert raised == []
    assert any("waiting for writers" in line for line in heard)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("building index: scanning table", 200, 82, 0, 0), "building index: scanning table, 41 %"),
        (
            ("building index: loading tuples in tree", 0, 0, 50, 25),
            "building index: loading tuples in tree, 50 %",
        ),
        (("waiting for writers before build", 0, 0, 0, 0), "waiting for writers before build"),
    ],
)
def test_progress_is_a_phase_and_a_part(row, said):
    """A row of pg_stat_progress_create_index."""
    assert indexes.build_progress(*row) == said
