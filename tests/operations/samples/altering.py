"""Fields and foreign keys that change where they are."""

from __future__ import annotations

from collections.abc import Callable

import django
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

from safemigrate import operations as ops
from tests.operations.samples.sample import Sample, unknown


def altered(
    name: str, field: models.Field, model: str = "order"
) -> Callable[[], ops.SafeOperation]:
    return lambda: ops.ExpandAlterField(model, name, field)


GIVER_COLUMN = {"null": True, "db_column": "giver"}
GIVER = {"related_name": "+", "null": True, "db_column": "giver"}


def email(**options: object) -> models.Field:
    return models.CharField(max_length=80, **options)


def made_indexed(field: models.Field) -> list[Operation]:
    return [ops.AddFieldIndexConcurrently("order", "email", field)]


def key(to: str, **options: object) -> models.Field:
    return models.ForeignKey(to, models.CASCADE, related_name="+", **options)


def by_server(rule: str, **options: object) -> models.Field:
    """``rule``: of Django 6.1 and newer."""
    return models.ForeignKey("shop.customer", getattr(models, rule), related_name="+", **options)


BY_SERVER = [
    Sample(
        "deleted by the server",
        lambda: altered("customer", by_server("DB_CASCADE"))(),
        says=("ON DELETE CASCADE", "NOT VALID", "VALIDATE CONSTRAINT", "RENAME CONSTRAINT"),
    ),
    Sample(
        "left alone by the server, NULL allowed",
        lambda: altered("customer", by_server("DB_SET_NULL", null=True))(),
        says=("ON DELETE SET NULL", "DROP NOT NULL"),
    ),
    Sample(
        "given its default by the server",
        lambda: altered("customer", by_server("DB_SET_DEFAULT", db_default=1))(),
        says=("ON DELETE SET DEFAULT", "SET DEFAULT 1"),
    ),
    Sample(
        "no longer deleted by the server",
        lambda: ops.ContractForeignKey("order", "customer", old_field=by_server("DB_CASCADE")),
        prepare=lambda: [
            altered("customer", by_server("DB_CASCADE"))(),
            altered("customer", key("shop.customer"))(),
        ],
        says=("NOT VALID", "VALIDATE CONSTRAINT", "RENAME CONSTRAINT"),
    ),
]
SAMPLES = [
    *(BY_SERVER if django.VERSION >= (6, 1) else []),
    Sample(
        "null allowed",
        altered("flag", models.BooleanField(null=True)),
        missing=[altered("nothing", email()), altered("email", email(), "nothing")],
        says=("DROP NOT NULL",),
    ),
    Sample(
        "wider, with NULL, a comment and a default",
        altered(
            "email", models.CharField(max_length=90, null=True, db_comment="x", db_default="%")
        ),
        says=("TYPE varchar(90)", "COMMENT ON COLUMN", "SET DEFAULT '%'"),
    ),
    Sample(
        "null forbidden later",
        altered("code", models.CharField(max_length=20, db_index=True, db_default="")),
        says=("SET DEFAULT", "CREATE INDEX CONCURRENTLY"),
    ),
    Sample(
        "default dropped later, NULL allowed",
        altered("status", models.CharField(max_length=10, null=True)),
        prepare=lambda: [altered("status", models.CharField(max_length=10, db_default="a"))()],
    ),
    Sample(
        "no longer unique",
        altered("slug", models.CharField(max_length=30, null=True)),
        comes_back=False,  # CREATE TABLE leaves a unique constraint's name to the server
    ),
    Sample(
        "indexed, not unique",
        altered("slug", models.CharField(max_length=30, db_index=True)),
        comes_back=False,
    ),
    Sample(
        "unique, not indexed",
        altered("email", email(unique=True, null=True)),
        prepare=lambda: made_indexed(email(db_index=True)),
        says=("CREATE UNIQUE INDEX CONCURRENTLY", "DROP INDEX CONCURRENTLY"),
    ),
    Sample(
        "no longer indexed",
        altered("email", email()),
        prepare=lambda: made_indexed(email(db_index=True)),
        says=("DROP INDEX CONCURRENTLY",),
    ),
    Sample(
        "retargeted",
        altered("customer", key("shop.tag")),
        prepare=lambda: [migrations.RunSQL("INSERT INTO shop_tag (id, word) VALUES (1, 'x')")],
    ),
    Sample(
        "one to one",
        altered("giver", models.OneToOneField("shop.customer", models.CASCADE, **GIVER)),
        prepare=lambda: [
            altered("giver", models.ForeignKey("shop.customer", models.CASCADE, **GIVER))()
        ],
    ),
    Sample("no constraint", altered("customer", key("shop.customer", db_constraint=False))),
    Sample("key to number", altered("customer", models.BigIntegerField(db_column="customer_id"))),
    Sample("number to key", altered("giver", key("shop.customer", null=True, db_column="giver"))),
    Sample(
        "unchecked",
        altered("total", models.IntegerField()),
        prepare=lambda: [
            altered("total", models.PositiveIntegerField())(),
            ops.ContractFieldCheck("order", "total"),
        ],
        says=("DROP CONSTRAINT",),
    ),
    Sample(
        "positive",
        lambda: ops.ContractFieldCheck("order", "total"),
        prepare=lambda: [altered("total", models.PositiveIntegerField())()],
        missing=unknown(ops.ContractFieldCheck, "total"),
        says=("CHECK", "NOT VALID", "VALIDATE CONSTRAINT"),
    ),
    Sample(
        "number to key",
        lambda: ops.ContractForeignKey("order", "giver"),
        prepare=lambda: [
            altered("giver", key("shop.customer", null=True, db_column="giver"))(),
        ],
        missing=unknown(ops.ContractForeignKey, "giver"),
        says=("FOREIGN KEY", "NOT VALID", "VALIDATE CONSTRAINT"),
    ),
    Sample(
        "a constraint for a key",
        lambda: ops.ContractForeignKey(
            "order", "giver", key("shop.customer", null=True, db_column="giver")
        ),
        prepare=lambda: [
            altered("giver", key("shop.customer", db_constraint=False, **GIVER_COLUMN))(),
        ],
    ),
]
