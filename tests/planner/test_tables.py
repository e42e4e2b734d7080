"""Which locks a migration of one transaction takes before it does anything."""

from __future__ import annotations

import pytest
from django.db import migrations, models
from django.db.migrations.migration import Migration

from safemigrate.facts.locks import LockMode, TableLock
from safemigrate.planner.tables import table_locks
from tests.planner.states import model, state

ALL = LockMode.ACCESS_EXCLUSIVE
TO_CUSTOMER = models.ForeignKey("shop.Customer", models.CASCADE, null=True)
NUMBER = models.IntegerField(null=True)
BEFORE = state(
    model("Order", total=NUMBER),
    model("Customer", options={"db_table": "people"}),
    model("Shadow", options={"managed": False}),
)


def locks(*operations) -> set[tuple[str, LockMode]]:
    migration = Migration("0002", "shop")
    migration.operations = list(operations)
    return {(lock.table, lock.mode) for lock in table_locks(migration, BEFORE, "default")}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (migrations.AddField("order", "x", NUMBER), {("shop_order", ALL)}),
        (migrations.RemoveField("order", "total"), {("shop_order", ALL)}),
        (migrations.AlterField("order", "total", NUMBER), {("shop_order", ALL)}),
        (migrations.RenameField("order", "total", "x"), {("shop_order", ALL)}),
        (migrations.DeleteModel("Order"), {("shop_order", ALL)}),
        (migrations.RenameModel("Customer", "Person"), {("people", ALL)}),
        (migrations.AlterModelTable("order", "orders"), {("shop_order", ALL)}),
        (migrations.AlterUniqueTogether("order", {("id", "total")}), {("shop_order", ALL)}),
        (
            migrations.AddIndex("order", models.Index(fields=["total"], name="i")),
            {("shop_order", LockMode.SHARE)},
        ),
        (migrations.RemoveIndex("order", "i"), {("shop_order", ALL)}),
        (
            migrations.AddConstraint(
                "order", models.UniqueConstraint(fields=["total"], name="once")
            ),
            {("shop_order", ALL)},
        ),
        (
            migrations.AddField("order", "customer", TO_CUSTOMER),
            {("shop_order", ALL), ("people", LockMode.SHARE_ROW_EXCLUSIVE)},
        ),
        (
            migrations.CreateModel("Cart", [("customer", TO_CUSTOMER)]),
            {("people", LockMode.SHARE_ROW_EXCLUSIVE)},
        ),
        (migrations.CreateModel("Cart", [("n", NUMBER)]), set()),
        (migrations.AlterModelOptions("order", {}), set()),
        (migrations.AddField("shadow", "x", NUMBER), set()),
        (migrations.AddField("unheard_of", "x", NUMBER), set()),
        (migrations.RunSQL("SELECT 1"), set()),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, set) else "",
)
def test_each_operation_names_the_tables_that_it_will_lock(operation, expected):
    assert locks(operation) == expected


def test_what_is_only_a_change_of_state_locks_nothing():
    only_state = migrations.SeparateDatabaseAndState(
        state_operations=[migrations.RemoveField("order", "total")]
    )
    assert locks(only_state) == set()


def test_the_database_half_of_a_separated_operation_counts():
    only_database = migrations.SeparateDatabaseAndState([migrations.RemoveField("order", "total")])
    assert locks(only_database) == {("shop_order", ALL)}


def test_nothing_is_changed_in_the_state_that_was_given():
    before = BEFORE.clone()
    migration = Migration("0002", "shop")
    migration.operations = [migrations.RemoveField("order", "total")]
    assert table_locks(migration, before, "default") == [TableLock("shop_order")]
    assert before == BEFORE
