"""A field that stays and changes, more than one thing at once or with its index."""

from __future__ import annotations

from tests.stories.rows import Row

ORDER = """
class Order(models.Model):
    total = models.IntegerField(default=0)
"""
CUSTOMER = """
class Customer(models.Model):
    name = models.CharField(max_length=20)
"""


def changed(what: str, before: str, after: str, models: str = "", **more) -> Row:
    """One line of ``ORDER`` is another one."""
    return Row(what, f"{models}{ORDER}    {before}\n", f"{models}{ORDER}    {after}\n", **more)


def text(options: str = "") -> str:
    return f"note = models.CharField(max_length=9{options})"


ROWS = [
    changed(
        "null forbidden on an indexed field",
        text(", null=True, db_index=True"),
        text(', default="x", db_index=True'),
        fills={"Order.note": "x"},
    ),
    changed(
        "null forbidden on a UUID",
        "code = models.UUIDField(null=True)",
        "code = models.UUIDField(default=uuid.uuid4)",
        fills={"Order.code": ...},
    ),
    changed("a collation set", text(), text(', db_collation="C"')),
    changed("wider and indexed", text(), "note = models.CharField(max_length=30, db_index=True)"),
    changed(
        "an integer becomes a foreign key of its name",
        'customer = models.BigIntegerField(db_column="customer_id")',
        "customer = models.ForeignKey(Customer, models.CASCADE)",
        CUSTOMER,
        renamed={"Order.customer": "Order.customer"},
        values={"Order.customer": "n % 5 + 1"},
    ),
]
