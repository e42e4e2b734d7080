"""Constraints and indexes of Meta that come, go, change and get other names."""

from __future__ import annotations

from tests.stories.rows import Row

ORDER = """
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.indexes import BrinIndex, GinIndex, HashIndex, OpClass
from django.db.models import F, Q
from django.db.models.functions import Lower

SPAN = models.Func(F("total"), F("total") + 1, function="int4range")

class Order(models.Model):
    email = models.CharField(max_length=50)
    total = models.IntegerField()
    code = models.CharField(max_length=50, null=True)

    class Meta:
        {}
"""


def meta(line: str) -> str:
    return ORDER.format(line)


NOTHING = meta("pass")


def constraint(text: str) -> str:
    return meta(f"constraints = [models.{text}]")


def index(*texts: str) -> str:
    return meta(f"indexes = [{', '.join(texts)}]")


def pair(one: str, other: str) -> str:
    return index(
        f'models.Index(fields=["email"], name="{one}")',
        f'models.Index(fields=["-total"], name="{other}")',
    )


def comes_and_goes(what: str, with_it: str, without: str = NOTHING, **more) -> list[Row]:
    return [
        Row(f"a new {what}", without, with_it, **more),
        Row(f"a {what} removed", with_it, without, **more),
    ]


CODED = """
class Order(models.Model):
    {} = models.CharField(max_length={}, db_default="x")
    total = models.IntegerField()

    class Meta:
        unique_together = [("{}", "total")]
"""
POSTGRES = ("django.contrib.postgres",)  # Django 6.1 asks for it
ONCE = 'name="once"'
POSITIVE = 'CheckConstraint(condition=Q(total__gte=0), name="positive")'
UNIQUE_AND_CHECK = (
    'models.UniqueConstraint(fields=["email"], name="{}"), '
    'models.CheckConstraint(condition=Q(total__gte=0), name="{}")'
)
TWO = {
    "unique constraints": 'models.UniqueConstraint(fields=["email"], name="{}"), '
    'models.UniqueConstraint(fields=["total", "code"], name="{}")',
    "checks": 'models.CheckConstraint(condition=Q(total__gte=0), name="{}"), '
    'models.CheckConstraint(condition=~Q(email=""), name="{}")',
}
POSITIVE_VALUES = {"Order.total": "n"}

RESTING = meta(
    'unique_together = [("total", "email")]\n'
    '        indexes = [models.Index(fields=["-total"], name="by_it"), '
    'models.Index(fields=["total", "code"]), models.Index(F("total") * 2, name="twice")]\n'
    '        constraints = [models.CheckConstraint(condition=Q(total__gte=0), name="positive"), '
    'models.UniqueConstraint(fields=["email"], condition=Q(total__gt=2), name="once")]'
)

ROWS = [
    *comes_and_goes(
        "unique constraint", constraint(f'UniqueConstraint(fields=["total", "email"], {ONCE})')
    ),
    *comes_and_goes(
        "partial unique constraint",
        constraint(f'UniqueConstraint(fields=["email"], condition=Q(total__gt=5), {ONCE})'),
    ),
    *comes_and_goes(
        "unique expression",
        # Its stories write each email once; nobody tells them what an expression makes unique.
        constraint(f'UniqueConstraint("email", F("total").desc(), {ONCE})').replace(
            "=50)", "=50, unique=True)", 1
        ),
        NOTHING.replace("=50)", "=50, unique=True)", 1),
    ),
    *comes_and_goes(
        "covering unique constraint",
        constraint(f'UniqueConstraint(fields=["email"], include=["total"], {ONCE})'),
    ),
    *comes_and_goes(
        "deferrable unique constraint",
        constraint(
            f'UniqueConstraint(fields=["email"], deferrable=models.Deferrable.DEFERRED, {ONCE})'
        ),
    ),
    *comes_and_goes(
        "unique constraint in which NULLs count",
        constraint(f'UniqueConstraint(fields=["code", "email"], nulls_distinct=False, {ONCE})'),
        postgresql=15,
    ),
    *comes_and_goes("unique_together", meta('unique_together = [("email", "total")]')),
    Row(
        "a new field in the place of one of unique_together",
        CODED.format("a", 20, "a"),
        CODED.format("b", 40, "b"),
    ),
    *comes_and_goes("check", constraint(POSITIVE), values=POSITIVE_VALUES),
    Row(
        "a new check that older code breaks",
        NOTHING,
        constraint(POSITIVE),
        values=POSITIVE_VALUES,
        old_code='Order.objects.create(email=f"{window}!", total=-1).delete()',
    ),
    Row(
        "a check changed under its name",
        constraint(POSITIVE),
        constraint(POSITIVE.replace("gte=0", "gte=-5")),
        values=POSITIVE_VALUES,
        phases=["expand", "contract"],
    ),
    Row(
        "a check renamed, with other words",
        constraint(POSITIVE),
        constraint(POSITIVE.replace('"positive"', '"no_debt", violation_error_code="debt"')),
        values=POSITIVE_VALUES,
    ),
    Row(
        "a unique constraint changed under its name",
        constraint(f'UniqueConstraint(fields=["email"], {ONCE})'),
        constraint(f'UniqueConstraint(fields=["email", "total"], {ONCE})'),
    ),
    Row(
        "a unique constraint that becomes partial",
        constraint(f'UniqueConstraint(fields=["email"], {ONCE})'),
        constraint(f'UniqueConstraint(fields=["email"], condition=Q(total__gt=3), {ONCE})'),
    ),
    Row(
        "a unique constraint renamed",
        constraint('UniqueConstraint(fields=["email"], condition=Q(total__gt=3), name="first")'),
        constraint('UniqueConstraint(fields=["email"], condition=Q(total__gt=3), name="second")'),
    ),
    Row(
        "a unique constraint and a check that exchange their names",
        meta(f"constraints = [{UNIQUE_AND_CHECK.format('first', 'second')}]"),
        meta(f"constraints = [{UNIQUE_AND_CHECK.format('second', 'first')}]"),
        values=POSITIVE_VALUES,
    ),
    Row(
        "unique_together that becomes a constraint",
        meta('unique_together = [("email", "total")]'),
        constraint(f'UniqueConstraint(fields=["email", "total"], {ONCE})'),
    ),
    *comes_and_goes(
        "indexes of many classes",
        index(
            'BrinIndex(fields=["total"], name="brin")',
            'HashIndex(fields=["email"], name="hash")',
            'models.Index(Lower("email"), name="lower")',
            'models.Index(fields=["-total"], include=["code"], condition=Q(total=1), name="part")',
        ),
        apps=POSTGRES,
    ),
    Row(
        "an index changed under its name",
        index('models.Index(fields=["email"], name="by_it")'),
        index('models.Index(fields=["email", "total"], name="by_it")'),
        phases=["expand", "contract"],
    ),
    Row(
        "an index renamed",
        index('models.Index(fields=["email"], name="by_it")'),
        index('models.Index(fields=["email"], name="by_email")'),
    ),
    Row("two indexes that exchange their names", pair("first", "second"), pair("second", "first")),
    Row(
        "an index that takes the name of another that gets a new one",
        pair("first", "second"),
        pair("second", "third"),
    ),
    Row(
        "an index that takes the name of one that goes",
        pair("first", "second"),
        index('models.Index(fields=["email"], name="second")'),
    ),
    *(
        Row(
            f"two {what} that exchange their names",
            meta(f"constraints = [{two.format('first', 'second')}]"),
            meta(f"constraints = [{two.format('second', 'first')}]"),
            values={"Order.total": "n"},
        )
        for what, two in TWO.items()
    ),
    Row(
        "an exclusion constraint",
        NOTHING,
        meta('constraints = [ExclusionConstraint(name="x", expressions=[(SPAN, "&&")])]'),
        refused="exclusion",
        apps=POSTGRES,
    ),
    Row(
        "a renamed field that everything in Meta rests on",
        RESTING,
        RESTING.replace("total", "amount"),
        renamed={"Order.total": "Order.amount"},
        values={"Order.total": "n", "Order.amount": "n"},
        answers=("y",),
    ),
]
