"""Fields that stay and change: NULL, defaults, uniqueness, indexes, CHECKs."""

from __future__ import annotations

from tests.stories.rows import Row

LUCKY = """
import itertools
numbers = itertools.count(1)
def lucky():
    return next(numbers)
"""


def order(line: str, *more: str) -> str:
    fields = ["email = models.CharField(max_length=50)", line, *more]
    return "class Order(models.Model):\n" + "".join(f"    {field}\n" for field in fields)


def change(what: str, before: str, after: str, **more) -> Row:
    """One field of ``Order``, before and after."""
    return Row(what, order(before), order(after), **more)


CHAIN = ["expand", "backfill", "contract"]
NOTE = "note = models.CharField(max_length=9, null=True)"

ROWS = [
    change(
        "null to NOT NULL with a default",
        NOTE,
        'note = models.CharField(max_length=9, default="x")',
        fills={"Order.note": "x"},
        phases=CHAIN,
    ),
    change(
        "null to NOT NULL with an answer for this once",
        NOTE,
        "note = models.CharField(max_length=9)",
        answers=("1", "'old'"),
        fills={"Order.note": "old"},
        phases=CHAIN,
    ),
    change(
        "null to NOT NULL with the present moment",
        "seen = models.DateTimeField(null=True)",
        "seen = models.DateTimeField(default=timezone.now)",
        holes=("Order.seen",),
    ),
    Row(
        "null to NOT NULL with a callable",
        LUCKY + order("n = models.IntegerField(null=True)"),
        LUCKY + order("n = models.IntegerField(default=lucky)"),
        holes=("Order.n",),
    ),
    change(
        "null to NOT NULL with a database default",
        "n = models.IntegerField(null=True)",
        "n = models.IntegerField(db_default=5)",
        fills={"Order.n": 5},
    ),
    change(
        "null to NOT NULL where there are no NULLs",
        NOTE,
        "note = models.CharField(max_length=9)",
        answers=("2",),
        phases=["expand", "contract"],
    ),
    change(
        "NOT NULL to null",
        "n = models.IntegerField()",
        "n = models.IntegerField(null=True)",
        back="is NULL in",
    ),
    change("a default changed", "n = models.IntegerField(default=1)", "n = models.IntegerField()"),
    change(
        "choices and texts",
        "n = models.IntegerField()",
        'n = models.IntegerField("number", choices=[(0, "no"), (1, "yes")], blank=True)',
        values={"Order.n": "n % 2"},
    ),
    change(
        "a database default set",
        "n = models.IntegerField(default=1)",
        "n = models.IntegerField(db_default=7)",
    ),
    change(
        "a database default changed",
        "n = models.IntegerField(db_default=1)",
        "n = models.IntegerField(db_default=7)",
    ),
    change(
        "a database default dropped",
        "n = models.IntegerField(db_default=1)",
        "n = models.IntegerField(default=7)",
        phases=["expand", "contract"],
    ),
    change(
        "a comment",
        "n = models.IntegerField()",
        'n = models.IntegerField(db_comment="it\'s new")',
    ),
    change(
        "unique dropped",
        "code = models.CharField(max_length=9, unique=True)",
        "code = models.CharField(max_length=9)",
        values={"Order.code": "str(n)"},
    ),
    change(
        "db_index dropped",
        "code = models.CharField(max_length=9, db_index=True)",
        "code = models.CharField(max_length=9)",
    ),
    change(
        "unique instead of db_index",
        "code = models.CharField(max_length=9, db_index=True)",
        "code = models.CharField(max_length=9, unique=True)",
    ),
    change(
        "db_index instead of unique",
        "n = models.IntegerField(unique=True)",
        "n = models.IntegerField(db_index=True)",
        values={"Order.n": "n"},
    ),
    change(
        "unique, wider and required at once",
        "code = models.CharField(max_length=9, null=True)",
        "code = models.CharField(max_length=20, unique=True)",
        answers=("2",),
    ),
    change(
        "wider, nullable, indexed, with a default and a comment at once",
        "code = models.CharField(max_length=9)",
        "code = models.CharField("
        'max_length=20, null=True, db_index=True, db_default="x", db_comment="c")',
        back="is NULL in",
    ),
    change(
        "integer to positive integer",
        "n = models.IntegerField()",
        "n = models.PositiveIntegerField()",
    ),
    change(
        "positive integer to integer",
        "n = models.PositiveIntegerField()",
        "n = models.IntegerField()",
    ),
]
