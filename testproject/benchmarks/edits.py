"""The model changes of the benchmark: what a developer edits in the shop's source."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from testproject.rollout.manage import RolloutError

Edits = dict[str, list[tuple[str, str]]]
"""``{file of the shop: [(what stands there, what takes its place)]}``; every place is edited."""

ORDER_META = "    legacy_flag = models.BooleanField(default=False)\n"


def meta(line: str) -> Edits:
    return {"models.py": [(ORDER_META, f"{ORDER_META}\n    class Meta:\n        {line}\n")]}


def order_field(old: str, new: str) -> Edits:
    return {"models.py": [(old, new)]}


@dataclass(frozen=True)
class Change:
    """
    One edit of the models.

    ``before``: edits that make r1 another one than the shop's own. ``prepared``: statements that
    make its database, once it is migrated, what it has become in production. ``copied``: table,
    column and type that one big UPDATE copies, for comparison.
    """

    after: Edits
    before: Edits = field(default_factory=dict)
    prepared: str = ""
    answers: str = ""
    copied: tuple[str, str, str] | None = None


NOTE = "    note = models.CharField(max_length=20, null=True)\n"
SMALL_KEY = "    id = models.AutoField(primary_key=True)\n"
# Both in one variant of r1, so that one seeded database serves both.
OLDER = {
    "models.py": [
        ("class Order(models.Model):\n", f"class Order(models.Model):\n{SMALL_KEY}{NOTE}"),
    ]
}
CUSTOMER = "    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)\n"
INTEGER = '    customer = models.BigIntegerField(db_column="customer_id")\n'
EMAIL_INDEX = 'indexes = [models.Index(fields=["email"], name="order_email_idx")]'
ACCOUNT = "class Account(models.Model):\n    name = models.CharField(max_length=100)\n"
REMARK = (
    "class Remark(models.Model):\n"
    '    order = models.ForeignKey(Order, models.CASCADE, related_name="+")\n'
    "    text = models.TextField()\n"
)
# What three changes take away, in one variant of r1 for the same reason.
FULLER = {
    "models.py": [
        (ORDER_META, f"{ORDER_META}\n    class Meta:\n        {EMAIL_INDEX}\n"),
        ("class Order(", f"{ACCOUNT}\n\nclass Order("),
        ("class Line(", f"{REMARK}\n\nclass Line("),
    ]
}
FULLER_ROWS = """
INSERT INTO shop_account SELECT * FROM shop_customer;
INSERT INTO shop_remark (order_id, text) SELECT id, 'please ring' FROM shop_order WHERE id % 5 = 0;
ANALYZE shop_account, shop_remark;
"""
PARTITIONED = """
DO $$ DECLARE held record; BEGIN
    FOR held IN SELECT conname FROM pg_constraint
        WHERE conrelid = 'shop_line'::regclass AND contype = 'f'
    LOOP EXECUTE format('ALTER TABLE shop_line DROP CONSTRAINT %I', held.conname); END LOOP;
END $$;
ALTER TABLE shop_order RENAME TO shop_whole;
CREATE TABLE shop_order (LIKE shop_whole INCLUDING DEFAULTS INCLUDING IDENTITY)
    PARTITION BY HASH (id);
CREATE TABLE shop_order_0 PARTITION OF shop_order FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE shop_order_1 PARTITION OF shop_order FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE shop_order_2 PARTITION OF shop_order FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO shop_order SELECT * FROM shop_whole;
SELECT setval(pg_get_serial_sequence('shop_order', 'id'), max(id)) FROM shop_whole;
DROP TABLE shop_whole;
ALTER TABLE shop_order ADD PRIMARY KEY (id), ADD FOREIGN KEY (customer_id) REFERENCES shop_customer;
CREATE INDEX ON shop_order (customer_id);
ALTER TABLE shop_line ADD FOREIGN KEY (order_id) REFERENCES shop_order;
ANALYZE shop_order;
"""
AMOUNT = "amount = models.DecimalField(max_digits=10, decimal_places=2)"

CHANGES = {
    "new-field": Change(
        order_field(ORDER_META, f"{ORDER_META}    priority = models.IntegerField(default=3)\n")
    ),
    "new-nullable": Change(
        order_field(ORDER_META, f"{ORDER_META}    gift = models.TextField(null=True)\n")
    ),
    "new-uuid": Change(
        {
            "models.py": [
                ("from django.db import models\n", "import uuid\n\nfrom django.db import models\n"),
                (ORDER_META, f"{ORDER_META}    token = models.UUIDField(default=uuid.uuid4)\n"),
            ]
        }
    ),
    "new-foreign-key": Change(
        order_field(
            ORDER_META,
            f"{ORDER_META}    agent = models.ForeignKey(\n"
            '        Customer, models.CASCADE, null=True, related_name="+"\n    )\n',
        )
    ),
    "many-to-many": Change(
        order_field(
            ORDER_META,
            f'{ORDER_META}    helpers = models.ManyToManyField(Customer, related_name="+")\n',
        )
    ),
    "new-table": Change(order_field("class Line(", f"{REMARK}\n\nclass Line(")),
    "retarget": Change(
        order_field(CUSTOMER, CUSTOMER.replace("Customer", "Account")), FULLER, FULLER_ROWS
    ),
    "number-to-key": Change(
        {
            "models.py": [(INTEGER, CUSTOMER)],
            "requests.py": [("customer=customer_id", "customer_id=customer_id")],
        },
        {
            "models.py": [(CUSTOMER, INTEGER)],
            "requests.py": [("customer_id=customer_id", "customer=customer_id")],
        },
    ),
    "remove-model": Change(order_field(f"{REMARK}\n\n", ""), FULLER, FULLER_ROWS),
    "remove-index": Change(
        order_field(f"\n    class Meta:\n        {EMAIL_INDEX}\n", ""), FULLER, FULLER_ROWS
    ),
    "remove-field": Change(
        {
            "models.py": [(ORDER_META, "")],
            "features.py": [("order.legacy_flag is False", "order.pk > 0")],
        }
    ),
    "index": Change(meta(EMAIL_INDEX)),
    "partitioned": Change(meta(EMAIL_INDEX), prepared=PARTITIONED),
    "unique": Change(
        meta(
            "constraints = [models.UniqueConstraint(\n"
            '            fields=["customer", "created_at"], name="order_once")]'
        )
    ),
    "check": Change(
        meta(
            "constraints = [models.CheckConstraint(\n"
            '            condition=models.Q(amount__gte=0), name="order_amount")]'
        )
    ),
    "not-null": Change(
        order_field(NOTE, '    note = models.CharField(max_length=20, default="-")\n'), OLDER
    ),
    "wider-text": Change(order_field("models.EmailField()", "models.EmailField(max_length=300)")),
    "narrower-text": Change(
        order_field("models.EmailField()", "models.EmailField(max_length=100)"),
        copied=("shop_order", "email", "varchar(100)"),
    ),
    "wider-number": Change(
        order_field(AMOUNT, "amount = models.DecimalField(max_digits=14, decimal_places=4)"),
        copied=("shop_order", "amount", "numeric(14, 4)"),
    ),
    "primary-key": Change(
        order_field(SMALL_KEY, "    id = models.BigAutoField(primary_key=True)\n"),
        OLDER,
        copied=("shop_order", "id", "bigint"),
    ),
    "rename-field": Change(
        {
            "models.py": [("    email = ", "    address = ")],
            "requests.py": [
                ("order.email", "order.address"),
                ("found.email", "found.address"),
                ("email=email", "address=email"),
            ],
        },
        answers="y\n",
        copied=("shop_order", "email", "varchar(254)"),
    ),
    "rename-model": Change(
        {
            "models.py": [
                ("class Order(", "class Purchase("),
                ("ForeignKey(Order,", "ForeignKey(Purchase,"),
            ],
            "requests.py": [
                ("import Line, Order", "import Line, Purchase"),
                ("Order.objects", "Purchase.objects"),
            ],
        },
        answers="y\n",
    ),
    "rename-table": Change(meta('db_table = "shop_purchase"')),
}


def edit(tree: Path, edits: Edits) -> None:
    for name, places in edits.items():
        path = tree / "shop" / name
        text = path.read_text()
        for old, new in places:
            if old not in text:
                raise RolloutError(f"{name} has no {old!r} to be edited.")
            text = text.replace(old, new)
        path.write_text(text)
