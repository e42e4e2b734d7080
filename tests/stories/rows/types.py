"""Fields that get another type."""

from __future__ import annotations

from tests.stories.rows import Row

BEFORE_ROLLOUT = ["expand", "backfill", "contract"]


def changed(what: str, old: str, new: str, meta: str = "", **more) -> Row:
    """``Order.size`` of another type."""

    def order(field: str) -> str:
        options = f"    class Meta:\n        {meta}\n" if meta else ""
        return (
            "class Order(models.Model):\n    email = models.CharField(max_length=50)\n"
            f"    size = models.{field}\n{options}"
        )

    return Row(f"a type: {what}", order(old), order(new), **more)


CODED = """
class Customer(models.Model):
    code = models.CharField(max_length={}, primary_key=True{})

class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, null=True)
    total = models.IntegerField()
"""
ARRAY = """
from django.contrib.postgres.fields import ArrayField

class Order(models.Model):
    total = models.IntegerField()
    many = ArrayField(models.{}, default=list)
"""
KEYS = """
class Person(models.Model):
    {id}
    name = models.CharField(max_length=20)
    boss = models.ForeignKey("self", models.SET_NULL, null=True)
class Passport(models.Model):
    person = models.OneToOneField(Person, models.CASCADE, primary_key=True)
    number = models.IntegerField()
class Visa(models.Model):
    {id}
    passport = models.ForeignKey(Passport, models.CASCADE)
    country = models.CharField(max_length=20)
    class Meta:
        unique_together = [("passport", "country")]
class Club(models.Model):
    {id}
    name = models.CharField(max_length=20)
    members = models.ManyToManyField(Person)
    founder = models.ForeignKey(Person, models.CASCADE, related_name="+", null=True)
    class Meta:
        indexes = [models.Index(fields=["founder", "name"], name="club_founder")]
"""
SMALL = KEYS.format(id="id = models.AutoField(primary_key=True)")
LARGE = KEYS.format(id="id = models.BigAutoField(primary_key=True)")

ROWS = [
    changed("bigger integer", "IntegerField()", "BigIntegerField()", phases=BEFORE_ROLLOUT),
    changed("bigger small integer", "SmallIntegerField(null=True)", "IntegerField(null=True)"),
    changed(
        "bigger integer, indexed",
        "IntegerField(db_index=True, default=3)",
        "BigIntegerField(db_index=True, default=3)",
    ),
    changed("bigger integer, unique", "IntegerField(unique=True)", "BigIntegerField(unique=True)"),
    changed(
        "bigger integer, database default",
        "IntegerField(db_default=3)",
        "BigIntegerField(db_default=3)",
    ),
    changed("bigger positive integer", "PositiveIntegerField()", "PositiveBigIntegerField()"),
    changed(
        "bigger integer in indexes and constraints",
        "IntegerField()",
        "BigIntegerField()",
        "indexes = [models.Index(fields=['size', 'email'], name='by_size'), "
        "models.Index(models.F('size') + 1, name='next_size')]; "
        "constraints = [models.UniqueConstraint(fields=['email', 'size'], name='once'), "
        "models.CheckConstraint(condition=models.Q(size__gte=-10**9), name='size_ok')]",
    ),
    changed(
        "more decimal places",
        "DecimalField(max_digits=8, decimal_places=2)",
        "DecimalField(max_digits=10, decimal_places=4)",
        values={"Order.size": "D(n % 9999) / 4"},
    ),
    changed(
        "integer to decimal",
        "IntegerField()",
        "DecimalField(max_digits=12, decimal_places=2)",
        values={"Order.size": "n"},
    ),
    changed("integer to float", "IntegerField()", "FloatField()", values={"Order.size": "n"}),
    changed("wider text", "CharField(max_length=20)", "CharField(max_length=40)"),
    changed("text without a limit", "CharField(max_length=20)", "TextField()"),
    changed(
        "indexed text without a limit",
        "CharField(max_length=20, db_index=True)",
        "TextField(db_index=True)",
    ),
    changed(
        "collation",
        "CharField(max_length=20, unique=True)",
        "CharField(max_length=20, unique=True, db_collation='C')",
    ),
    changed(
        "another collation in the place of one",
        "CharField(max_length=20, db_index=True, db_collation='C')",
        "CharField(max_length=20, db_index=True, db_collation='ucs_basic')",
        phases=BEFORE_ROLLOUT,
    ),
    changed(
        "smaller integer",
        "BigIntegerField()",
        "IntegerField()",
        values={"Order.size": "n"},
        phases=BEFORE_ROLLOUT,
    ),
    changed(
        "smaller integer that may be NULL",
        "BigIntegerField()",
        "IntegerField(null=True)",
        back="is NULL in",
    ),
    changed(
        "smaller integer with a default of the database",
        "BigIntegerField()",
        "IntegerField(db_default=3)",
    ),
    changed(
        "shorter text that need not be unique",
        "CharField(max_length=40, unique=True, db_default='')",
        "CharField(max_length=20, db_default='x')",
    ),
    changed(
        "smaller integer that may be negative",
        "PositiveIntegerField()",
        "SmallIntegerField()",
        refused="size",
    ),
    changed("shorter text", "TextField()", "CharField(max_length=60)"),
    changed(
        "positive bigger integer",
        "IntegerField()",
        "PositiveBigIntegerField()",
        values={"Order.size": "n"},
    ),
    changed(
        "bigger integer that must be there",
        "IntegerField(null=True)",
        "BigIntegerField(default=7)",
        fills={"Order.size": 7},
    ),
    *(
        Row(
            f"a type: an array of {what}",
            ARRAY.format(old),
            ARRAY.format(new),
            values={"Order.many": value},
            apps=("django.contrib.postgres",),  # Django 6.1 asks for it
            phases=BEFORE_ROLLOUT,
        )
        for what, old, new, value in [
            (
                "bigger integers",
                "IntegerField(null=True)",
                "BigIntegerField(null=True)",
                "[n, None]",
            ),
            ("wider text", "CharField(max_length=9)", "CharField(max_length=20)", "[str(n), 'é']"),
        ]
    ),
    Row(
        "a type: a wider text key that others refer to",
        CODED.format(20, ""),
        CODED.format(40, ""),
        phases=BEFORE_ROLLOUT,
    ),
    Row(
        "a type: a text key of another collation",
        CODED.format(20, ""),
        CODED.format(20, ", db_collation='C'"),
    ),
    Row("a type: primary keys and all that refers to them", SMALL, LARGE),
    changed("number to text", "IntegerField()", "TextField()", refused="size"),
    changed("text to number", "TextField()", "IntegerField()", refused="size"),
    changed("moment to date", "DateTimeField()", "DateField()", refused="size"),
    changed("text to UUID", "CharField(max_length=36)", "UUIDField()", refused="size"),
]
