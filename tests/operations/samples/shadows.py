"""Fields that get another type."""

from __future__ import annotations

from django.db import models
from django.db.migrations.operations.base import Operation

from safemigrate import operations as ops
from tests.operations.samples.sample import Sample, unknown

WIDE = models.BigIntegerField()
NARROW = models.IntegerField()
TEXT = models.TextField(unique=True)
BIG_KEY, KEY = models.BigAutoField(primary_key=True), models.AutoField(primary_key=True)


def shadowed(name: str = "total", new: models.Field = WIDE) -> list[Operation]:
    return [ops.AddShadowField("order", name, new), ops.CopyShadowField("order", name, new)]


def swapped(name: str = "total", new: models.Field = WIDE) -> list[Operation]:
    return [*shadowed(name, new), ops.SwapShadowField("order", name, new)]


SAMPLES = [
    Sample(
        "integer",
        lambda: ops.AddShadowField("order", "total", WIDE),
        missing=unknown(ops.AddShadowField, "total", WIDE),
        says=("ADD COLUMN", "CREATE OR REPLACE TRIGGER"),
    ),
    Sample(
        "primary key",
        lambda: ops.AddShadowField("ticket", "id", BIG_KEY),
        says=('ALTER TABLE "shop_ticket" ADD COLUMN', 'ALTER TABLE "shop_seat" ADD COLUMN'),
    ),
    Sample(
        "integer",
        lambda: ops.CopyShadowField("order", "total", WIDE),
        prepare=lambda: [ops.AddShadowField("order", "total", WIDE)],
        missing=unknown(ops.CopyShadowField, "total", WIDE),
    ),
    Sample(
        "integer",
        lambda: ops.SwapShadowField("order", "total", WIDE),
        prepare=shadowed,
        missing=unknown(ops.SwapShadowField, "total", WIDE),
        says=("VALIDATE CONSTRAINT", "ANALYZE", "RENAME COLUMN", "SET NOT NULL"),
    ),
    Sample(
        "unique text",
        lambda: ops.SwapShadowField("order", "slug", TEXT),
        prepare=lambda: shadowed("slug", TEXT),
        says=("CREATE UNIQUE INDEX CONCURRENTLY", "UNIQUE USING INDEX", "text_pattern_ops"),
    ),
    Sample(
        "narrowed",
        lambda: ops.SwapShadowField(
            "order", "email", models.CharField(max_length=40), after_rollout=True
        ),
        prepare=lambda: shadowed("email", models.CharField(max_length=40)),
    ),
    Sample(
        "primary key",
        lambda: ops.SwapShadowField("ticket", "id", BIG_KEY),
        prepare=lambda: [
            ops.AddShadowField("ticket", "id", BIG_KEY),
            ops.CopyShadowField("ticket", "id", BIG_KEY),
        ],
        says=("PRIMARY KEY USING INDEX", "FOREIGN KEY", "AS IDENTITY"),
    ),
    Sample(
        "integer",
        lambda: ops.DropShadowField("order", "total", NARROW),
        prepare=swapped,
        missing=unknown(ops.DropShadowField, "total", NARROW),
        says=("DROP TRIGGER", "DROP COLUMN"),
    ),
]
