"""What operations touch, and when two of them are strangers."""

from __future__ import annotations

import functools
import inspect

import pytest
from django.contrib.postgres import operations as contrib
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower

from safemigrate import operations as ours
from safemigrate.operations import (
    AddCheckConstraint,
    AddFieldIndexConcurrently,
    AddForeignKey,
    AddIndexConcurrently,
    AddOrderColumn,
    AddRenamedField,
    AddShadowField,
    AddUniqueConstraintConcurrently,
    AlterIndex,
    AlterUniqueTogetherConcurrently,
    Assured,
    BatchedBackfill,
    CompleteRenamedField,
    ContractAlterManyToMany,
    ContractDrop,
    ContractFieldCheck,
    ContractForeignKey,
    ContractRenameField,
    ContractRenameModel,
    ContractRenamePrimaryKey,
    ContractRenameTable,
    CopyRenamedField,
    CopyShadowField,
    DropConstraint,
    DropDatabaseDefault,
    DropOrderColumn,
    DropRenamedField,
    DropShadowField,
    ExpandAlterField,
    ExpandAlterManyToMany,
    ExpandField,
    ExpandRenameField,
    ExpandRenameModel,
    ExpandRenamePrimaryKey,
    ExpandRenameTable,
    MakeFieldIgnorable,
    MakeModelIgnorable,
    RemoveIndexConcurrently,
    RenameConstraint,
    RenameIndex,
    ReplaceConstraint,
    ReplaceIndex,
    SetNotNull,
    StopFilling,
    SwapShadowField,
)
from safemigrate.planner.footprints import Footprint, footprint_of

TO_CUSTOMER = models.ForeignKey("shop.Customer", models.CASCADE)
TO_TAGS = models.ManyToManyField("shop.Tag")
TO_FIRMS = models.ManyToManyField("shop.Firm")
NUMBER = models.IntegerField(null=True)
BY_TOTAL = models.Index(fields=["total"], name="by_total")
NOT_NEGATIVE = models.CheckConstraint(condition=Q(total__gte=0), name="not_negative")
TOTAL_ONCE = models.UniqueConstraint(fields=["total"], name="total_once")


def update_orders(apps, schema_editor):
    apps.get_model("shop", "order").objects.update(total=0)


SAMPLES: list[Operation] = [
    migrations.CreateModel("Order", [("id", models.AutoField(primary_key=True))]),
    migrations.DeleteModel("Order"),
    migrations.RenameModel("Order", "Purchase"),
    migrations.AlterModelTable("order", "orders"),
    migrations.AlterModelTableComment("order", "what was bought"),
    migrations.AlterUniqueTogether("order", {("a", "b")}),
    migrations.AlterIndexTogether("order", {("a", "b")}),
    migrations.AlterOrderWithRespectTo("order", "customer"),
    migrations.AlterModelOptions("order", {}),
    migrations.AlterModelManagers("order", []),
    migrations.AddField("order", "total", NUMBER),
    migrations.RemoveField("order", "total"),
    migrations.AlterField("order", "total", NUMBER),
    migrations.RenameField("order", "total", "sum"),
    migrations.AddIndex("order", BY_TOTAL),
    migrations.RemoveIndex("order", "by_total"),
    migrations.RenameIndex("order", "by_sum", old_name="by_total"),
    migrations.AddConstraint("order", TOTAL_ONCE),
    migrations.AlterConstraint("order", "total_once", TOTAL_ONCE),
    migrations.RemoveConstraint("order", "total_once"),
    migrations.RunSQL("UPDATE shop_order SET total = 0"),
    migrations.RunPython(update_orders),
    migrations.SeparateDatabaseAndState([], [migrations.RemoveField("order", "total")]),
    ExpandField("order", "total", NUMBER),
    AddIndexConcurrently("order", BY_TOTAL),
    RemoveIndexConcurrently("order", "by_total"),
    RenameIndex("order", "by_sum", "by_total"),
    AlterIndex("order", "by_total", BY_TOTAL),
    ReplaceIndex("order", "by_total", by="by_sum"),
    AddUniqueConstraintConcurrently("order", TOTAL_ONCE),
    AddCheckConstraint("order", NOT_NEGATIVE),
    DropConstraint("order", "total_once"),
    RenameConstraint("order", "sum_once", "total_once"),
    ReplaceConstraint("order", "total_once", by="sum_once"),
    AlterUniqueTogetherConcurrently("order", {("a", "b")}),
    AddFieldIndexConcurrently("order", "total"),
    AddForeignKey("order", "customer"),
    ContractForeignKey("order", "customer"),
    ContractFieldCheck("order", "total"),
    ExpandAlterField("order", "total", NUMBER),
    BatchedBackfill("order", values={"total": 0}),
    StopFilling("order", "total"),
    SetNotNull("order", "total"),
    AddOrderColumn("Order", "customer"),
    DropOrderColumn("Order"),
    DropDatabaseDefault("order", "total", database_default=0),
    MakeFieldIgnorable("order", "total"),
    MakeModelIgnorable("order"),
    ContractDrop("order", "total"),
    AddRenamedField("order", "total", "sum"),
    CopyRenamedField("order", "total", "sum"),
    CompleteRenamedField("order", "total", "sum"),
    DropRenamedField("order", "total", "sum"),
    ExpandRenameModel("Order", "Purchase"),
    ContractRenameModel("Purchase", "Order"),
    ExpandRenamePrimaryKey("order", "id", "number"),
    ContractRenamePrimaryKey("order", "id", "number"),
    ExpandRenameTable("order", "orders"),
    ContractRenameTable("order", None),
    ExpandRenameField("order", "tags", "labels"),
    ContractRenameField("order", "tags", "labels"),
    ExpandAlterManyToMany("order", "tags", TO_FIRMS),
    ContractAlterManyToMany("order", "tags", TO_FIRMS, TO_TAGS),
    AddShadowField("order", "total", NUMBER),
    CopyShadowField("order", "total", NUMBER),
    SwapShadowField("order", "total", NUMBER),
    DropShadowField("order", "total", NUMBER),
    Assured(migrations.RemoveField("order", "total"), because="it is empty"),
]
IGNORED = (migrations.AlterModelOptions, migrations.AlterModelManagers)


def meet(one: Operation, other: Operation) -> bool:
    answer = footprint_of(one, "shop").meets(footprint_of(other, "shop"))
    assert answer == footprint_of(other, "shop").meets(footprint_of(one, "shop"))
    return answer


@pytest.mark.parametrize("operation", SAMPLES, ids=lambda o: type(o).__name__)
def test_every_operation_has_a_footprint_on_its_own_table(operation):
    known = footprint_of(operation, "shop")
    assert not known.unknown
    assert meet(operation, ContractDrop("order")) is not isinstance(operation, IGNORED)
    assert not meet(operation, ContractDrop("audit"))


def test_a_key_of_another_type_meets_the_columns_that_refer_to_it():
    """They change with it; so a foreign key that is added or altered must not change places."""
    swap = SwapShadowField("order", "id", models.BigAutoField(primary_key=True))
    key = models.ForeignKey("shop.order", models.CASCADE)
    assert meet(swap, migrations.AddField("line", "order", key))
    assert meet(swap, migrations.AlterField("line", "order", key))
    assert not meet(swap, migrations.AddField("line", "text", models.TextField(null=True)))
    assert not meet(swap, migrations.AddField("order", "text", models.TextField(null=True)))
    assert not meet(swap, SwapShadowField("line", "id", models.BigAutoField(primary_key=True)))


def test_what_a_many_to_many_field_no_longer_refers_to_may_go_at_once():
    """In the run that points it elsewhere; what it refers to now must keep its name meanwhile."""
    contract = ContractAlterManyToMany("order", "tags", TO_FIRMS, TO_TAGS)
    assert not meet(contract, MakeModelIgnorable("tag"))
    assert meet(contract, ExpandRenameModel("Firm", "Company"))


def test_no_operation_of_django_or_ours_is_forgotten():
    """A new operation in either must get a sample here, and so a footprint."""
    known = {type(sample) for sample in SAMPLES}
    theirs = {c for _, c in inspect.getmembers(migrations, inspect.isclass)}
    own = {getattr(ours, name) for name in ours.__all__}
    all_of_them = {c for c in theirs | own if isinstance(c, type) and issubclass(c, Operation)} - {
        ours.SafeOperation
    }
    assert all_of_them == known


def test_a_class_that_nobody_knows_meets_everything():
    class Mystery(Operation):
        pass

    assert meet(Mystery(), ContractDrop("audit"))
    assert meet(Mystery(), migrations.AlterModelOptions("order", {}))


def test_different_columns_of_one_table_are_strangers():
    assert not meet(ContractDrop("order", "flag"), ExpandField("order", "total", NUMBER))
    assert meet(ContractDrop("Order", "Total"), SetNotNull("order", "total"))


def test_an_index_is_about_its_columns_and_its_name():
    assert meet(AddIndexConcurrently("order", BY_TOTAL), ContractDrop("order", "total"))
    assert not meet(AddIndexConcurrently("order", BY_TOTAL), ContractDrop("order", "flag"))


@pytest.mark.parametrize(
    "thing",
    [
        AddIndexConcurrently("order", models.Index(Lower("email"), name="by_email")),
        AddIndexConcurrently(
            "order", models.Index(fields=["total"], condition=Q(email="x"), name="x")
        ),
        AddUniqueConstraintConcurrently(
            "order", models.UniqueConstraint(fields=["total"], include=["email"], name="once")
        ),
        AddCheckConstraint(
            "order", models.CheckConstraint(condition=Q(total__gt=F("email")), name="more")
        ),
    ],
    ids=["expression", "condition", "include", "check"],
)
def test_an_index_or_a_constraint_rests_on_every_column_that_it_names(thing):
    assert meet(thing, ContractDrop("order", "email"))
    assert not meet(thing, ContractDrop("order", "flag"))


def test_an_index_of_which_nobody_can_tell_the_columns_is_about_the_whole_table():
    index = models.Index(RawSQL("email", ()), name="raw")
    assert meet(AddIndexConcurrently("order", index), ContractDrop("order", "flag"))


def test_two_that_rest_on_the_same_column_are_strangers():
    """An index may be built before or after a check is validated; only the column must stay."""
    index = AddIndexConcurrently("order", BY_TOTAL)
    for other in (
        AddCheckConstraint("order", NOT_NEGATIVE),
        AddUniqueConstraintConcurrently("order", TOTAL_ONCE),
        SetNotNull("order", "total"),
    ):
        assert not meet(index, other)
    assert meet(SetNotNull("order", "total"), BatchedBackfill("order", values={"total": 0}))


def test_contribs_own_operations_are_known_by_name():
    """They cannot be imported without psycopg."""
    validate = contrib.ValidateConstraint("order", "not_negative")
    assert meet(validate, contrib.AddConstraintNotValid("order", NOT_NEGATIVE))
    assert not meet(validate, ContractDrop("order", "flag"))
    assert not meet(contrib.TrigramExtension(), ContractDrop("order"))
    assert not meet(contrib.CreateCollation("german", "de-DE"), ContractDrop("order"))


def test_a_foreign_key_meets_the_table_it_refers_to_when_that_goes():
    fk = ExpandField("order", "customer", TO_CUSTOMER)
    assert meet(fk, ContractDrop("customer"))
    assert meet(fk, migrations.DeleteModel("Customer"))


def test_a_foreign_key_does_not_meet_a_column_of_that_table():
    fk = ExpandField("order", "customer", TO_CUSTOMER)
    assert not meet(fk, ContractDrop("customer", "flag"))
    assert not meet(
        migrations.CreateModel("Cart", [("c", TO_CUSTOMER)]), SetNotNull("customer", "x")
    )


def test_two_foreign_keys_to_one_table_are_strangers():
    to_it = [migrations.AddField(m, "customer", TO_CUSTOMER) for m in ("order", "cart")]
    assert not meet(*to_it)


def test_the_end_of_a_renamed_model_waits_for_nothing_but_other_names():
    """Another feature changes the model under its new name while the views are still there."""
    end = ContractRenameModel("Order", "Purchase")
    assert not meet(end, migrations.AddField("purchase", "total", NUMBER))
    assert meet(end, migrations.RenameModel("Purchase", "Sale"))
    assert meet(end, migrations.CreateModel("Order", []))
    assert meet(end, ExpandRenameModel("Order", "Purchase"))


def test_the_two_names_of_a_rename_are_both_touched():
    rename = migrations.RenameField("order", "total", "sum")
    assert meet(rename, ContractDrop("order", "total"))
    assert meet(rename, ContractDrop("order", "sum"))
    assert not meet(rename, ContractDrop("order", "flag"))
    assert meet(migrations.RenameModel("Order", "Purchase"), ContractDrop("purchase", "x"))


def test_a_backfill_touches_what_it_reads():
    """Or the column that it copies could be dropped while it waits."""
    fill = BatchedBackfill(
        "order", values={"total": Lower(F("amount"))}, where=Q(kind="x") & ~Q(note__isnull=True)
    )
    for column in ("total", "amount", "kind", "note"):
        assert meet(fill, ContractDrop("order", column))
    assert not meet(fill, ContractDrop("order", "flag"))


def test_a_backfill_by_function_touches_the_whole_table():
    fill = BatchedBackfill("order", function="shop.backfills.total")
    assert meet(fill, ContractDrop("order", "flag"))


@pytest.mark.parametrize(
    ("sql", "meets"),
    [
        ("UPDATE shop_order SET flag = 1", True),
        ("update SHOP_ORDER set Flag = 1", True),
        ('ALTER TABLE "shop_order"\n DROP COLUMN "flag"', True),
        ("UPDATE shop_order SET total = 1", False),
        ("ANALYZE", False),
        ([("UPDATE x SET flag = %s", [1])], True),
        (["SELECT 1", "UPDATE x SET flag = 2"], True),
    ],
)
def test_raw_sql_meets_the_column_that_it_mentions(sql, meets):
    assert meet(migrations.RunSQL(sql), ContractDrop("order", "flag")) is meets


def test_raw_sql_meets_a_table_that_goes_when_it_mentions_it():
    assert meet(migrations.RunSQL("TRUNCATE shop_order"), ContractDrop("order"))


def test_python_code_is_read_as_text():
    assert meet(migrations.RunPython(update_orders), ContractDrop("order", "total"))
    assert not meet(migrations.RunPython(update_orders), ContractDrop("order", "flag"))


def test_code_without_a_source_meets_everything():
    """A partial, a C function, code that was eval'ed: nobody can tell."""
    hidden = migrations.RunPython(functools.partial(update_orders))
    assert meet(hidden, ContractDrop("audit"))


def test_both_halves_of_a_separated_operation_count():
    both = migrations.SeparateDatabaseAndState(
        database_operations=[migrations.RunSQL("SELECT flag")],
        state_operations=[migrations.RemoveField("order", "total")],
    )
    assert meet(both, ContractDrop("order", "flag"))
    assert meet(both, ContractDrop("order", "total"))


def test_nothing_meets_nothing():
    assert not Footprint().meets(Footprint())
