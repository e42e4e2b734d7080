"""Fields that come, are filled, become required, and go."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.migrations.operations.base import Operation
from django.db.models import F, Q
from django.db.models.functions import Now

from safemigrate import operations as ops
from tests.operations.samples.sample import Sample, unknown


def nullable(name: str = "note") -> list[Operation]:
    column = models.CharField(max_length=9)
    return [ops.ExpandField("order", name, column)]


def filled() -> list[Operation]:
    return [*nullable(), ops.BatchedBackfill("order", {"note": "x"}, Q(note__isnull=True))]


def kept_filled() -> list[Operation]:
    where = Q(note__isnull=True)
    return [*nullable(), ops.BatchedBackfill("order", {"note": "x"}, where, keep_filled=True)]


def constant() -> list[Operation]:
    column = models.CharField(max_length=9, default="low")
    return [ops.ExpandField("order", "urgency", column, database_default="low")]


def bare_key() -> list[Operation]:
    key = models.ForeignKey("shop.customer", models.CASCADE, null=True, related_name="+")
    return [ops.ExpandField("order", "payer", key)]


def ordered() -> list[Operation]:
    return [ops.AddOrderColumn("order", "customer")]


GRID = ArrayField(ArrayField(models.IntegerField()), null=True)
"""The server says ``integer[]`` of it, Django ``integer[][]``."""

SAMPLES = [
    Sample("grid", lambda: ops.ExpandField("order", "grid", GRID), says=("integer[][]",)),
    Sample(
        "order",
        lambda: ops.AddOrderColumn("order", "customer"),
        missing=unknown(ops.AddOrderColumn, "customer"),
        says=("ADD COLUMN", '"_order"', "DEFAULT 0 NOT NULL"),
    ),
    Sample(
        "order",
        lambda: ops.DropDatabaseDefault("order", "_order", 0),
        prepare=ordered,
        says=("DROP DEFAULT",),
    ),
    Sample(
        "order",
        lambda: ops.MakeFieldIgnorable("order", "_order"),
        prepare=lambda: [*ordered(), ops.DropDatabaseDefault("order", "_order", 0)],
        says=("SET DEFAULT 0",),
    ),
    Sample(
        "order",
        lambda: ops.DropOrderColumn("order"),
        prepare=ordered,
        missing=[lambda: ops.DropOrderColumn("note"), lambda: ops.DropOrderColumn("nothing")],
        says=("DROP COLUMN", '"_order"'),
    ),
    Sample(
        "nullable",
        lambda: ops.ExpandField("order", "note", models.CharField(max_length=9, null=True)),
        missing=[lambda: ops.ExpandField("nothing", "note", models.TextField(null=True))],
        says=("ADD COLUMN", '"note"'),
    ),
    Sample(
        "constant",
        lambda: ops.ExpandField(
            "order", "urgency", models.IntegerField(default=3), database_default=3
        ),
        says=("ADD COLUMN", "DEFAULT 3 NOT NULL"),
    ),
    Sample(
        "expression",
        lambda: ops.ExpandField("order", "at", models.DateTimeField(), database_default=Now()),
        says=("ADD COLUMN", "SET DEFAULT"),
    ),
    Sample(
        "positive",
        lambda: ops.ExpandField(
            "order", "count", models.PositiveIntegerField(default=0), database_default=0
        ),
        says=("CHECK", "NOT VALID", "VALIDATE CONSTRAINT"),
    ),
    Sample(
        "many to many",
        lambda: ops.ExpandField("order", "friends", models.ManyToManyField("shop.customer")),
        says=("CREATE TABLE", "NOT VALID", "VALIDATE"),
    ),
    Sample(
        "filled",
        lambda: ops.SetNotNull("order", "note"),
        prepare=filled,
        missing=unknown(ops.SetNotNull, "note"),
        says=("NOT VALID", "VALIDATE CONSTRAINT", "SET NOT NULL"),
    ),
    Sample(
        "kept filled",
        lambda: ops.SetNotNull("order", "note"),
        prepare=kept_filled,
        comes_back=False,  # the trigger is not set up again: the code that knows the field stays
        says=("DROP TRIGGER",),
    ),
    Sample(
        "constant",
        lambda: ops.DropDatabaseDefault("order", "urgency", "low"),
        prepare=constant,
        missing=unknown(ops.DropDatabaseDefault, "urgency", 1),
        says=("DROP DEFAULT",),
    ),
    Sample(
        "column",
        lambda: ops.AddForeignKey("order", "payer"),
        prepare=bare_key,
        missing=unknown(ops.AddForeignKey, "payer"),
        says=("FOREIGN KEY", "NOT VALID", "VALIDATE CONSTRAINT"),
    ),
    Sample(
        "required",
        lambda: ops.MakeFieldIgnorable("order", "flag"),
        missing=unknown(ops.MakeFieldIgnorable, "flag"),
        says=("DROP NOT NULL",),
    ),
    Sample(
        "with a default",
        lambda: ops.MakeFieldIgnorable("order", "status"),
        says=("SET DEFAULT 'new'",),
    ),
    Sample(
        "foreign key",
        lambda: ops.MakeFieldIgnorable("order", "customer"),
        says=("DROP NOT NULL", "foreign keys of shop_order.customer_id"),
    ),
    Sample("many to many", lambda: ops.MakeFieldIgnorable("order", "tags")),
    Sample(
        "model",
        lambda: ops.MakeModelIgnorable("Note"),
        missing=[lambda: ops.MakeModelIgnorable("Nothing")],
        says=("foreign keys of shop_note",),
    ),
    Sample(
        "field",
        lambda: ops.ContractDrop("order", "flag"),
        prepare=lambda: [
            ops.RemoveIndexConcurrently("order", "order_flag_idx"),
            ops.MakeFieldIgnorable("order", "flag"),
        ],
        missing=[
            lambda: ops.ContractDrop("order", "nothing"),
            lambda: ops.ContractDrop("nothing"),
        ],
        says=("DROP COLUMN", '"flag"'),
    ),
    Sample(
        "unique field",
        lambda: ops.ContractDrop("order", "nick"),
        prepare=lambda: [
            ops.ExpandField("order", "nick", models.CharField(max_length=9, unique=True)),
            ops.AddFieldIndexConcurrently("order", "nick"),
        ],
        says=("DROP COLUMN",),
    ),
    Sample(
        "foreign key",
        lambda: ops.ContractDrop("order", "customer"),
        prepare=lambda: [ops.MakeFieldIgnorable("order", "customer")],
        says=("DROP COLUMN", '"customer_id"'),
    ),
    Sample(
        "many to many",
        lambda: ops.ContractDrop("order", "tags"),
        prepare=lambda: [ops.MakeFieldIgnorable("order", "tags")],
        says=("DROP TABLE", '"shop_order_tags"'),
    ),
    Sample(
        "model",
        lambda: ops.ContractDrop("Note"),
        prepare=lambda: [ops.MakeModelIgnorable("Note")],
        says=("DROP TABLE", '"shop_note"', '"shop_note_about"'),
    ),
    Sample(
        "values",
        lambda: ops.BatchedBackfill(
            "order", values={"note": F("slug")}, where=Q(note__isnull=True), batch_rows=2
        ),
        prepare=nullable,
        missing=[
            lambda: ops.BatchedBackfill("order", {"nothing": 1}),
            lambda: ops.BatchedBackfill("nothing", {"note": 1}),
        ],
        says=("-- UPDATE ",),
    ),
    Sample(
        "kept filled",
        lambda: ops.BatchedBackfill(
            "order", {"note": F("slug")}, Q(note__isnull=True), keep_filled=True
        ),
        prepare=nullable,
    ),
    Sample(
        "kept filled",
        lambda: ops.StopFilling("order", "note"),
        prepare=kept_filled,
        comes_back=False,
        missing=unknown(ops.StopFilling, "note"),
        says=("DROP TRIGGER", "DROP FUNCTION"),
    ),
]
