"""One or more samples of every public operation; a new operation adds its own here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from safemigrate import operations as ops


def nobody() -> list[Operation]:
    return []


@dataclass(frozen=True)
class Sample:
    """
    ``prepare``: what was applied before it. ``comes_back``: whether unapplying it leaves the
    schema as it was. ``says``: words of the SQL that ``sqlmigrate`` must show.
    """

    what: str
    make: Callable[[], ops.SafeOperation]
    prepare: Callable[[], list[Operation]] = nobody
    missing: Sequence[Callable[[], Operation]] = field(default=())
    comes_back: bool = True
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{type(self.make()).__name__}-{self.what}"


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


WIDE = models.BigIntegerField()
NARROW = models.IntegerField()
TEXT = models.TextField(unique=True)
BIG_KEY, KEY = models.BigAutoField(primary_key=True), models.AutoField(primary_key=True)


def shadowed(name: str = "total", new: models.Field = WIDE) -> list[Operation]:
    return [ops.AddShadowField("order", name, new), ops.CopyShadowField("order", name, new)]


def swapped(name: str = "total", new: models.Field = WIDE) -> list[Operation]:
    return [*shadowed(name, new), ops.SwapShadowField("order", name, new)]


def ordered() -> list[Operation]:
    return [ops.AddOrderColumn("order", "customer")]


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


def index(name: str, *fields: str) -> Operation:
    return ops.AddIndexConcurrently("order", models.Index(fields=list(fields), name=name))


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


def renaming(old: str, new: str, steps: int) -> list[Operation]:
    """The first steps of a field's way to another name."""
    names = ("order", old, new)
    way = [
        ops.AddRenamedField(*names),
        ops.CopyRenamedField(*names),
        ops.CompleteRenamedField(*names),
    ]
    return list(way[:steps])


KODE = models.CharField(max_length=20, null=True, db_column="kode")
SAMPLES = [
    Sample(
        "another db_column",
        lambda: ops.AddRenamedField("order", "code", "code", KODE),
        says=('ADD COLUMN "kode"',),
    ),
    Sample(
        "order",
        lambda: ops.AddOrderColumn("order", "customer"),
        missing=[
            lambda: ops.AddOrderColumn("order", "nothing"),
            lambda: ops.AddOrderColumn("nothing", "customer"),
        ],
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
        missing=[
            lambda: ops.ContractFieldCheck("order", "nothing"),
            lambda: ops.ContractFieldCheck("nothing", "total"),
        ],
        says=("CHECK", "NOT VALID", "VALIDATE CONSTRAINT"),
    ),
    Sample(
        "number to key",
        lambda: ops.ContractForeignKey("order", "giver"),
        prepare=lambda: [
            altered("giver", key("shop.customer", null=True, db_column="giver"))(),
        ],
        missing=[
            lambda: ops.ContractForeignKey("order", "nothing"),
            lambda: ops.ContractForeignKey("nothing", "giver"),
        ],
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
        missing=[
            lambda: ops.AddFieldIndexConcurrently("order", "nothing"),
            lambda: ops.AddFieldIndexConcurrently("nothing", "email"),
        ],
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
        missing=[
            lambda: ops.SetNotNull("order", "nothing"),
            lambda: ops.SetNotNull("nothing", "note"),
        ],
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
        missing=[
            lambda: ops.DropDatabaseDefault("order", "nothing", 1),
            lambda: ops.DropDatabaseDefault("nothing", "urgency", 1),
        ],
        says=("DROP DEFAULT",),
    ),
    Sample(
        "column",
        lambda: ops.AddForeignKey("order", "payer"),
        prepare=bare_key,
        missing=[
            lambda: ops.AddForeignKey("order", "nothing"),
            lambda: ops.AddForeignKey("nothing", "payer"),
        ],
        says=("FOREIGN KEY", "NOT VALID", "VALIDATE CONSTRAINT"),
    ),
    Sample(
        "required",
        lambda: ops.MakeFieldIgnorable("order", "flag"),
        missing=[
            lambda: ops.MakeFieldIgnorable("order", "nothing"),
            lambda: ops.MakeFieldIgnorable("nothing", "flag"),
        ],
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
        says=("CANNOT BE WRITTEN AS SQL",),
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
        missing=[
            lambda: ops.StopFilling("order", "nothing"),
            lambda: ops.StopFilling("nothing", "note"),
        ],
        says=("DROP TRIGGER", "DROP FUNCTION"),
    ),
    Sample(
        "referred to, with the columns of many-to-many tables",
        lambda: ops.ExpandRenameModel("Customer", "Client"),
        missing=[lambda: ops.ExpandRenameModel("Nothing", "Client")],
        says=(
            'ALTER TABLE "shop_customer" RENAME TO "shop_client"',
            'CREATE VIEW "shop_customer" WITH (security_invoker = true)',
            'RENAME COLUMN "customer_id" TO "client_id"',
            '"client_id" AS "customer_id"',
        ),
    ),
    Sample(
        "with many-to-many tables of its own",
        lambda: ops.ExpandRenameModel("Order", "Purchase"),
        says=('ALTER TABLE "shop_order_tags" RENAME TO "shop_purchase_tags"',),
    ),
    Sample(
        "referred to",
        lambda: ops.ContractRenameModel("Customer", "Client"),
        prepare=lambda: [ops.ExpandRenameModel("Customer", "Client")],
        missing=[lambda: ops.ContractRenameModel("Client", "Nothing")],
        says=('DROP VIEW IF EXISTS "shop_customer"', 'RENAME TO "shop_note_about"'),
    ),
    Sample(
        "a table of its own name",
        lambda: ops.ExpandRenameTable("order", "shop_orders"),
        missing=[lambda: ops.ExpandRenameTable("nothing", "shop_orders")],
        says=('ALTER TABLE "shop_order" RENAME TO "shop_orders"', 'RENAME TO "shop_orders_tags"'),
    ),
    Sample(
        "the default again",
        lambda: ops.ContractRenameTable("order", None),
        prepare=lambda: [ops.ExpandRenameTable("order", "shop_orders")],
        missing=[lambda: ops.ContractRenameTable("nothing", None)],
        says=('DROP VIEW IF EXISTS "shop_order"', 'DROP VIEW IF EXISTS "shop_order_tags"'),
    ),
    Sample(
        "primary key",
        lambda: ops.ExpandRenamePrimaryKey("order", "id", "number"),
        missing=[lambda: ops.ExpandRenamePrimaryKey("nothing", "id", "number")],
        says=('"number" AS "id"',),
    ),
    Sample(
        "primary key",
        lambda: ops.ContractRenamePrimaryKey("order", "id", "number"),
        missing=[lambda: ops.ContractRenamePrimaryKey("order", "id", "nothing")],
        prepare=lambda: [ops.ExpandRenamePrimaryKey("order", "id", "number")],
        says=('DROP VIEW IF EXISTS "shop_order"',),
    ),
    Sample(
        "many to many",
        lambda: ops.ExpandRenameField("order", "tags", "labels"),
        missing=[
            lambda: ops.ExpandRenameField("order", "nothing", "labels"),
            lambda: ops.ExpandRenameField("nothing", "tags", "labels"),
        ],
        says=('ALTER TABLE "shop_order_tags" RENAME TO "shop_order_labels"',),
    ),
    Sample(
        "many to many",
        lambda: ops.ContractRenameField("order", "tags", "labels"),
        prepare=lambda: [ops.ExpandRenameField("order", "tags", "labels")],
        missing=[
            lambda: ops.ContractRenameField("order", "tags", "nothing"),
            lambda: ops.ContractRenameField("nothing", "tags", "labels"),
        ],
        says=('DROP VIEW IF EXISTS "shop_order_tags"',),
    ),
    Sample(
        "integer",
        lambda: ops.AddShadowField("order", "total", WIDE),
        missing=[
            lambda: ops.AddShadowField("order", "nothing", WIDE),
            lambda: ops.AddShadowField("nothing", "total", WIDE),
        ],
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
        missing=[
            lambda: ops.CopyShadowField("order", "nothing", WIDE),
            lambda: ops.CopyShadowField("nothing", "total", WIDE),
        ],
    ),
    Sample(
        "integer",
        lambda: ops.SwapShadowField("order", "total", WIDE),
        prepare=shadowed,
        missing=[
            lambda: ops.SwapShadowField("order", "nothing", WIDE),
            lambda: ops.SwapShadowField("nothing", "total", WIDE),
        ],
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
        missing=[
            lambda: ops.DropShadowField("order", "nothing", NARROW),
            lambda: ops.DropShadowField("nothing", "total", NARROW),
        ],
        says=("DROP TRIGGER", "DROP COLUMN"),
    ),
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
        missing=[
            lambda: ops.DropConstraint("order", "nothing"),
            lambda: ops.DropConstraint("nothing", "not_negative"),
        ],
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
    Sample(
        "unique text",
        lambda: ops.AddRenamedField("order", "slug", "handle"),
        prepare=lambda: renaming("slug", "handle", 0),
        comes_back=True,
        missing=[
            lambda: ops.AddRenamedField("nothing", "slug", "handle"),
            lambda: ops.AddRenamedField("order", "nothing", "noth"),
        ],
        says=("ADD COLUMN", "CREATE OR REPLACE TRIGGER"),
    ),
    Sample(
        "foreign key",
        lambda: ops.AddRenamedField("order", "customer", "client"),
        prepare=lambda: renaming("customer", "client", 0),
        comes_back=True,
        missing=[],
        says=("ADD COLUMN", "CREATE OR REPLACE TRIGGER"),
    ),
    Sample(
        "indexed by name",
        lambda: ops.AddRenamedField("order", "flag", "marked"),
        prepare=lambda: renaming("flag", "marked", 0),
        comes_back=True,
        missing=[],
        says=("ADD COLUMN", "CREATE OR REPLACE TRIGGER"),
    ),
    Sample(
        "unique text",
        lambda: ops.CopyRenamedField("order", "slug", "handle"),
        prepare=lambda: renaming("slug", "handle", 1),
        comes_back=False,
        missing=[
            lambda: ops.CopyRenamedField("nothing", "slug", "handle"),
            lambda: ops.CopyRenamedField("order", "nothing", "noth"),
        ],
        says=("CANNOT BE WRITTEN AS SQL",),
    ),
    Sample(
        "unique text",
        lambda: ops.CompleteRenamedField("order", "slug", "handle"),
        prepare=lambda: renaming("slug", "handle", 2),
        comes_back=False,
        missing=[
            lambda: ops.CompleteRenamedField("nothing", "slug", "handle"),
            lambda: ops.CompleteRenamedField("order", "nothing", "noth"),
        ],
        says=("SET NOT NULL",),
    ),
    Sample(
        "foreign key",
        lambda: ops.CompleteRenamedField("order", "customer", "client"),
        prepare=lambda: renaming("customer", "client", 2),
        comes_back=False,
        missing=[],
        says=("SET NOT NULL",),
    ),
    Sample(
        "indexed by name",
        lambda: ops.CompleteRenamedField("order", "flag", "marked"),
        prepare=lambda: renaming("flag", "marked", 2),
        comes_back=False,
        missing=[],
        says=("SET NOT NULL",),
    ),
    Sample(
        "unique text",
        lambda: ops.DropRenamedField("order", "slug", "handle"),
        prepare=lambda: renaming("slug", "handle", 3),
        comes_back=False,
        missing=[
            lambda: ops.DropRenamedField("nothing", "slug", "handle"),
            lambda: ops.DropRenamedField("order", "nothing", "noth"),
        ],
        says=("DROP COLUMN", "DROP TRIGGER"),
    ),
    Sample(
        "foreign key",
        lambda: ops.DropRenamedField("order", "customer", "client"),
        prepare=lambda: renaming("customer", "client", 3),
        comes_back=False,
        missing=[],
        says=("DROP COLUMN", "DROP TRIGGER"),
    ),
    Sample(
        "indexed by name",
        lambda: ops.DropRenamedField("order", "flag", "marked"),
        prepare=lambda: renaming("flag", "marked", 3),
        comes_back=False,
        missing=[],
        says=("DROP COLUMN", "DROP TRIGGER"),
    ),
]
