"""A view in a table's place: who may use it, what it is called, what the ORM asks of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import models
from django.db.models import Count

from safemigrate import operations as ops
from safemigrate.facts.errors import LockNotObtained
from tests.operations.shop import Shop


@pytest.fixture
def renamed(shop) -> Shop:
    """The customers are clients; ``shop.old`` is what the release before knows."""
    shop.old = shop.state
    shop.apply(ops.ExpandRenameModel("Customer", "Client"))
    return shop


@pytest.fixture
def role(shop) -> Any:
    """A role of the web processes, which owns nothing."""
    shop.connection.cursor().execute("CREATE ROLE web_of_test")
    yield "web_of_test"
    with shop.connection.cursor() as cursor:
        cursor.execute("RESET ROLE; DROP OWNED BY web_of_test; DROP ROLE web_of_test")


def run(shop: Shop, sql: str) -> None:
    with shop.connection.cursor() as cursor:
        cursor.execute(sql)


def test_what_roles_may_do_with_the_table_they_may_do_with_the_view(shop, role):
    """Migrations run as the owner, web processes as somebody else."""
    run(shop, f"GRANT SELECT, INSERT ON shop_customer TO {role}")
    run(shop, f"GRANT UPDATE (name) ON shop_customer TO {role}")
    shop.apply(ops.ExpandRenameModel("Customer", "Client"))
    run(shop, f"SET ROLE {role}")
    assert shop.ask("INSERT INTO shop_customer (name) VALUES ('Bea') RETURNING name") == [("Bea",)]
    assert shop.ask("UPDATE shop_customer SET name = 'Bo' WHERE name = 'Bea' RETURNING 1") == [(1,)]
    assert shop.ask(
        "SELECT has_table_privilege('shop_customer', 'DELETE'), "
        "has_column_privilege('shop_customer', 'id', 'UPDATE')"
    ) == [(False, False)]


def test_row_level_security_counts_for_whoever_asks(shop, role):
    """Through a view of the owner's everybody would see every row."""
    if shop.connection.pg_version < 150000:
        pytest.skip("PostgreSQL 15 has security_invoker first; before, the rename is refused")
    run(
        shop,
        f"GRANT SELECT ON shop_customer TO {role}; "
        "ALTER TABLE shop_customer ENABLE ROW LEVEL SECURITY; "
        f"CREATE POLICY none ON shop_customer TO {role} USING (false)",
    )
    shop.apply(ops.ExpandRenameModel("Customer", "Client"))
    assert shop.ask("SELECT count(*) FROM shop_customer") == [(1,)]
    run(shop, f"SET ROLE {role}")
    assert shop.ask("SELECT count(*) FROM shop_customer") == [(0,)]


def test_old_code_counts_what_belongs_to_a_row(renamed):
    """Django groups by the primary key alone; of a view PostgreSQL does not take that."""
    old = renamed.old.apps.get_model("shop", "Customer")
    counted = old.objects.annotate(orders=Count("order"))
    assert [(one.name, one.orders) for one in counted] == [("Ann", 5)]


def test_a_table_is_still_grouped_by_its_primary_key(shop):
    """The planner leaves out the columns that follow from it, so nothing gets dearer."""
    customers = shop.model("Customer").objects.annotate(orders=Count("order"))
    assert "Group Key: shop_customer.id\n" in customers.explain() + "\n"


def test_a_column_that_cannot_be_grouped_leaves_the_primary_key_alone(shop):
    """A ``json`` column of somebody's own field: there is no = for it."""

    class Json(models.TextField):
        def db_type(self, connection):
            return "json"

    shop.apply(ops.ExpandField("customer", "data", Json(null=True)))
    customers = shop.model("Customer").objects.annotate(orders=Count("order"))
    assert [one.orders for one in customers] == [5]


def test_the_view_says_what_it_is_for(renamed):
    """Somebody finds it in psql."""
    assert renamed.ask("SELECT obj_description('shop_customer'::regclass)") == [
        ("safemigrate: the names of shop_client that the release before knows",)
    ]


def test_another_feature_changes_the_table_while_the_view_is_there(renamed):
    """The contract is held back; the next release has a new column and a new foreign key."""
    renamed.apply(
        ops.ExpandField("client", "note", models.TextField(null=True)),
        ops.ExpandField(
            "note", "client", models.ForeignKey("shop.client", models.CASCADE, null=True)
        ),
        ops.AddForeignKey("note", "client"),
        ops.ContractRenameModel("Customer", "Client"),
    )
    assert renamed.ask("SELECT to_regclass('shop_customer')") == [(None,)]
    assert renamed.model("Client").objects.get().note is None


def test_every_name_is_the_one_from_scratch(renamed):
    """Later migrations and people find indexes, keys and sequences where they expect them."""
    renamed.apply(ops.ContractRenameModel("Customer", "Client"))
    left = renamed.ask(
        "SELECT relname FROM pg_class WHERE relname LIKE '%customer%' UNION ALL "
        "SELECT conname FROM pg_constraint WHERE conname LIKE '%shop_customer%' "
        "AND contype <> 'n'"
    )
    # The field Order.customer has not been renamed, and so its index.
    assert [name for (name,) in left if not name.startswith("shop_order_customer_id")] == []


def test_a_long_transaction_on_the_table_stops_nobody_else(shop, other, short_deadline):
    """The rename tries again and again, and gives up with everything as it was."""
    other.execute("SELECT count(*) FROM shop_customer")
    with pytest.raises(LockNotObtained):
        shop.apply(ops.ExpandRenameModel("Customer", "Client"))
    other.rollback()
    shop.apply(ops.ExpandRenameModel("Customer", "Client"))
    assert shop.ask("SELECT name FROM shop_customer") == [("Ann",)]
