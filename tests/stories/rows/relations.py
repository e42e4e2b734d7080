"""Foreign keys that come to columns, leave them, and point elsewhere."""

from __future__ import annotations

from tests.stories.rows import Row

CUSTOMER = """
class Customer(models.Model):
    name = models.CharField(max_length=20)
"""
FIRM = """
class Firm(models.Model):
    name = models.CharField(max_length=20)
"""
KEY = "customer = models.ForeignKey(Customer, models.CASCADE{})"


def order(line: str) -> str:
    return CUSTOMER + f"class Order(models.Model):\n    total = models.IntegerField()\n    {line}\n"


def key(more: str = "") -> str:
    return order(KEY.format(more and f", {more}"))


def change(what: str, before: str, after: str, **more) -> Row:
    return Row(what, before, after, **more)


ONE = {"values": {"Order.customer_id": "Customer.objects.create().pk"}}

ROWS = [
    change("a default of a foreign key", key(), key("default=1")),
    change(
        "on_delete and related_name", key(), key('related_name="+"').replace("CASCADE", "PROTECT")
    ),
    change("a foreign key without its constraint", key(), key("db_constraint=False")),
    change("a constraint for a foreign key", key("db_constraint=False"), key()),
    change("a nullable foreign key", key(), key("null=True"), back="is NULL in"),
    change("a foreign key without an index", key(), key("db_index=False")),
]
