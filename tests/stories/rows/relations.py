"""Foreign keys that come to columns, leave them, and point elsewhere."""

from __future__ import annotations

import django

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


def by_server(what: str, more: str = "") -> str:
    return key(more).replace("models.CASCADE", f"models.DB_{what}")


def change(what: str, before: str, after: str, **more) -> Row:
    return Row(what, before, after, **more)


NUMBER = (
    CUSTOMER
    + """
class Order(models.Model):
    total = models.IntegerField()
    customer_id = models.BigIntegerField({})
"""
)
META = """
    class Meta:
        indexes = [models.Index(fields=["customer_id", "total"], name="by_both")]
        constraints = [models.UniqueConstraint(fields=["total", "customer_id"], name="once")]
"""
TAGS = """
class Tag(models.Model):
    word = models.CharField(max_length=20)

class Order(models.Model):
    total = models.IntegerField()
    tags = models.ManyToManyField({})
"""
CODED = """
class Coded(models.Model):
    code = models.CharField(max_length=20, primary_key=True)
"""
TAGGED = (
    TAGS.format("Tag, through='Tagged'")
    + """
class Tagged(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
    tag = models.ForeignKey(Tag, models.CASCADE)
    since = models.DateTimeField(null=True)

    class Meta:
        unique_together = [("order", "tag")]
        db_table = "shop_order_tags"
"""
)
LINE = """
class Line(models.Model):
    order = models.ForeignKey(Order, {})
"""
GONE = """
from shop.models import Customer, Order
parent = Customer.objects.create(name="goes")
child = Order.objects.create(total=1, customer=parent)
parent.delete()
"""
GOES = GONE + "assert not Order.objects.filter(pk=child.pk).exists()"
STAYS = GONE + "child.refresh_from_db(); assert child.customer is None; child.delete()"
ROWS = [
    change("a default of a foreign key", key(), key("default=1")),
    change(
        "on_delete and related_name", key(), key('related_name="+"').replace("CASCADE", "PROTECT")
    ),
    Row(
        "rows that the database deletes",
        key(),
        by_server("CASCADE"),
        old_code=GOES,
        new_code=GOES,
        django=(6, 1),
    ),
    Row(
        "rows that code deletes, no longer the database",
        by_server("CASCADE"),
        key(),
        phases=["expand", "contract"],
        old_code=GOES,
        new_code=GOES,
        django=(6, 1),
    ),
    Row(
        "rows that code protects, no longer the database deletes",
        by_server("CASCADE", "null=True"),
        key("null=True").replace("CASCADE", "PROTECT"),
        phases=["expand", "contract"],
        old_code=GOES,
        new_code=GOES.replace("parent.delete()", "child.delete(); parent.delete()"),
        django=(6, 1),
    ),
    Row(
        "rows that the database leaves without a parent",
        key("null=True").replace("CASCADE", "SET_NULL"),
        by_server("SET_NULL", "null=True"),
        old_code=STAYS,
        new_code=STAYS,
        django=(6, 1),
    ),
    Row(
        "rows that the database leaves without a parent and code deleted",
        key(),
        by_server("SET_NULL", "null=True"),
        old_code=GOES,
        new_code=STAYS,
        back="is NULL in",
        django=(6, 1),
    ),
    Row(
        "rows that code deletes and the database left without a parent",
        by_server("SET_NULL", "null=True"),
        key("null=True"),
        old_code=STAYS,
        new_code=GOES,
        django=(6, 1),
    ),
    Row(
        "rows of rows that the database deletes",
        key() + LINE.format("models.CASCADE"),
        by_server("CASCADE") + LINE.format("models.DB_CASCADE"),
        old_code=GOES,
        new_code=GOES,
        django=(6, 1),
    ),
    Row(
        "rows that the database treats otherwise",
        by_server("CASCADE", "null=True"),
        by_server("SET_NULL", "null=True"),
        refused="Make this change with on_delete=models.SET_NULL",
        django=(6, 1),
    ),
    Row(
        "a foreign key to another model by which the database deletes",
        FIRM + by_server("CASCADE"),
        FIRM + by_server("CASCADE").replace("Key(Customer", "Key(Firm"),
        refused="on_delete=models.CASCADE in place of models.DB_CASCADE",
        django=(6, 1),
    ),
    Row(
        "a number becomes a foreign key by which the database deletes",
        NUMBER.format(""),
        by_server("CASCADE"),
        refused="Make this change with on_delete=models.CASCADE",
        django=(6, 1),
    ),
    Row(
        "a foreign key by which the database deletes becomes a number",
        by_server("CASCADE"),
        NUMBER.format(""),
        refused="on_delete=models.CASCADE in place of models.DB_CASCADE",
        django=(6, 1),
    ),
    Row(
        "a foreign key by which the database deletes goes",
        by_server("CASCADE"),
        order(""),
        refused="On the field as it is, on_delete=models.CASCADE in place of models.DB_CASCADE",
        django=(6, 1),
    ),
    Row(
        "a model goes whose rows the database deletes",
        by_server("CASCADE"),
        CUSTOMER,
        refused="On Order.customer, on_delete=models.CASCADE in place of models.DB_CASCADE",
        django=(6, 1),
    ),
    Row(
        "two models go, and the database deletes along the foreign keys between them",
        FIRM
        + CUSTOMER
        + "    best = models.ForeignKey('Order', models.DO_NOTHING, related_name='+')\n"
        + by_server("CASCADE").removeprefix(CUSTOMER),
        FIRM,
        refused="on_delete=models.CASCADE in place of models.DB_CASCADE",
        django=(6, 1),
    ),
    change("a foreign key without its constraint", key(), key("db_constraint=False")),
    change("a constraint for a foreign key", key("db_constraint=False"), key()),
    change("a nullable foreign key", key(), key("null=True"), back="is NULL in"),
    change("a foreign key without an index", key(), key("db_index=False")),
    Row(
        "a number becomes the foreign key on its column",
        NUMBER.format(""),
        key(),
        values={"Order.customer_id": "key('Customer')"},
        phases=["expand", "contract"],
    ),
    Row(
        "a number becomes the foreign key on its column, and what rests on it goes",
        NUMBER.format("") + META,
        key(),
        values={"Order.customer_id": "key('Customer')"},
    ),
    Row(
        "a number of another type becomes the foreign key on its column",
        NUMBER.format("null=True").replace("BigInteger", "Integer"),
        key("null=True"),
        values={"Order.customer_id": "key('Customer')"},
    ),
    Row(
        "a foreign key becomes the number on its column",
        key(),
        NUMBER.format(""),
        values={"Order.customer_id": "key('Customer')"},
    ),
    Row(
        "a one-to-one field instead of a foreign key",
        key("null=True"),
        key("null=True").replace("ForeignKey", "OneToOneField"),
    ),
    Row(
        "a foreign key instead of a one-to-one field",
        key("null=True").replace("ForeignKey", "OneToOneField"),
        key("null=True"),
    ),
    Row(
        "a foreign key to another model",
        FIRM + key(),
        FIRM + key().replace("Key(Customer", "Key(Firm"),
        values={"Order.customer_id": "key('Customer', 'Firm')"},
    ),
    Row(
        "a many-to-many field with other words",
        TAGS.format("Tag"),
        TAGS.format("Tag, related_name='orders', blank=True"),
    ),
    Row(
        "a many-to-many field to another model",
        TAGS.format("Tag") + FIRM,
        TAGS.format("'Firm'") + FIRM,
        renamed={"Order_tags.tag": "Order_tags.firm"},
        values={"Order_tags.tag": "key('Tag', 'Firm')"},
        phases=["expand", "contract"],
    ),
    Row(
        "a many-to-many field to its own model",
        TAGS.format("Tag"),
        TAGS.format("'self'"),
        renamed={
            "Order_tags.order": "Order_tags.from_order",
            "Order_tags.tag": "Order_tags.to_order",
        },
        values={"Order_tags.tag": "key('Tag', 'Order')"},
    ),
    Row(
        "a many-to-many field to a model with another kind of key",
        TAGS.format("Tag") + CODED,
        TAGS.format("'Coded'") + CODED,
        refused="gives tags of shop_order another table"
        if django.VERSION < (6, 1)
        else "Add field tags to order can start only when this is done",
    ),
    Row(
        "another table for a many-to-many field",
        TAGS.format("Tag"),
        TAGS.format("Tag, db_table='labels'"),
        phases=["expand", "contract"],
    ),
    Row(
        "constraints for the table of a many-to-many field",
        TAGS.format("Tag, db_constraint=False"),
        TAGS.format("Tag"),
        phases=["expand", "contract"],
    ),
    Row(
        "no constraints for the table of a many-to-many field",
        TAGS.format("Tag"),
        TAGS.format("Tag, db_constraint=False"),
    ),
    Row(
        "a many-to-many field gets a model for its table",
        TAGS.format("Tag"),
        TAGGED,
        renamed={"Order_tags": "Tagged"},
    ),
]
