"""Models, tables, keys and many-to-many fields under other names."""

from __future__ import annotations

from django.db import models

from safemigrate import operations as ops
from tests.operations.samples.sample import Sample, unknown

TAGS = models.ManyToManyField("shop.tag")
CUSTOMERS = models.ManyToManyField("shop.customer", related_name="+")
ELSEWHERE = models.ManyToManyField("shop.tag", db_table="shop_labels")

SAMPLES = [
    Sample(
        "referred to, with the columns of many-to-many tables",
        lambda: ops.ExpandRenameModel("Customer", "Client"),
        missing=[lambda: ops.ExpandRenameModel("Nothing", "Client")],
        says=(
            'ALTER TABLE "shop_customer" RENAME TO "shop_client"',
            'CREATE VIEW "shop_customer"',
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
        "with a field that came with its name",
        lambda: ops.ContractRenameTable("order", None, new_fields=["note"]),
        prepare=lambda: [
            ops.ExpandRenameTable("order", "shop_orders"),
            ops.ExpandField("order", "note", models.TextField(null=True)),
        ],
        says=('DROP VIEW IF EXISTS "shop_order"',),
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
        missing=unknown(ops.ExpandRenameField, "tags", "labels"),
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
        "another model",
        lambda: ops.ExpandAlterManyToMany("order", "tags", CUSTOMERS),
        missing=unknown(ops.ExpandAlterManyToMany, "tags", CUSTOMERS),
        says=('RENAME COLUMN "tag_id" TO "customer_id"', '"customer_id" AS "tag_id"'),
    ),
    Sample(
        "another table",
        lambda: ops.ExpandAlterManyToMany("order", "tags", ELSEWHERE),
        says=('ALTER TABLE "shop_order_tags" RENAME TO "shop_labels"',),
    ),
    Sample(
        "another model",
        lambda: ops.ContractAlterManyToMany("order", "tags", CUSTOMERS, TAGS),
        prepare=lambda: [ops.ExpandAlterManyToMany("order", "tags", CUSTOMERS)],
        missing=unknown(ops.ContractAlterManyToMany, "tags", CUSTOMERS, TAGS),
        says=('DROP VIEW IF EXISTS "shop_order_tags"', 'REFERENCES "shop_customer" ("id")'),
    ),
]
