"""What a squash makes of a finished chain."""

from __future__ import annotations

import uuid

from django.db import migrations, models
from django.db.models import Q

from safemigrate.operations import (
    AddFieldIndexConcurrently,
    Assured,
    BatchedBackfill,
    ContractDrop,
    DropDatabaseDefault,
    ExpandField,
    MakeFieldIgnorable,
    RenameIndex,
    SetNotNull,
)
from safemigrate.planner.squash import PlainOptimizer

TABLE = migrations.CreateModel(
    "Order", [("id", models.BigAutoField(primary_key=True)), ("old", models.IntegerField())]
)
TOKEN = models.UUIDField(default=uuid.uuid4)
CHAIN = [
    ExpandField("order", "token", TOKEN, database_default=None),
    MakeFieldIgnorable("order", "old"),
    BatchedBackfill("order", {"token": uuid.uuid4}, Q(token__isnull=True)),
    AddFieldIndexConcurrently("order", "token"),
    SetNotNull("order", "token"),
    DropDatabaseDefault("order", "token", database_default=None),
    ContractDrop("order", "old"),
]


def squashed(*operations) -> list:
    return PlainOptimizer().optimize([*operations], "shop")


def names(operations) -> list[str]:
    return [type(operation).__name__ for operation in operations]


def test_a_finished_chain_of_a_new_table_is_one_create_model():
    [made] = squashed(TABLE, *CHAIN)
    assert type(made) is migrations.CreateModel
    assert [name for name, _ in made.fields] == ["id", "token"]


def test_a_table_from_before_keeps_its_safe_chain():
    """A database where nothing of it is applied may run the squash instead."""
    assert names(squashed(*CHAIN)) == names(CHAIN)


def test_rows_that_code_has_made_get_a_value_each():
    seed = migrations.RunPython(migrations.RunPython.noop)
    assert names(squashed(TABLE, seed, *CHAIN)) == ["CreateModel", "RunPython", *names(CHAIN)]


def test_code_that_may_be_left_out_makes_no_rows():
    seed = migrations.RunPython(migrations.RunPython.noop, elidable=True)
    assert names(squashed(TABLE, seed, *CHAIN)) == ["CreateModel"]


def test_nobody_has_to_vouch_for_a_new_table():
    field = models.BigIntegerField()
    vouched = Assured(migrations.AlterField("order", "old", field), because="it is empty")
    [made] = squashed(TABLE, vouched)
    assert type(dict(made.fields)["old"]) is models.BigIntegerField


def test_a_new_name_of_an_index_is_its_name():
    """Django builds the indexes of a new table at the end, so that a rename would find none."""
    table = migrations.CreateModel(
        "Order",
        [*TABLE.fields],
        {"indexes": [models.Index(fields=["old"], name="first")]},
    )
    for rename in (migrations.RenameIndex, RenameIndex):
        [made] = squashed(table, rename("order", "second", "first"))
        assert [index.name for index in made.options["indexes"]] == ["second"]


def test_what_only_the_state_is_told_counts_for_what_comes_after():
    """A number becomes the foreign key on its column: it has another name from then on."""
    told = migrations.SeparateDatabaseAndState(
        state_operations=[migrations.RenameField("order", "old", "new")]
    )
    drop = ContractDrop("order", "new")
    assert names(squashed(TABLE, told, drop))[:2] == ["CreateModel", "SeparateDatabaseAndState"]
