"""Models of other kinds: in another schema, swappable, unmanaged, proxies, of an abstract base."""

from __future__ import annotations

from tests.stories.rows import Row

ELSEWHERE = ("tests.stories.elsewhere",)
IN_A_SCHEMA = """
class Customer(models.Model):
    name = models.CharField(max_length=20)

    class Meta:
        db_table = 'branch"."customers'

class {}(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    {}

    class Meta:
        db_table = 'branch"."{}'
        indexes = [models.Index(fields=["{}", "customer"], name="by_number")]
        constraints = [
            models.UniqueConstraint(fields=["{}", "customer"], name="once"),
            models.CheckConstraint(condition=models.Q({}__gte=-100), name="enough"),
        ]
"""
QUOTED = """
class Order(models.Model):
    {} = models.{}(unique=True, db_column='"To tal"')
    {} = models.CharField(max_length=9, db_index=True)

    class Meta:
        db_table = '"shop Old Orders"'
"""
KEY_IN_QUOTES = """
class Order(models.Model):
    number = models.{}(primary_key=True, db_column='"The Number"')
    total = models.IntegerField(default=1)
"""
LONG = """
class Order(models.Model):
    total = models.IntegerField(db_index=True)
    word = models.CharField(max_length=9, unique=True)

    class Meta:
        db_table = "{}"
"""
USER = """
from django.conf import settings
settings.AUTH_USER_MODEL = "shop.User"
from django.contrib.auth.models import AbstractBaseUser

class User(AbstractBaseUser):
    email = models.EmailField(unique=True)
    {}
    USERNAME_FIELD = "email"

class Order(models.Model):
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
"""
SWAPPED = """
from django.conf import settings
settings.SHOP_CUSTOMER_MODEL = "shop.{}"

class Customer(models.Model):
    name = models.CharField(max_length=20)
    {}

    class Meta:
        swappable = "SHOP_CUSTOMER_MODEL"

class Client(models.Model):
    name = models.CharField(max_length=20)

class Order(models.Model):
    customer = models.ForeignKey(settings.SHOP_CUSTOMER_MODEL, models.CASCADE)
"""
OUTSIDE = """
class Outside(models.Model):
    {} = models.CharField(max_length={}, null=True, db_column="word")

    class Meta:
        managed = False
        db_table = "outside"

class Order(models.Model):
    total = models.IntegerField()
    {}
"""
PROXIES = """
class {0}(models.Model):
    total = models.IntegerField()

class {1}({0}):
    class Meta:
        proxy = True

class Reply(models.Model):
    order = models.ForeignKey({0}, models.CASCADE)
"""
ORDER = """
class Order(models.Model):
    total = models.IntegerField()
"""
PROXY = (
    ORDER
    + """
class {}(Order):
    class Meta:
        proxy = True
"""
)
REPLY = """
class Reply(models.Model):
    order = models.ForeignKey("shop.{}", models.CASCADE)
"""
KEPT = """
class Reply(models.Model):
    word = models.CharField(max_length=9)
"""
NULLABLE = "    order = models.ForeignKey('shop.Seen', models.CASCADE, null=True)\n"
MANY = "    orders = models.ManyToManyField('shop.{}')\n"
STAMPED = """
class Stamped(models.Model):
    {} = models.{}(default=1, db_index=True)

    class Meta:
        abstract = True

class Bill(Stamped):
    total = models.IntegerField()

class Crate(Stamped):
    weight = models.IntegerField()
"""
PLACES = """
class Place(models.Model):
    {}
    name = models.CharField(max_length=20)

class {}(Place):
    seats = models.IntegerField()

class Table(models.Model):
    cafe = models.ForeignKey({}, models.CASCADE)
"""


def in_a_schema(line: str, name: str, model: str = "Order", table: str = "orders") -> str:
    return IN_A_SCHEMA.format(model, line, table, *[name] * 3)


NUMBER = "number = models.IntegerField(db_index=True)"
ROWS = [
    Row(
        "a key whose column stands in quotes",
        KEY_IN_QUOTES.format("AutoField"),
        KEY_IN_QUOTES.format("BigAutoField"),
    ),
    Row(
        "a type in a table of another schema",
        in_a_schema(NUMBER, "number"),
        in_a_schema(NUMBER.replace("Integer", "BigInteger"), "number"),
        apps=ELSEWHERE,
    ),
    Row(
        "a narrower type in a table of another schema",
        in_a_schema(NUMBER.replace("Integer", "BigInteger"), "number"),
        in_a_schema(NUMBER, "number"),
        values={"Order.number": "n"},
        apps=ELSEWHERE,
    ),
    Row(
        "a field of a table of another schema renamed",
        in_a_schema(NUMBER, "number"),
        in_a_schema(NUMBER.replace("number", "count"), "count"),
        renamed={"Order.number": "Order.count"},
        apps=ELSEWHERE,
    ),
    Row(
        "keys of a table of another schema and of what refers to it",
        in_a_schema("id = models.AutoField(primary_key=True)\n    " + NUMBER, "number").replace(
            "    name =", "    id = models.AutoField(primary_key=True)\n    name ="
        ),
        in_a_schema("id = models.BigAutoField(primary_key=True)\n    " + NUMBER, "number").replace(
            "    name =", "    id = models.BigAutoField(primary_key=True)\n    name ="
        ),
        apps=ELSEWHERE,
    ),
    Row(
        "fields that come to a table of another schema and go",
        in_a_schema(NUMBER + "\n    old = models.TextField()", "number"),
        in_a_schema(
            NUMBER + "\n    code = models.UUIDField(default=uuid.uuid4, unique=True)\n"
            '    parent = models.ForeignKey("self", models.CASCADE, null=True)\n'
            "    kind = models.IntegerField(default=3)",
            "number",
        ),
        apps=ELSEWHERE,
        back="is NULL in",
    ),
    Row(
        "a model renamed that keeps its table in another schema",
        in_a_schema(NUMBER, "number"),
        in_a_schema(NUMBER, "number", model="Purchase"),
        renamed={"Order": "Purchase"},
        apps=ELSEWHERE,
    ),
    Row(
        "a table of another schema renamed",
        in_a_schema(NUMBER, "number"),
        in_a_schema(NUMBER, "number", table="purchases"),
        refused="Keep the table: db_table =",
        apps=ELSEWHERE,
    ),
    Row(
        "a type in a table whose name stands in quotes",
        QUOTED.format("total", "IntegerField", "word"),
        QUOTED.format("total", "BigIntegerField", "word"),
    ),
    Row(
        "a field of a table whose name stands in quotes renamed",
        QUOTED.format("total", "IntegerField", "word"),
        QUOTED.format("total", "IntegerField", "text"),
        renamed={"Order.word": "Order.text"},
    ),
    Row(
        "a table with the longest name renamed to another longest name",
        LONG.format("the_table_of_all_the_orders_".ljust(63, "t")),
        LONG.format("the_table_of_all_the_orders_".ljust(63, "u")),
    ),
    Row(
        "a user model of the project",
        USER.format("id = models.AutoField(primary_key=True)"),
        USER.format("kind = models.IntegerField(default=1, db_index=True)"),
        apps=("django.contrib.auth",),
    ),
    Row(
        "a field of a user model renamed, its model too",
        USER.format("nick = models.CharField(max_length=9, db_index=True)"),
        USER.format("alias = models.CharField(max_length=9, db_index=True)"),
        renamed={"User.nick": "User.alias"},
        apps=("django.contrib.auth",),
    ),
    Row(
        "a field of a swappable model",
        SWAPPED.format("Customer", "old = models.IntegerField()"),
        SWAPPED.format("Customer", "old = models.BigIntegerField()"),
    ),
    Row(
        "a field of a model that is swapped out",
        SWAPPED.format("Client", "old = models.IntegerField()"),
        SWAPPED.format("Client", "new = models.TextField(default='')"),
    ),
    Row(
        "a table that Django does not manage, and a key to it",
        OUTSIDE.format("word", 9, ""),
        OUTSIDE.format(
            "text",
            20,
            "outside = models.ForeignKey(Outside, models.CASCADE, null=True)",
        ),
        renamed={"Outside.word": "Outside.text"},
        values={"Order.outside": "n % 3 + 1"},
        old_code="from shop.models import Outside; assert Outside.objects.get(word='1').pk == 1",
        new_code="from shop.models import Outside; assert Outside.objects.get(text='1').pk == 1",
        apps=ELSEWHERE,
    ),
    Row(
        "a proxy renamed",
        PROXIES.format("Order", "Seen"),
        PROXIES.format("Order", "Noted"),
        renamed={"Seen": "Noted"},
    ),
    Row(
        "a proxy renamed that a foreign key of another app refers to",
        {"shop": PROXY.format("Seen"), "crm": REPLY.format("Seen")},
        {"shop": PROXY.format("Noted"), "crm": REPLY.format("Noted")},
        renamed={"Seen": "Noted"},
    ),
    Row(
        "a proxy renamed that a many-to-many field of another app refers to",
        {"shop": PROXY.format("Seen"), "crm": KEPT + MANY.format("Seen")},
        {"shop": PROXY.format("Noted"), "crm": KEPT + MANY.format("Noted")},
        renamed={"Seen": "Noted", "crm.Reply_orders.seen": "crm.Reply_orders.noted"},
    ),
    Row(
        "a proxy gone and a foreign key of another app that referred to it",
        {
            "shop": PROXY.format("Seen"),
            "crm": KEPT + "    order = models.ForeignKey('shop.Seen', models.CASCADE, null=True)\n",
        },
        {"shop": ORDER, "crm": KEPT},
    ),
    Row(
        "a model that has a proxy renamed",
        PROXIES.format("Order", "Seen"),
        PROXIES.format("Purchase", "Seen"),
        renamed={"Order": "Purchase"},
    ),
    Row(
        "a type in an abstract base",
        STAMPED.format("size", "IntegerField"),
        STAMPED.format("size", "BigIntegerField"),
    ),
    Row(
        "a field of an abstract base renamed",
        STAMPED.format("size", "IntegerField"),
        STAMPED.format("width", "IntegerField"),
        renamed={"Bill.size": "Bill.width", "Crate.size": "Crate.width"},
    ),
    Row(
        "a child model renamed",
        PLACES.format("", "Cafe", "Cafe"),
        PLACES.format("", "Bistro", "Bistro"),
        renamed={"Cafe": "Bistro"},
    ),
    Row(
        "a parent model renamed",
        PLACES.format("", "Cafe", "Cafe"),
        PLACES.format("", "Cafe", "Cafe").replace("Place", "Spot"),
        renamed={"Place": "Spot", "Cafe.place_ptr": "Cafe.spot_ptr"},
    ),
    Row(
        "the key of a parent",
        PLACES.format("id = models.AutoField(primary_key=True)", "Cafe", "Cafe"),
        PLACES.format("id = models.BigAutoField(primary_key=True)", "Cafe", "Cafe"),
    ),
]
