"""Every operation, in dangerous and harmless forms, with what the rules must say: data, no test."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.postgres import constraints as pg_constraints
from django.contrib.postgres import fields as pg_fields
from django.contrib.postgres import indexes as pg_indexes
from django.contrib.postgres import operations as pg
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.search import SearchVectorField
from django.db import migrations as m
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now, Random, Upper

from tests.rules.asking import adding, altering

Int, Char, Dec = models.IntegerField, models.CharField, models.DecimalField
FK, CASCADE = models.ForeignKey, models.CASCADE
TOTAL = models.Index(fields=["total"], name="i")
POSITIVE = models.CheckConstraint(condition=Q(total__gt=0), name="c")
EXCLUSION = pg_constraints.ExclusionConstraint(name="x", expressions=[("total", "=")])


def unique(*args: Any, **options: Any) -> m.AddConstraint:
    return m.AddConstraint("order", models.UniqueConstraint(*args, name="u", **options))


def many(to: str = "shop.Customer", **options: Any) -> models.ManyToManyField:
    return models.ManyToManyField(to, related_name="+", **options)


def to_shop(**options: Any) -> models.ForeignKey:
    return FK("shop.Shop", CASCADE, null=True, **options)


def to_customer(**options: Any) -> models.ForeignKey:
    return FK("shop.Customer", options.pop("on_delete", CASCADE), **options)


# While the whole table is read or written anew, nobody can write to it.
SLOW: list[tuple[set[str], Any]] = [
    ({"E101"}, m.AddIndex("order", TOTAL)),
    ({"E101"}, m.AddIndex("order", models.Index(Lower("number").desc(), name="i"))),
    ({"E101"}, m.AddIndex("order", models.Index(fields=["-total"], condition=Q(id=1), name="i"))),
    ({"E101"}, m.AddIndex("order", pg_indexes.BrinIndex(fields=["total"], name="i"))),
    ({"E101"}, m.AddIndex("order", pg_indexes.HashIndex(fields=["number"], name="i"))),
    ({"E103"}, m.AlterUniqueTogether("order", {("number", "customer"), ("number", "total")})),
    ({"E103"}, unique(fields=["number"])),
    ({"E103"}, unique(fields=["number"], deferrable=models.Deferrable.DEFERRED)),
    ({"E103"}, unique(fields=["number"], condition=Q(total=1))),
    ({"E103"}, unique(fields=["number"], include=["total"])),
    ({"E103"}, unique(Upper("number"))),
    ({"E104"}, m.AddConstraint("order", POSITIVE)),
    ({"E105"}, m.AddConstraint("order", EXCLUSION)),
    ({"E116"}, adding(Int(null=True, db_index=True))),
    ({"E116"}, adding(models.SlugField(null=True))),
    ({"E116"}, adding(to_shop(db_constraint=False))),
    ({"E103"}, adding(Int(null=True, unique=True))),
    ({"E104"}, adding(models.PositiveIntegerField(null=True))),
    ({"E104"}, adding(models.PositiveSmallIntegerField(db_default=1))),
    ({"E104", "E107"}, adding(models.PositiveBigIntegerField(default=1))),
    ({"E108"}, adding(models.UUIDField(db_default=RandomUUID()))),
    ({"E108"}, adding(models.FloatField(db_default=Random()))),
    ({"E106"}, adding(to_shop())),
    ({"E106"}, adding(FK("self", CASCADE, null=True))),
    ({"E103", "E106"}, adding(models.OneToOneField("shop.Shop", CASCADE, null=True))),
    (
        {"E115"},
        adding(models.GeneratedField(expression=F("total"), output_field=Int(), db_persist=True)),
    ),
    ({"E109"}, altering("total", Int())),
    ({"E109"}, altering("total", Int(default=5))),
    ({"E109"}, altering("total", Int(db_default=5))),
    ({"E116"}, altering("total", Int(null=True, db_index=True))),
    ({"E103"}, altering("total", Int(null=True, unique=True))),
    ({"E104"}, altering("total", models.PositiveIntegerField(null=True))),
    ({"E110"}, altering("total", models.BigIntegerField(null=True))),
    ({"E110"}, altering("total", models.SmallIntegerField(null=True))),
    ({"E110"}, altering("total", models.FloatField(null=True))),
    ({"E110"}, altering("total", Char(max_length=10, null=True))),
    ({"E110"}, altering("number", Char(max_length=10))),
    ({"E110"}, altering("number", Char(max_length=30, db_collation="C"))),
    ({"E110"}, altering("note", Char(max_length=30, null=True))),
    ({"E110"}, altering("price", Dec(max_digits=8, decimal_places=3))),
    ({"E110"}, altering("price", Dec(max_digits=7, decimal_places=2))),
    ({"E110"}, altering("price", models.FloatField())),
    ({"E110"}, altering("key", Char(max_length=36), "customer")),
    ({"E110"}, altering("email", models.TextField(db_index=True), "customer")),
    ({"E110"}, altering("id", models.AutoField(primary_key=True))),
    ({"E111"}, m.RenameField("order", "customer", "buyer")),
    ({"E106"}, altering("customer", FK("shop.Shop", CASCADE))),
    ({"E106"}, altering("customer", to_customer(null=True))),
    ({"E103", "E106"}, altering("customer", models.OneToOneField("shop.Customer", CASCADE))),
    ({"E106"}, altering("shop_id", to_shop(db_column="shop_id"))),
]

# Over in an instant, and the release that is running fails on it, or its data is gone.
BREAKING: list[tuple[set[str], Any]] = [
    ({"E107"}, adding(Int())),
    ({"E107"}, adding(Int(default=3))),
    ({"E107"}, adding(models.BooleanField(default=False))),
    ({"E107"}, adding(models.TextField(default=""))),
    ({"E107"}, adding(models.JSONField(default=dict))),
    ({"E107"}, adding(pg_fields.ArrayField(Int(), default=list))),
    ({"E107", "E108"}, adding(models.UUIDField(default=uuid.uuid4))),
    ({"E108"}, adding(models.UUIDField(default=uuid.uuid4, null=True))),
    ({"E108"}, adding(models.DateTimeField(auto_now_add=True, null=True))),
    ({"E111"}, m.RenameField("order", "note", "notes")),
    ({"E111"}, m.RenameField("order", "tags", "labels")),
    ({"E111"}, altering("total", Int(null=True, db_column="amount"))),
    ({"E112"}, m.RenameModel("Order", "Sale")),
    ({"E112"}, m.AlterModelTable("order", "sales")),
    ({"E112"}, m.AlterModelTable("kept", None)),
    ({"E112"}, altering("tags", many(db_table="labels"))),
    ({"E113"}, m.RemoveField("order", "note")),
    ({"E113"}, m.RemoveField("order", "number")),
    ({"E113"}, m.RemoveField("order", "customer")),
    ({"E113"}, m.RemoveField("order", "tags")),
    ({"E114"}, m.DeleteModel("Order")),
    ({"E114"}, m.DeleteModel("Kept")),
    ({"E121"}, altering("status", Int())),
    ({"E102"}, m.RemoveIndex("order", "old_idx")),
]

# What nobody notices.
HARMLESS: list[Any] = [
    m.CreateModel("Fresh", [("id", models.BigAutoField(primary_key=True)), ("o", to_shop())]),
    m.CreateModel(
        "Unmade", [("id", models.BigAutoField(primary_key=True))], options={"managed": False}
    ),
    m.AlterModelTable("order", "shop_order"),
    m.AlterModelTableComment("order", "what people bought"),
    m.AlterModelOptions("order", {"ordering": ["id"]}),
    m.AlterModelOptions("elsewhere", {"managed": True}),
    m.AlterModelManagers("order", []),
    m.AlterUniqueTogether("order", set()),
    m.RenameIndex("order", "new_idx", old_name="old_idx"),
    m.RemoveConstraint("order", "old_check"),
    m.DeleteModel("Elsewhere"),
    pg.AddConstraintNotValid("order", POSITIVE),
    pg.CreateCollation("plain", "C"),
    adding(Int(null=True)),
    adding(Int(null=True, default=3)),
    adding(Int(db_default=3)),
    adding(Int(null=True, db_comment="x")),
    adding(models.DateTimeField(db_default=Now())),
    adding(models.TextField(db_default="")),
    adding(models.BooleanField(db_default=False)),
    adding(models.JSONField(null=True)),
    adding(models.BinaryField(null=True)),
    adding(models.DurationField(null=True)),
    adding(models.GenericIPAddressField(null=True)),
    adding(models.FileField(null=True)),
    adding(Dec(max_digits=8, decimal_places=2, null=True)),
    adding(Char(max_length=5, null=True, db_collation="C")),
    adding(pg_fields.ArrayField(Int(), null=True)),
    adding(pg_fields.IntegerRangeField(null=True)),
    adding(SearchVectorField(null=True)),
    adding(to_shop(db_constraint=False, db_index=False)),
    adding(many("shop.Shop")),
    m.RenameField("order", "named", "names"),
    altering("total", Int(null=True, default=3)),
    altering("total", Int(null=True, db_default=3)),
    altering("total", Int(null=True, verbose_name="x", help_text="y", validators=[])),
    altering("total", Int(null=True, choices=[(1, "a")])),
    altering("status", Int(db_default=2)),
    altering("status", Int(null=True, db_default=1)),
    altering("number", Char(max_length=30)),
    altering("number", Char(max_length=20, null=True)),
    altering("number", Char(max_length=20, db_comment="hi")),
    altering("number", Char()),
    altering("number", models.TextField()),
    altering("number", models.EmailField(max_length=20)),
    altering("price", Dec(max_digits=10, decimal_places=2)),
    altering("email", Char(max_length=60, db_index=True), "customer"),
    altering("email", Char(max_length=50), "customer"),
    altering("customer", to_customer(on_delete=models.PROTECT)),
    altering("customer", to_customer(related_name="orders")),
    altering("customer", to_customer(db_constraint=False)),
    altering("tags", many(blank=True)),
    m.RunSQL("SELECT 1", ""),
    m.RunPython(m.RunPython.noop, m.RunPython.noop),
    m.SeparateDatabaseAndState(state_operations=[]),
]

# They cannot be run in a transaction, or need what the tests' tables and server do not have.
HARMLESS_APART: list[Any] = [
    m.DeleteModel("Seen"),
    pg.AddIndexConcurrently("order", TOTAL),
    pg.RemoveIndexConcurrently("order", "old_idx"),
    pg.ValidateConstraint("order", "c"),
    pg.CreateExtension("citext"),
    pg.BloomExtension(),
    pg.BtreeGinExtension(),
    pg.BtreeGistExtension(),
    pg.CITextExtension(),
    pg.CryptoExtension(),
    pg.HStoreExtension(),
    pg.TrigramExtension(),
    pg.UnaccentExtension(),
    pg.RemoveCollation("plain", "C"),
    m.RenameIndex("order", "new_idx", old_fields=["number", "customer"]),
    adding(pg_fields.HStoreField(null=True)),
]
DANGEROUS_APART: list[tuple[set[str], Any]] = [
    ({"E101"}, m.AlterIndexTogether("order", {("number", "total")})),
    ({"E118"}, m.AlterOrderWithRespectTo("order", "customer")),
    ({"E117"}, adding(Int(primary_key=True))),
    ({"E110", "E117"}, altering("id", models.UUIDField(primary_key=True))),
    ({"E117"}, altering("number", Char(max_length=20, primary_key=True))),
    ({"E111"}, altering("customer", models.BigIntegerField())),
    ({"E106"}, altering("tags", many("shop.Shop"))),
    ({"E122"}, adding(Int(null=True), "a" * 64)),
    ({"E103", "E106", "E107"}, adding(models.OneToOneField("shop.Shop", CASCADE))),
]
