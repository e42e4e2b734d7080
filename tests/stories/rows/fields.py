"""Fields, indexes and relations that come and go."""

from __future__ import annotations

from tests.stories.rows import Row

CUSTOMER = """
class Customer(models.Model):
    name = models.CharField(max_length=20)
"""
ORDER = """
class Order(models.Model):
    email = models.CharField(max_length=50)
    total = models.IntegerField(default=0)
    paid_at = models.DateTimeField(null=True)
"""
LUCKY = """
import itertools
numbers = itertools.count(1)
def lucky():
    return next(numbers)
"""


def plus(line: str) -> str:
    return f"{ORDER}    {line}\n"


def new(what: str, line: str, **more) -> Row:
    """``ORDER`` with a field more."""
    return Row(f"a new {what}", ORDER, plus(line), **more)


def related(line: str) -> str:
    return CUSTOMER + plus(line)


ROWS = [
    new("nullable field", "note = models.CharField(max_length=9, null=True)"),
    new("field with a database default", 'note = models.CharField(max_length=9, db_default="x")'),
    new("nullable field with a default", "note = models.IntegerField(null=True, default=7)"),
    new("required field with a constant default", "kind = models.IntegerField(default=7)"),
    new("text field with a default", 'kind = models.TextField(default="")'),
    new("boolean", "urgent = models.BooleanField(default=False)"),
    new("decimal", "tax = models.DecimalField(max_digits=8, decimal_places=2, default=0)"),
    new("JSON field", "data = models.JSONField(default=dict)"),
    new("positive integer", "count = models.PositiveIntegerField(default=1)"),
    new("nullable positive integer", "count = models.PositiveSmallIntegerField(null=True)"),
    new("UUID", "code = models.UUIDField(default=uuid.uuid4)"),
    new("moment", "seen = models.DateTimeField(default=timezone.now)"),
    Row(
        "a new callable default",
        LUCKY + ORDER,
        LUCKY + plus("n = models.IntegerField(default=lucky)"),
        holes=("Order.n",),
    ),
    Row(
        "a new nullable field with a callable default",
        LUCKY + ORDER,
        LUCKY + plus("n = models.IntegerField(default=lucky, null=True)"),
    ),
    new(
        "volatile database default",
        "seen = models.DateTimeField(db_default=models.functions.Now())",
    ),
    new(
        "required field with an answer",
        "kind = models.CharField(max_length=9)",
        answers=("1", "'old'"),
        fills={"Order.kind": "old"},
    ),
    new("indexed field", 'note = models.CharField(max_length=9, default="", db_index=True)'),
    new("unique nullable field", "code = models.CharField(max_length=9, null=True, unique=True)"),
    new("unique UUID", "code = models.UUIDField(default=uuid.uuid4, unique=True)"),
    new("slug", 'slug = models.SlugField(default="x")'),
    Row(
        "a new nullable foreign key",
        CUSTOMER + ORDER,
        related("customer = models.ForeignKey(Customer, models.CASCADE, null=True)"),
    ),
    Row(
        "a new foreign key without a constraint",
        CUSTOMER + ORDER,
        related(
            "customer = models.ForeignKey(Customer, models.CASCADE, null=True, db_constraint=False)"
        ),
    ),
    Row(
        "a new one-to-one field",
        CUSTOMER + ORDER,
        related("customer = models.OneToOneField(Customer, models.SET_NULL, null=True)"),
    ),
    Row(
        "a new foreign key to a new model",
        ORDER,
        CUSTOMER + plus("customer = models.ForeignKey(Customer, models.CASCADE, null=True)"),
    ),
    new("foreign key to itself", 'parent = models.ForeignKey("self", models.CASCADE, null=True)'),
    Row(
        "a new many-to-many field",
        CUSTOMER + ORDER,
        related("customers = models.ManyToManyField(Customer)"),
    ),
    Row(
        "a removed many-to-many field",
        related("customers = models.ManyToManyField(Customer)"),
        CUSTOMER + ORDER,
    ),
    Row(
        "a removed nullable field", plus("note = models.CharField(max_length=9, null=True)"), ORDER
    ),
    Row(
        "a removed required field with a default",
        plus("kind = models.IntegerField(default=7)"),
        ORDER,
    ),
    Row(
        "a removed required field",
        plus("kind = models.IntegerField()"),
        ORDER,
        back="is NULL in",
    ),
    Row(
        "a removed unique field",
        plus("code = models.CharField(max_length=9, null=True, unique=True)"),
        ORDER,
    ),
    Row(
        "a removed foreign key",
        related("customer = models.ForeignKey(Customer, models.CASCADE, null=True)"),
        CUSTOMER + ORDER,
    ),
    Row(
        "a removed model with foreign keys",
        CUSTOMER + plus("customer = models.ForeignKey(Customer, models.CASCADE, null=True)"),
        ORDER.replace("class Order", "class Order"),
    ),
    Row(
        "a removed model that refers to another",
        CUSTOMER
        + ORDER
        + "class Audit(models.Model):\n    order = models.ForeignKey(Order, models.CASCADE)\n",
        CUSTOMER + ORDER,
    ),
    Row("a new model", ORDER, CUSTOMER + ORDER),
    Row("db_index set", ORDER, ORDER.replace("max_length=50", "max_length=50, db_index=True")),
    Row("unique set", ORDER, ORDER.replace("max_length=50", "max_length=50, unique=True")),
    Row(
        "an index of Meta",
        ORDER,
        ORDER
        + """
    class Meta:
        indexes = [models.Index(fields=["email", "-total"], name="email_total_idx")]
""",
    ),
    Row(
        "an index of Meta removed",
        ORDER
        + """
    class Meta:
        indexes = [models.Index(fields=["email", "-total"], name="email_total_idx")]
""",
        ORDER,
    ),
]
