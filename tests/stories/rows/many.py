"""Several changes in one run of makemigrations."""

from __future__ import annotations

from tests.stories.rows import Row

BEFORE = """
class Customer(models.Model):
    name = models.CharField(max_length=20)
class Order(models.Model):
    email = models.CharField(max_length=50)
    total = models.IntegerField(default=0)
    note = models.CharField(max_length=9, null=True)
    legacy = models.BooleanField(default=True)
"""
AFTER = """
class Customer(models.Model):
    name = models.CharField(max_length=40, db_index=True)
    level = models.IntegerField(default=1)
class Order(models.Model):
    email = models.CharField(max_length=50)
    total = models.IntegerField(default=0, db_index=True)
    note = models.CharField(max_length=9, default="")
    code = models.UUIDField(default=uuid.uuid4, unique=True)
    customer = models.ForeignKey(Customer, models.CASCADE, null=True)
    class Meta:
        indexes = [models.Index(fields=["email", "-total"], name="email_total_idx")]
"""
ORDER = """
class Order(models.Model):
    total = models.IntegerField(default=0)
"""
CLIENT = """
class Client(models.Model):
    name = models.CharField(max_length=9)
"""
LAST = 'models.ForeignKey("shop.Order", models.CASCADE, null=True, related_name="+")'


def lines(*fields: str) -> str:
    return ORDER + "".join(f"    {field}\n" for field in fields)


ROWS = [
    Row(
        "two types changed at once",
        lines("x = models.IntegerField()", "y = models.IntegerField(null=True, db_index=True)"),
        lines(
            "x = models.BigIntegerField()", "y = models.BigIntegerField(null=True, db_index=True)"
        ),
    ),
    Row(
        "a type changed and another field renamed",
        lines("x = models.IntegerField()", "old = models.CharField(max_length=9)"),
        lines("x = models.BigIntegerField()", "new = models.CharField(max_length=9)"),
        renamed={"Order.old": "Order.new"},
    ),
    Row(
        "a type changed, unique and required at once",
        lines("x = models.IntegerField(null=True)"),
        lines("x = models.BigIntegerField(unique=True)"),
        answers=("2",),
    ),
    Row(
        "one field renamed, one added, one removed",
        lines("old = models.CharField(max_length=9)", "gone = models.TextField(null=True)"),
        lines("new = models.CharField(max_length=9)", "more = models.FloatField(default=1.5)"),
        renamed={"Order.old": "Order.new"},
    ),
    Row(
        "a type changed of a field that a new index and a new check use",
        lines("x = models.IntegerField()"),
        lines(
            "x = models.BigIntegerField()",
            "class Meta:",
            '    indexes = [models.Index(fields=["x"], name="x_idx")]',
            '    constraints = [models.CheckConstraint(condition=models.Q(x__gte=0), name="x_ok")]',
        ),
    ),
    Row("many changes at once", BEFORE, AFTER, fills={"Order.note": ""}),
    Row(
        "two apps that refer to each other",
        {"shop": ORDER, "crm": CLIENT},
        {
            "shop": ORDER
            + '    client = models.ForeignKey("crm.Client", models.CASCADE, null=True)\n',
            "crm": CLIENT + f"    last = {LAST}\n",
        },
    ),
]
