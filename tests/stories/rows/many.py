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

KEYED = """
class Customer(models.Model):
    id = models.{}(primary_key=True)
    name = models.CharField(max_length=20)
class Order(models.Model):
    {} = models.ForeignKey(Customer, models.CASCADE)
    total = models.IntegerField(default=0)
"""
CAGE = """
class Cage(models.Model):
    size = models.IntegerField(default=0)
    {}
"""

BY_BOTH = 'class Meta: indexes = [models.Index(fields=["{}", "{}"], name="by_both")]'
TOGETHER = 'class Meta: unique_together = [("x", "%s")]'

KEY = """
class Customer(models.Model):
    id = models.{}(primary_key=True)
    name = models.CharField(max_length=20)
"""
REFERRING = """
class Visit(models.Model):
    day = models.DateField(default=timezone.now)
    {}
"""
TO = '"shop.Customer", models.CASCADE, null=True, related_name="+"'
TO_MANY = '"shop.Customer", related_name="+"'


def moved(fields: str, table: str = "") -> str:
    return f"{ORDER}{fields}    class Meta:\n        db_table = {table or 'shop_order'!r}\n"


def lines(*fields: str) -> str:
    return ORDER + "".join(f"    {field}\n" for field in fields)


ROWS = [
    Row(
        "a key gets another name, and what it refers to another type",
        KEYED.format("AutoField", "customer"),
        KEYED.format("BigAutoField", "client"),
        renamed={"Order.customer": "Order.client"},
        answers=("y",),
        refused="order.customer gets another column, and customer.id, which it refers to,",
    ),
    *(
        Row(
            f"a key gets another type, and {what} to it goes",
            {"shop": KEY.format("AutoField"), app: REFERRING.format(field)},
            {"shop": KEY.format("BigAutoField"), app: REFERRING.format("")},
        )
        # Before and behind the shop in the order of the apps.
        for what, app, field in [
            ("a foreign key of an app before it", "crm", f"owner = models.ForeignKey({TO})"),
            ("a foreign key of an app behind it", "zoo", f"owner = models.ForeignKey({TO})"),
            ("a many-to-many field", "zoo", f"owners = models.ManyToManyField({TO_MANY})"),
        ]
    ),
    Row(
        "a key gets another type, and what referred to it in its app goes",
        KEYED.format("AutoField", "customer").replace("CASCADE", "CASCADE, null=True"),
        KEYED.format("BigAutoField", "customer").replace(
            "    customer = models.ForeignKey(Customer, models.CASCADE)\n", ""
        ),
    ),
    Row(
        "a field gets another name, and another one of its unique_together a value",
        lines("a = models.IntegerField()", "x = models.IntegerField(null=True)", TOGETHER % "a"),
        lines("b = models.IntegerField()", "x = models.IntegerField(default=3)", TOGETHER % "b"),
        renamed={"Order.a": "Order.b"},
        answers=("y",),
        fills={"Order.x": 3},
        phases=["expand", "backfill", "contract"],
    ),
    Row(
        "a table gets another name, and what its key refers to another type",
        KEYED.format("AutoField", "customer"),
        KEYED.format("BigAutoField", "customer") + "    class Meta:\n        db_table = 'bought'\n",
    ),
    Row(
        "a foreign key becomes a number, and what it refers to gets another type",
        KEYED.format("AutoField", "customer"),
        KEYED.format("BigAutoField", "customer").replace(
            "customer = models.ForeignKey(Customer, models.CASCADE)",
            "customer_id = models.BigIntegerField()",
        ),
        refused="Make the change of customer.id now, and that of order.customer_id in the next",
    ),
    Row(
        "a foreign key becomes the number that it is, and what it refers to gets another type",
        KEYED.format("AutoField", "customer"),
        KEYED.format("BigAutoField", "customer").replace(
            "customer = models.ForeignKey(Customer, models.CASCADE)",
            "customer_id = models.IntegerField()",
        ),
        refused="Make the change of order.customer_id now, and that of customer.id in the next",
    ),
    Row(
        "a foreign key to another model, and what it refers to gets another type",
        CLIENT + KEYED.format("AutoField", "customer"),
        CLIENT + KEYED.format("BigAutoField", "customer").replace("Key(Customer", "Key(Client"),
        refused="order.customer no longer refers to customer.id, which gets another type",
    ),
    *(
        Row(
            f"a many-to-many field of the app {app} renamed, and its key gets another type",
            {
                app: CAGE.format(f"old = models.ManyToManyField({TO_MANY})"),
                "shop": KEY.format("AutoField"),
            },
            {
                app: CAGE.format(f"new = models.ManyToManyField({TO_MANY})"),
                "shop": KEY.format("BigAutoField"),
            },
            renamed={f"{app}.Cage.old": f"{app}.Cage.new", f"{app}.Cage_old": f"{app}.Cage_new"},
            answers=("y",),
        )
        for app in ("abc", "zoo")
    ),
    Row(
        "a field gets another name, and another one of its index another type",
        lines("a = models.IntegerField()", BY_BOTH.format("total", "a")),
        lines("b = models.IntegerField()", BY_BOTH.format("total", "b")).replace(
            "total = models.IntegerField", "total = models.BigIntegerField"
        ),
        renamed={"Order.a": "Order.b"},
        answers=("y",),
        refused="order.a gets another column and total another type in the same run, and by_both",
    ),
    Row(
        "a new key of another app, and what it refers to gets another type",
        {"shop": KEYED.format("AutoField", "customer"), "zoo": CAGE.format("")},
        {
            "shop": KEYED.format("BigAutoField", "customer"),
            "zoo": CAGE.format(
                'owner = models.ForeignKey("shop.Customer", models.CASCADE, null=True)'
            ),
        },
    ),
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
    Row(
        "another table, and fields that come and go",
        moved(
            "    legacy = models.CharField(max_length=9)\n"
            "    tags = models.ManyToManyField('self')\n"
            "    note = models.TextField(null=True)\n"
        ),
        moved(
            "    code = models.UUIDField(default=uuid.uuid4, unique=True)\n"
            "    note = models.TextField(default='')\n",
            "orders",
        ),
        fills={"Order.note": ""},
        back="is NULL in",
    ),
    Row(
        "another table and another name of a field",
        moved("    legacy = models.CharField(max_length=9, unique=True)\n"),
        moved("    code = models.CharField(max_length=9, unique=True)\n", "orders"),
        renamed={"Order.legacy": "Order.code"},
    ),
    Row(
        "another table and another type of a field",
        moved("    number = models.IntegerField(db_index=True)\n"),
        moved("    number = models.BigIntegerField(db_index=True)\n", "orders"),
        refused="Make the one change alone now and deploy it",
    ),
    Row(
        "another table and more room in a field",
        moved("    note = models.CharField(max_length=9)\n"),
        moved("    note = models.CharField(max_length=20)\n", "orders"),
    ),
    Row(
        "a model renamed and an index of it gone",
        lines("class Meta:", "    indexes = [models.Index(fields=['total'], name='by_total')]"),
        lines().replace("Order", "Purchase"),
        renamed={"Order": "Purchase"},
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
