"""Indexes that come, go, and get another name."""

from __future__ import annotations

from django.db import models
from django.db.migrations.operations.base import Operation
from django.db.models import F, Q

from safemigrate import operations as ops
from tests.operations.samples.sample import Sample, unknown


def index(name: str, *fields: str) -> Operation:
    return ops.AddIndexConcurrently("order", models.Index(fields=list(fields), name=name))


SAMPLES = [
    Sample(
        "plain",
        lambda: ops.AddIndexConcurrently("order", models.Index(fields=["total"], name="total_idx")),
        missing=[
            lambda: ops.AddIndexConcurrently("nothing", models.Index(fields=["a"], name="n_idx")),
            lambda: ops.AddIndexConcurrently("order", models.Index(fields=["a"], name="n_idx")),
        ],
        says=("CREATE INDEX CONCURRENTLY", "total_idx"),
    ),
    Sample(
        "partial, covering, expression",
        lambda: ops.AddIndexConcurrently(
            "order",
            models.Index(
                F("total") * 2, name="double_idx", condition=Q(flag=True), include=["email"]
            ),
        ),
        says=("CREATE INDEX CONCURRENTLY", "INCLUDE", "WHERE"),
    ),
    Sample(
        "plain",
        lambda: ops.RemoveIndexConcurrently("order", "order_flag_idx"),
        missing=[
            lambda: ops.RemoveIndexConcurrently("order", "no_idx"),
            lambda: ops.RemoveIndexConcurrently("nothing", "order_flag_idx"),
        ],
        says=("DROP INDEX CONCURRENTLY", "order_flag_idx"),
    ),
    Sample(
        "text index",
        lambda: ops.AddFieldIndexConcurrently(
            "order", "email", models.CharField(max_length=80, db_index=True)
        ),
        missing=unknown(ops.AddFieldIndexConcurrently, "email"),
        says=("CREATE INDEX CONCURRENTLY", "varchar_pattern_ops"),
    ),
    Sample(
        "unique text",
        lambda: ops.AddFieldIndexConcurrently(
            "order", "email", models.CharField(max_length=80, unique=True)
        ),
        says=("CREATE UNIQUE INDEX CONCURRENTLY", "UNIQUE USING INDEX", "varchar_pattern_ops"),
    ),
    Sample(
        "plain",
        lambda: ops.RenameIndex("order", "by_flag", "order_flag_idx", after_rollout=True),
        missing=[
            lambda: ops.RenameIndex("order", "by_flag", "no_idx"),
            lambda: ops.RenameIndex("nothing", "by_flag", "order_flag_idx"),
        ],
        says=("ALTER INDEX", '"by_flag"'),
    ),
    Sample(
        "plain",
        lambda: ops.ReplaceIndex("order", "order_flag_idx", by="newer_idx"),
        prepare=lambda: [index("newer_idx", "flag", "total")],
        missing=[
            lambda: ops.ReplaceIndex("order", "order_flag_idx", by="no_idx"),
            lambda: ops.ReplaceIndex("order", "no_idx", by="order_flag_idx"),
            lambda: ops.ReplaceIndex("nothing", "order_flag_idx", by="newer_idx"),
        ],
        says=("ALTER INDEX", "DROP INDEX CONCURRENTLY"),
    ),
]
