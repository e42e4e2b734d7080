"""Fields, models and tables under other names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.stories.rows import Row

CUSTOMER = """
class Customer(models.Model):
    name = models.CharField(max_length=20)
"""
HEAD = f"""{CUSTOMER}
class Order(models.Model):
    email = models.CharField(max_length=50)
"""
META = (
    HEAD
    + """
    {field} = models.IntegerField(default=1)
    class Meta:
        indexes = [
            models.Index(fields=["{field}", "email"], name="plain_idx"),
            models.Index(
                models.F("{field}") * 2, name="partial_idx", condition=models.Q({field}__gt=3)
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["email", "{field}"], name="once"),
            models.CheckConstraint(condition=models.Q({field}__gte=-1000000), name="enough"),
        ]
"""
)
NOTE = """
class Note(models.Model):
    text = models.CharField(max_length=9)
    about = models.ManyToManyField("shop.{}")
"""


THROUGH = """
class Note(models.Model):
    text = models.CharField(max_length=9)
    orders = models.ManyToManyField(Order, through="Mention")


class Mention(models.Model):
    note = models.ForeignKey(Note, models.CASCADE)
    order = models.ForeignKey(Order, models.CASCADE)
    {} = models.IntegerField(default=1)
"""


def field(what: str, declared: str, old: str = "old", new: str = "new", **more: Any) -> Row:
    """One field of an order, under another name."""
    return Row(
        f"{what} renamed",
        f"{HEAD}    {old} = {declared}\n",
        f"{HEAD}    {new} = {declared}\n",
        renamed={f"Order.{old}": f"Order.{new}"},
        answers=("y",),
        **more,
    )


def model(what: str, text: str, renamed: Mapping[str, str], **more: Any) -> Row:
    """A template with ``{0}`` for what is renamed."""
    old, new = next(iter(renamed.items()))
    return Row(what, text.format(old), text.format(new), renamed=renamed, **more)


def has_one_content_type(story: Any) -> None:
    """The one that it had, so that what was granted stays granted."""
    found = story.new_project.sql(
        "SELECT t.model, bool_or(p.codename = 'view_client') FROM django_content_type t "
        "JOIN auth_permission p ON p.content_type_id = t.id WHERE app_label = 'shop' GROUP BY 1"
    )
    assert found == [("client", True)], found


FULL = """
class {0}(models.Model):
    {1} = models.IntegerField(default=3)
    {2} = models.IntegerField()
    made = models.DateField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["{1}", "{2}"], name="by_two")]
"""
OVER_B = """
        unique_together = [("b", "email")]
        indexes = [models.Index(fields=["b"], name="by_b")]
        constraints = [
            models.UniqueConstraint(fields=["email", "b"], name="once"),
            models.CheckConstraint(condition=models.Q(b__gte=-1000000), name="enough"),
        ]
"""
PHASES = ["expand", "backfill", "contract"]
BOTH = (
    HEAD + "    {} = models.IntegerField(null=True)\n"
    "    {} = models.CharField(max_length=20, default='x')\n"
)

ROWS = [
    Row(
        "a field renamed of a model that a many-to-many field refers to",
        f"{HEAD}    old = models.IntegerField(default=1)\n{NOTE.format('Order')}",
        f"{HEAD}    new = models.IntegerField(default=1)\n{NOTE.format('Order')}",
        renamed={"Order.old": "Order.new"},
        phases=["expand", "backfill", "contract"],
    ),
    Row(
        "a field of a through model renamed",
        HEAD + THROUGH.format("old"),
        HEAD + THROUGH.format("new"),
        renamed={"Mention.old": "Mention.new"},
        phases=["expand", "backfill", "contract"],
    ),
    field("a nullable field", "models.IntegerField(null=True)", phases=PHASES),
    field("a required field", "models.CharField(max_length=9)"),
    field("a field with a default", "models.IntegerField(default=7)"),
    field("a field with a database default", 'models.CharField(max_length=9, db_default="x")'),
    field(
        "a nullable field with a database default", "models.IntegerField(null=True, db_default=3)"
    ),
    field(
        "a field with a volatile database default",
        "models.FloatField(db_default=models.functions.Random())",
    ),
    field(
        "a nullable field with a volatile database default",
        "models.FloatField(null=True, db_default=models.functions.Random())",
        refused="RenameField renames old of shop_order to new",
    ),
    field(
        "a nullable moment of the database",
        "models.DateTimeField(null=True, db_default=models.functions.Now())",
    ),
    field("a positive integer", "models.PositiveIntegerField(default=1)"),
    field("an indexed text field", "models.CharField(max_length=9, db_index=True)"),
    field("a unique field", "models.CharField(max_length=30, unique=True)"),
    field("a JSON field", "models.JSONField(default=dict)"),
    field("a field with a comment", 'models.TextField(db_comment="what it is")'),
    field("a foreign key", "models.ForeignKey(Customer, models.CASCADE)"),
    field("a nullable foreign key", "models.ForeignKey(Customer, models.SET_NULL, null=True)"),
    field("a one-to-one field", "models.OneToOneField(Customer, models.CASCADE)"),
    field(
        "a foreign key to the same table", 'models.ForeignKey("self", models.CASCADE, null=True)'
    ),
    Row(
        "a many-to-many field renamed",
        f"{HEAD}    old = models.ManyToManyField(Customer)\n",
        f"{HEAD}    new = models.ManyToManyField(Customer)\n",
        renamed={"Order.old": "Order.new", "Order_old": "Order_new"},
        answers=("y",),
        phases=["expand", "contract"],
    ),
    Row(
        "a field of indexes and constraints renamed",
        META.format(field="a"),
        META.format(field="b"),
        renamed={"Order.a": "Order.b"},
        answers=("y",),
    ),
    Row(
        "a field of unique_together renamed",
        f"{HEAD}    a = models.IntegerField()\n    class Meta:\n"
        '        unique_together = [("email", "a")]\n',
        f"{HEAD}    b = models.IntegerField()\n    class Meta:\n"
        '        unique_together = [("email", "b")]\n',
        renamed={"Order.a": "Order.b"},
        answers=("y",),
    ),
    *(
        Row(
            f"both fields of {what} renamed",
            BOTH.format("a", "b") + "    class Meta:\n        " + meta.format("a", "b"),
            BOTH.format("c", "d") + "    class Meta:\n        " + meta.format("c", "d"),
            renamed={"Order.a": "Order.c", "Order.b": "Order.d"},
        )
        for what, meta in {
            "unique_together": 'unique_together = [("{}", "{}")]\n',
            "an index": 'indexes = [models.Index(fields=["{}", "{}"], name="both")]\n',
            "a unique constraint": "constraints = [models.UniqueConstraint("
            'fields=["{}", "{}"], name="both")]\n',
            "a check": "constraints = [models.CheckConstraint(condition="
            'models.Q({}__isnull=True) | ~models.Q({}=""), name="both")]\n',
        }.items()
    ),
    Row(
        "a renamed field that gets indexes and constraints",
        HEAD + "    a = models.IntegerField()\n",
        HEAD + "    b = models.IntegerField()\n    class Meta:\n" + OVER_B,
        renamed={"Order.a": "Order.b"},
        phases=["expand", "backfill", "expand", "contract"],
    ),
    Row(
        "the field of the ordering renamed",
        HEAD + "    a = models.DateField(default=timezone.now)\n    class Meta:\n"
        '        ordering = ["-a"]\n        get_latest_by = "a"\n',
        HEAD + "    b = models.DateField(default=timezone.now)\n    class Meta:\n"
        '        ordering = ["-b"]\n        get_latest_by = "b"\n',
        renamed={"Order.a": "Order.b"},
        phases=PHASES,
    ),
    Row(
        "a field renamed in the code alone",
        HEAD + "    a = models.IntegerField()\n",
        HEAD + '    b = models.IntegerField(db_column="a")\n',
        renamed={"Order.a": "Order.b"},
        answers=("y",),
    ),
    Row(
        "a field of indexes and constraints renamed in the code alone",
        META.format(field="a"),
        META.format(field="b").replace("default=1)", 'default=1, db_column="a")'),
        renamed={"Order.a": "Order.b"},
        answers=("y",),
    ),
    Row(
        "a field renamed in the code alone whose indexes and constraints go",
        META.format(field="a"),
        HEAD + '    b = models.IntegerField(default=1, db_column="a")\n',
        renamed={"Order.a": "Order.b"},
        answers=("y",),
    ),
    Row(
        "another column for a field",
        HEAD + "    a = models.IntegerField(db_index=True)\n",
        HEAD + '    a = models.IntegerField(db_index=True, db_column="renamed")\n',
        phases=PHASES,
    ),
    Row(
        "another column for a renamed foreign key",
        HEAD + "    a = models.ForeignKey(Customer, models.CASCADE)\n",
        HEAD + '    a = models.ForeignKey(Customer, models.CASCADE, db_column="renamed")\n',
    ),
    Row(
        "a model and the foreign key named after it",
        HEAD + "    customer = models.ForeignKey(Customer, models.CASCADE)\n",
        HEAD.replace("Customer", "Client")
        + "    client = models.ForeignKey(Client, models.CASCADE)\n",
        renamed={"Customer": "Client", "Order.customer": "Order.client"},
        answers=("y", "y"),
    ),
    Row(
        "two fields renamed",
        HEAD + "    a = models.IntegerField()\n    c = models.TextField(null=True)\n",
        HEAD + "    b = models.IntegerField()\n    d = models.TextField(null=True)\n",
        renamed={"Order.a": "Order.b", "Order.c": "Order.d"},
        answers=("y", "y"),
    ),
    Row(
        "a primary key renamed",
        "class Order(models.Model):\n    number = models.BigAutoField(primary_key=True)\n"
        "    email = models.CharField(max_length=50)\n",
        "class Order(models.Model):\n    serial = models.BigAutoField(primary_key=True)\n"
        "    email = models.CharField(max_length=50)\n",
        renamed={"Order.number": "Order.serial"},
        answers=("y",),
        phases=["expand", "contract"],
    ),
    model(
        "a model renamed",
        """
        class {0}(models.Model):
            email = models.CharField(max_length=50, unique=True)
            visits = models.PositiveIntegerField(default=0, db_index=True)
        """,
        {"Customer": "Client"},
        answers=("y",),
        phases=["expand", "contract"],
    ),
    model(
        "a model with relations renamed",
        """
        class Tag(models.Model):
            word = models.CharField(max_length=9)

        class {0}(models.Model):
            name = models.CharField(max_length=20)
            tags = models.ManyToManyField(Tag)
            friends = models.ManyToManyField("self")
            knows = models.ForeignKey("self", models.CASCADE, null=True)

        class Note(models.Model):
            writer = models.ForeignKey({0}, models.CASCADE, related_name="written")
            about = models.ManyToManyField({0})
        """,
        {
            "Customer": "Client",
            "Customer_tags": "Client_tags",
            "Customer_tags.customer": "Client_tags.client",
            "Customer_friends": "Client_friends",
            "Customer_friends.from_customer": "Client_friends.from_client",
            "Customer_friends.to_customer": "Client_friends.to_client",
            "Note_about.customer": "Note_about.client",
        },
        answers=("y",),
    ),
    Row(
        "a model renamed that a many-to-many field of another app refers to",
        {"shop": CUSTOMER, "crm": NOTE.format("Customer")},
        {"shop": CUSTOMER.replace("Customer", "Client"), "crm": NOTE.format("Client")},
        renamed={"Customer": "Client", "crm.Note_about.customer": "crm.Note_about.client"},
        answers=("y",),
    ),
    Row(
        "a model and fields of it renamed",
        FULL.format("Order", "total", "code"),
        FULL.format("Purchase", "value", "batch"),
        renamed={
            "Order": "Purchase",
            "Order.total": "Purchase.value",
            "Order.code": "Purchase.batch",
        },
        phases=PHASES,
    ),
    Row(
        "a model renamed with its content type and its permissions",
        CUSTOMER,
        CUSTOMER.replace("Customer", "Client"),
        renamed={"Customer": "Client"},
        apps=("django.contrib.auth",),
        check=has_one_content_type,
    ),
    Row(
        "a model renamed that keeps its table",
        HEAD,
        HEAD.replace("Order", "Purchase") + '    class Meta:\n        db_table = "shop_order"\n',
        renamed={"Order": "Purchase"},
    ),
    Row(
        "a table renamed",
        HEAD,
        HEAD + '    class Meta:\n        db_table = "shop_bought"\n',
        phases=["expand", "contract"],
    ),
]
