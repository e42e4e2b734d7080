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

ROWS = [
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
