"""What ``sqlmigrate`` prints of an operation: run by hand, it does what migrate does."""

from __future__ import annotations

import pytest
from django.db import models
from django.db.models import F, Q

from safemigrate import operations as ops
from tests.by_hand import by_hand
from tests.operations.samples import SAMPLES
from tests.operations.shop import Shop, known_to

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)


@pytest.fixture
def shop(pg) -> Shop:
    return Shop(pg).open()


def printed(shop, operation, before, after, backwards) -> list[str]:
    """Shape: before, after: the states of the way forwards."""
    with shop.connection.schema_editor(collect_sql=True, atomic=False) as editor:
        if backwards:
            operation.database_backwards("shop", editor, after, before)
        else:
            operation.database_forwards("shop", editor, before, after)
    return list(editor.collected_sql)


def run(shop, lines) -> None:
    with shop.connection.cursor() as cursor:
        for statement in by_hand(lines):
            cursor.execute(statement)


def anew(shop) -> Shop:
    """The same shop, opened on the database as it was before."""
    with shop.connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return Shop(shop.connection).open()


@every_sample
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_run_by_hand_it_makes_what_migrate_makes(shop, sample, backwards):
    """A DBA reads it before the deploy, or is the only one who may change the schema."""
    known_to(shop.connection, getattr(sample.make(), "constraint", None))
    for by_migrate in (True, False):
        shop.apply(*sample.prepare())
        operation, before = sample.make(), shop.state
        if backwards:
            shop.apply(operation)
        after = shop.state if backwards else shop.after(operation)
        if by_migrate:
            if backwards:
                shop.unapply(operation, before)
            else:
                shop.apply(operation)
            wanted = shop.schema()
            shop = anew(shop)
        else:
            with shop.sent() as sent:
                lines = printed(shop, operation, before, after, backwards)
            assert sent == []
            run(shop, lines)
    assert shop.schema() == wanted


@every_sample
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_it_prints_where_nothing_is_there_to_be_asked(shop, sample, backwards):
    """In CI and on laptops the database is empty, or not the real one."""
    known_to(shop.connection, getattr(sample.make(), "constraint", None))
    shop.apply(*sample.prepare())
    operation, before = sample.make(), shop.state
    after = shop.after(operation)
    with shop.connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    lines = printed(shop, operation, before, after, backwards)
    words = " ".join(lines)
    if not backwards:
        for said in sample.says:
            assert said in words


def test_what_belongs_together_is_printed_as_a_transaction_that_does_not_queue(shop):
    """By hand, too, no query of the site waits behind a statement that waits."""
    shop.apply(ops.ExpandField("order", "rank", models.IntegerField(default=7)))
    lines = shop.printed(ops.DropDatabaseDefault("order", "rank", 7))
    assert lines[0] == "BEGIN;"
    assert lines[1].startswith("SET LOCAL lock_timeout = ")
    assert lines[2] == 'LOCK TABLE "shop_order" IN ACCESS EXCLUSIVE MODE NOWAIT;'
    assert lines[3:] == ['ALTER TABLE "shop_order" ALTER COLUMN "rank" DROP DEFAULT;', "COMMIT;"]


def test_a_fill_prints_the_update_of_a_batch_and_the_settings_that_go_with_it(shop):
    """As a comment: how many batches there are, and where they end, is seen at run time."""
    where = Q(code__isnull=True) & ~Q(email="50%")
    fill = ops.BatchedBackfill("order", values={"code": F("slug")}, where=where)
    lines = shop.printed(fill)
    assert all(line.startswith("-- ") for line in lines)
    assert "-- SET LOCAL synchronous_commit = 'off';" in lines
    (update,) = [line for line in lines if line.startswith("-- UPDATE")]
    for words in (":after AND", ":upto", '"code" = "shop_order"."slug"', "'50%'"):
        assert words in update
    run(shop, lines)
    assert shop.ask("SELECT count(*) FROM shop_order WHERE code IS NULL") == [(0,)]


def test_a_fill_with_values_that_python_makes_names_the_function(shop):
    fill = ops.BatchedBackfill("order", values={"code": made, "giver": 7})
    lines = shop.printed(fill)
    assert any(line.startswith("-- SELECT ") for line in lines)
    assert "-- code of each of these rows is set to what made() returns." in lines
    assert any(line.startswith("-- UPDATE") and '"giver" = 7' in line for line in lines)


def made() -> str:
    return "made"


def test_what_keeps_a_column_filled_is_printed_with_its_fill(shop):
    """Hidden behind the words of a fill there would be a trigger that nobody has read about."""
    fill = ops.BatchedBackfill("order", values={"code": F("slug")}, keep_filled=True)
    assert any("CREATE TRIGGER" in line for line in shop.printed(fill))
    back = shop.printed(fill, backwards=True)
    assert any("DROP TRIGGER" in line for line in back)
