"""Constraints that come, go, and get another name."""

from __future__ import annotations

from collections.abc import Callable

from django.db import models
from django.db.migrations.operations.base import Operation
from django.db.models import F, Q
from django.db.models.functions import Lower

from safemigrate import operations as ops
from tests.operations.samples.sample import Sample, unknown


def once(*fields: str, name: str = "order_once", **options) -> models.UniqueConstraint:
    return models.UniqueConstraint(fields=fields, name=name, **options)


def not_negative(name: str = "not_negative") -> models.CheckConstraint:
    return models.CheckConstraint(condition=Q(total__gte=0), name=name)


def constrained(constraint: models.BaseConstraint) -> Callable[[], list[Operation]]:
    kind = (
        ops.AddCheckConstraint
        if isinstance(constraint, models.CheckConstraint)
        else ops.AddUniqueConstraintConcurrently
    )
    return lambda: [kind("order", constraint)]


def two(*constraints: models.UniqueConstraint) -> Callable[[], list[Operation]]:
    return lambda: [ops.AddUniqueConstraintConcurrently("order", c) for c in constraints]


UNIQUE = [
    ("fields", once("total", "email"), ("CREATE UNIQUE INDEX CONCURRENTLY", "UNIQUE USING INDEX")),
    (
        "deferrable",
        once("total", "email", deferrable=models.Deferrable.DEFERRED),
        ("UNIQUE USING INDEX", "DEFERRABLE INITIALLY DEFERRED"),
    ),
    ("partial", once("email", condition=Q(flag=True)), ("CONCURRENTLY", 'WHERE "flag"')),
    ("covering", once("email", include=["total", "code"]), ("CONCURRENTLY", "INCLUDE")),
    ("opclasses", once("email", opclasses=["varchar_pattern_ops"]), ("varchar_pattern_ops",)),
    ("nulls", once("total", "slug", nulls_distinct=False), ("NULLS NOT DISTINCT", "USING INDEX")),
    (
        "expression",
        models.UniqueConstraint(Lower("email"), F("total").desc(), name="order_once"),
        ("CREATE UNIQUE INDEX CONCURRENTLY", "LOWER", "DESC"),
    ),
]


SAMPLES = [
    *(
        Sample(
            what,
            lambda constraint=constraint: ops.AddUniqueConstraintConcurrently("order", constraint),
            missing=[
                lambda: ops.AddUniqueConstraintConcurrently("order", once("a")),
                lambda: ops.AddUniqueConstraintConcurrently("nothing", once("total")),
            ],
            says=says,
        )
        for what, constraint, says in UNIQUE
    ),
    Sample(
        "comparison",
        lambda: ops.AddCheckConstraint("order", not_negative()),
        missing=[lambda: ops.AddCheckConstraint("nothing", not_negative())],
        says=("CHECK", "NOT VALID", "VALIDATE CONSTRAINT"),
    ),
    Sample(
        "check",
        lambda: ops.DropConstraint("order", "not_negative"),
        prepare=constrained(not_negative()),
        missing=unknown(ops.DropConstraint, "not_negative"),
        says=("DROP CONSTRAINT", '"not_negative"'),
    ),
    Sample(
        "unique",
        lambda: ops.DropConstraint("order", "order_once", after_rollout=True),
        prepare=constrained(once("total", "email")),
        says=("DROP CONSTRAINT", '"order_once"'),
    ),
    Sample(
        "unique index",
        lambda: ops.DropConstraint("order", "order_once"),
        prepare=constrained(once("email", condition=Q(flag=True))),
        says=("DROP INDEX CONCURRENTLY", '"order_once"'),
    ),
    Sample(
        "check",
        lambda: ops.RenameConstraint("order", "total_positive", "not_negative"),
        prepare=constrained(not_negative()),
        missing=[
            lambda: ops.RenameConstraint("order", "total_positive", "nothing"),
            lambda: ops.RenameConstraint("nothing", "total_positive", "not_negative"),
        ],
        says=("RENAME CONSTRAINT", '"total_positive"'),
    ),
    Sample(
        "unique index",
        lambda: ops.RenameConstraint("order", "other_once", "order_once", after_rollout=True),
        prepare=constrained(once("email", condition=Q(flag=True))),
        says=("ALTER INDEX", '"other_once"'),
    ),
    Sample(
        "fields",
        lambda: ops.ReplaceConstraint("order", "order_once", by="newer_once"),
        prepare=two(once("email"), once("total", "email", name="newer_once")),
        missing=[
            lambda: ops.ReplaceConstraint("order", "order_once", by="nothing"),
            lambda: ops.ReplaceConstraint("nothing", "order_once", by="newer_once"),
        ],
        says=("DROP CONSTRAINT", "RENAME CONSTRAINT"),
    ),
    Sample(
        "index by fields",
        lambda: ops.ReplaceConstraint("order", "order_once", by="newer_once", after_rollout=True),
        prepare=two(
            once("email", condition=Q(flag=True)), once("total", "email", name="newer_once")
        ),
        says=("ALTER INDEX", "RENAME CONSTRAINT", "DROP INDEX CONCURRENTLY"),
    ),
    Sample(
        "fields by index",
        lambda: ops.ReplaceConstraint("order", "order_once", by="newer_once"),
        prepare=two(
            once("total", "email"),
            once("email", name="newer_once", condition=Q(flag=True)),
        ),
        says=("DROP CONSTRAINT", "ALTER INDEX"),
    ),
    Sample(
        "grows",
        lambda: ops.AlterUniqueTogetherConcurrently("order", {("total", "email")}),
        missing=[
            lambda: ops.AlterUniqueTogetherConcurrently("order", {("nothing", "email")}),
            lambda: ops.AlterUniqueTogetherConcurrently("nothing", {("total", "email")}),
        ],
        says=("CREATE UNIQUE INDEX CONCURRENTLY", "UNIQUE USING INDEX"),
    ),
    Sample(
        "changes",
        lambda: ops.AlterUniqueTogetherConcurrently("order", {("total", "slug")}),
        prepare=lambda: [
            ops.AlterUniqueTogetherConcurrently("order", {("total", "email"), ("total", "code")})
        ],
        says=("UNIQUE USING INDEX", "DROP CONSTRAINT"),
    ),
]
