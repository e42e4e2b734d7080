"""Changes of two apps that refer to each other, and of one thing in more than one way."""

from __future__ import annotations

from tests.stories.rows import Row
from tests.stories.rows.constraints import NOTHING, POSTGRES, index, meta
from tests.stories.rows.parted import EVENT, PARTED

SHOP = """
class Order(models.Model):
    id = models.{}(primary_key=True)
    {} = models.IntegerField(default=1, db_index=True)
    client = models.ForeignKey("crm.{}", models.CASCADE, null=True)
"""
CRM = """
class {}(models.Model):
    id = models.{}(primary_key=True)
    name = models.CharField(max_length=9)
    last = models.ForeignKey("shop.Order", models.CASCADE, null=True, related_name="+")
    {}
"""
FILM = """
class {}(models.Model):
    total = models.IntegerField()
    email = models.CharField(max_length=9)

    class Meta:
        indexes = [
            models.Index(fields=["total"], name="{}"),
            models.Index(fields=["email"], name="{}"),
        ]
"""
SPAN = 'constraints = [ExclusionConstraint(name="x", expressions=[(SPAN, "&&")])]'
ONE = """
class Customer(models.Model):
    name = models.CharField(max_length=20)
class Order(models.Model):
    total = models.IntegerField(default=0)
    {}
"""
PLAIN = PARTED.partition("CREATE INDEX")[0]


def apart(shop: str, crm: str) -> dict[str, str]:
    return {"shop": shop, "crm": crm}


def event(more: str) -> str:
    head = EVENT.partition("    class Meta")[0]
    return head.format(name="number", field=f"IntegerField()\n    {more}")


EVENTS = PLAIN.format(column="number int")
BY_WORD = 'class Meta:\n        indexes = [models.Index(fields=["word"], name="by_word")]'
ROWS = [
    Row(
        "keys of two apps that refer to each other",
        apart(SHOP.format("AutoField", "total", "Client"), CRM.format("Client", "AutoField", "")),
        apart(
            SHOP.format("BigAutoField", "total", "Client"),
            CRM.format("Client", "BigAutoField", ""),
        ),
    ),
    Row(
        "two apps that refer to each other, a model renamed in one and a field in the other",
        apart(SHOP.format("AutoField", "total", "Client"), CRM.format("Client", "AutoField", "")),
        apart(SHOP.format("AutoField", "amount", "Guest"), CRM.format("Guest", "AutoField", "")),
        renamed={"crm.Client": "crm.Guest", "Order.total": "Order.amount"},
    ),
    Row(
        "two apps that refer to each other no more",
        apart(SHOP.format("AutoField", "total", "Client"), CRM.format("Client", "AutoField", "")),
        apart(
            SHOP.format("AutoField", "total", "Client").partition("    client")[0],
            CRM.format("Client", "AutoField", "").partition("    last")[0],
        ),
    ),
    Row(
        "two apps that refer to each other, each gets much",
        apart(SHOP.format("AutoField", "total", "Client"), CRM.format("Client", "AutoField", "")),
        apart(
            SHOP.format("AutoField", "total", "Client")
            + "    code = models.UUIDField(default=uuid.uuid4, unique=True)\n"
            '    guests = models.ManyToManyField("crm.Client", related_name="+")\n',
            CRM.format(
                "Client",
                "AutoField",
                'first = models.OneToOneField("shop.Order", models.CASCADE, null=True, '
                'related_name="+")',
            ).replace("max_length=9", "max_length=20, unique=True"),
        ),
    ),
    Row(
        "a model renamed whose indexes exchange their names",
        FILM.format("Film", "first", "second"),
        FILM.format("Movie", "second", "first"),
        renamed={"Film": "Movie"},
    ),
    Row(
        "a table renamed whose indexes exchange their names",
        FILM.format("Film", "first", "second"),
        FILM.format("Film", "second", "first").replace(
            "class Meta:\n", 'class Meta:\n        db_table = "movies"\n'
        ),
    ),
    Row(
        "an exclusion constraint gone",
        meta(SPAN).replace("IntegerField()", "IntegerField(unique=True)"),
        NOTHING.replace("IntegerField()", "IntegerField(unique=True)"),
        apps=POSTGRES,
    ),
    Row(
        "a tablespace",
        NOTHING,
        index('models.Index(fields=["email"], name="e", db_tablespace="pg_default")').replace(
            "max_length=50)", 'max_length=50, db_tablespace="pg_default")', 1
        ),
    ),
    Row(
        "a one-to-one field gone",
        ONE.format("customer = models.OneToOneField(Customer, models.CASCADE)"),
        ONE.format(""),
        back="is NULL in",
    ),
    Row(
        "a virtual generated field gone",
        ONE.format(
            'twice = models.GeneratedField(expression=models.F("total") * 2, '
            "output_field=models.IntegerField(), db_persist=False)"
        ),
        ONE.format(""),
        django=(6, 1),
        postgresql=18,
    ),
    Row(
        "an index of a partitioned table",
        event(""),
        event(BY_WORD),
        sql=EVENTS,
        sql_after=EVENTS + ";CREATE INDEX by_word ON shop_event (word);"
        "DO $$ DECLARE part text; BEGIN FOREACH part IN ARRAY ARRAY['low', 'high', 'odd', 'even'] "
        "LOOP EXECUTE format('ALTER INDEX shop_event_%1$s_word_idx "
        "RENAME TO shop_event_%1$s_by_word', part); END LOOP; END $$",
    ),
    Row(
        "an index of a partitioned table gone",
        event(BY_WORD),
        event(""),
        sql=EVENTS + ";CREATE INDEX by_word ON shop_event (word)",
        sql_after=EVENTS,
    ),
    Row(
        "required fields of a partitioned table",
        event("old = models.IntegerField(null=True)"),
        event(
            "old = models.IntegerField(default=2)\n    code = models.UUIDField(default=uuid.uuid4)"
        ),
        sql=PLAIN.format(column="number int NOT NULL, old int").replace(
            "old int NOT NULL", "old int"
        ),
        sql_after=PLAIN.format(column="number int NOT NULL, old int NOT NULL, code uuid"),
        fills={"Event.old": 2},
    ),
]
