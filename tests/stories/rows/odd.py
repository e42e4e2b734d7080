"""Models that are not quite as most: of two tables, of none, with a hidden column, an odd name."""

from __future__ import annotations

from tests.stories.rows import Row

NAMED = """
class Order(models.Model):
    word = models.CharField(max_length=20, db_column='"Nice Word"')
    total = models.IntegerField(db_column="To tal")
    {}

    class Meta:
        db_table = '"shop Old Orders"'
"""
LONGEST = f"""
class Order(models.Model):
    number = models.{{}}(db_column="{"the_number_of_an_order_".ljust(63, "n")}")
    {{}} = models.TextField(db_index=True)
    {{}}

    class Meta:
        db_table = "{"the_table_of_all_the_orders_".ljust(63, "t")}"
"""
FAMILY = """
class Place(models.Model):
    name = models.CharField(max_length=20)
    {}

class Cafe(Place):
    seats = models.IntegerField()
    {}
"""
REPLIES = """
class Order(models.Model):
    total = models.IntegerField()

class Reply(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
    text = models.CharField(max_length=20)
    {}
"""
ORDERED = 'class Meta:\n        order_with_respect_to = "order"'
LINES = """
class Line(models.Model):
    {}
    shelf = models.IntegerField()
    place = models.IntegerField()
    {}
"""
PAIR = 'pk = models.CompositePrimaryKey("shelf", "place")'
COMPUTED = """
class Order(models.Model):
    total = models.IntegerField()
    {}
"""
TWICE = (
    "twice = models.GeneratedField(expression={}, output_field=models.IntegerField(), "
    "db_persist={})"
)
BASE = """
class Stamped(models.Model):
    {}

    class Meta:
        abstract = True

class Bill(Stamped):
    total = models.IntegerField()

class Crate(Stamped):
    weight = models.IntegerField()
"""
UNSEEN = """
class Unseen(models.Field):
    def db_type(self, connection):
        return None

    def get_attname_column(self):
        return self.get_attname(), None
"""
OLD_AND_NEW = """
class {}(models.Model):
    {} = models.IntegerField()

    class Meta:
        db_table = "kept"
"""
INDEXED = """
class {}(models.Model):
    class Meta:
        indexes = [models.Index(fields=["day"], name="by_day")]

    day = models.DateField()
"""
TABLES = """
class Customer(models.Model):
    name = models.CharField(max_length=9)

    class Meta:
        db_table = "{}"

class Firm(models.Model):
    name = models.CharField(max_length=9)

    class Meta:
        db_table = "{}"
"""
SEEN = """
class Seen(Order):
    class Meta:
        proxy = True
        ordering = ["total"]
"""

PRICE = (
    "price = models.DecimalField(max_digits={}, decimal_places=2)\n    "
    "twice = models.GeneratedField("
    'expression=models.F("price") * 2, output_field=models.FloatField(), db_persist=True)'
)


def twice(expression: str = 'models.F("total") * 2', stored: bool = True) -> str:
    return COMPUTED.format(TWICE.format(expression, stored))


ROWS = [
    Row(
        "fields of a table whose name stands in quotes",
        NAMED.format("old = models.IntegerField(db_index=True)"),
        NAMED.format('kind = models.CharField(max_length=9, default="x", db_index=True)'),
        back="is NULL in",
    ),
    Row(
        "fields of a table with the longest name that there can be",
        LONGEST.format("IntegerField", "old", ""),
        LONGEST.format(
            "BigIntegerField",
            "new",
            f"{'of_the_order_'.ljust(63, 'o')} = models.UUIDField(default=uuid.uuid4)",
        ),
        renamed={"Order.old": "Order.new"},
    ),
    Row(
        "a required field of a parent and of its child",
        FAMILY.format("", ""),
        FAMILY.format(
            'kind = models.CharField(max_length=9, default="x")',
            "stars = models.IntegerField(default=3)",
        ),
    ),
    Row(
        "a field gone from a parent and from its child",
        FAMILY.format("kind = models.IntegerField()", "stars = models.IntegerField()"),
        FAMILY.format("", ""),
        back="is NULL in",
    ),
    Row(
        "a field that moves up to the parent",
        FAMILY.format("", "kind = models.IntegerField(null=True)"),
        FAMILY.format("kind = models.IntegerField(null=True)", ""),
        refused="along the bases",
    ),
    Row("a child model gone", FAMILY.format("", ""), FAMILY.partition("class Cafe")[0].format("")),
    Row(
        "an order within a parent",
        REPLIES.format(""),
        REPLIES.format(ORDERED),
        phases=["expand", "contract"],
    ),
    Row("no order within a parent any more", REPLIES.format(ORDERED), REPLIES.format("")),
    Row(
        "fields of a table with a composite key",
        LINES.format(PAIR, "old = models.IntegerField()"),
        LINES.format(PAIR, "kind = models.IntegerField(default=3, db_index=True)"),
        back="is NULL in",
    ),
    Row(
        "a type in a table with a composite key",
        LINES.format(PAIR, "n = models.IntegerField()"),
        LINES.format(PAIR, "n = models.BigIntegerField()"),
    ),
    Row(
        "the type of a part of a composite key",
        LINES.format(PAIR, "n = models.IntegerField(db_index=True)"),
        LINES.format(PAIR, "n = models.IntegerField(db_index=True)").replace(
            "shelf = models.IntegerField", "shelf = models.BigIntegerField"
        ),
        phases=["expand", "backfill", "contract"],
    ),
    Row(
        "a composite key of a table that is there",
        LINES.format(PAIR, "n = models.IntegerField()"),
        LINES.format('pk = models.CompositePrimaryKey("shelf", "n")', "n = models.IntegerField()"),
        refused="composite primary key",
    ),
    Row("a stored generated field gone", twice(), COMPUTED.format("")),
    Row(
        "what a stored generated field is made of renamed in the code alone",
        COMPUTED.format(
            "a = models.IntegerField()\n    " + TWICE.format('models.F("a") * 2', True)
        ),
        COMPUTED.format(
            'b = models.IntegerField(db_column="a")\n    ' + TWICE.format('models.F("b") * 2', True)
        ),
        renamed={"Order.a": "Order.b"},
        answers=("y",),
    ),
    Row(
        "a generated field gone with what it is made of",
        COMPUTED.format("a = models.IntegerField()\n    " + TWICE.format('models.F("a")', True)),
        COMPUTED.format(""),
        back="is NULL in",
    ),
    Row("a stored generated field", COMPUTED.format(""), twice(), refused="computes and stores"),
    Row(
        "a virtual generated field",
        COMPUTED.format(""),
        twice(stored=False),
        django=(6, 1),
        postgresql=18,
    ),
    Row(
        "a generated field with another expression",
        twice(),
        twice('models.F("total") * 3'),
        refused="how twice",
    ),
    Row(
        "more digits for what a stored generated field is made of",
        COMPUTED.format(PRICE.format(8)),
        COMPUTED.format(PRICE.format(10)),
        refused="twice of shop_order is computed from it",
    ),
    Row(
        "more digits for what a generated field was made of that goes",
        COMPUTED.format(PRICE.format(8)),
        COMPUTED.format(PRICE.format(10).partition("\n")[0]),
        refused="Remove twice in a release of its own",
    ),
    Row(
        "a field that has no column gone",
        UNSEEN + COMPUTED.format("mark = Unseen(null=True)"),
        UNSEEN + COMPUTED.format(""),
    ),
    Row(
        "a new model with the table of one that goes",
        OLD_AND_NEW.format("Old", "a") + COMPUTED.format(""),
        OLD_AND_NEW.format("New", "b") + COMPUTED.format(""),
        refused="If it is to have the rows of shop.old too, move the model in the state alone",
    ),
    Row(
        "a new model with the index of one that goes",
        COMPUTED.format("") + INDEXED.format("Bill"),
        COMPUTED.format("") + INDEXED.format("Invoice") + "    paid = models.BooleanField()",
        refused="by_day of invoice is to have the name of an index of shop.bill",
    ),
    Row(
        "a field with the column of one that goes",
        COMPUTED.format("a = models.IntegerField()"),
        COMPUTED.format("").replace("IntegerField()", 'IntegerField(db_column="a")'),
        refused="Order.total is to have the column a, which is that of a until",
    ),
    Row(
        "two fields change their columns for each other",
        COMPUTED.format("a = models.IntegerField()"),
        COMPUTED.format('a = models.IntegerField(db_column="total")').replace(
            "total = models.IntegerField()", 'total = models.IntegerField(db_column="a")'
        ),
        refused="Order.total is to have the column a, which is that of a until",
    ),
    Row(
        "two tables change their names for each other",
        TABLES.format("x", "y"),
        TABLES.format("y", "x"),
        refused="firm is to have the table x, which shop.customer has",
    ),
    Row(
        "a field of an abstract base",
        BASE.format('note = models.CharField(max_length=9, default="")'),
        BASE.format("kind = models.IntegerField(default=1, db_index=True)"),
    ),
    Row(
        "a proxy, a comment and other options",
        COMPUTED.format(""),
        COMPUTED.format("class Meta:\n        db_table_comment = 'kept'") + SEEN,
    ),
]
