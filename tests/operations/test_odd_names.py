"""Tables in other schemas and under names that need quotes: every operation finds them again."""

from __future__ import annotations

import copy
from functools import cache

import pytest
from django.db import migrations

from safemigrate import operations
from safemigrate.facts.errors import WrongOperation
from tests.operations.samples import SAMPLES
from tests.operations.shop import TABLES, Shop
from tests.operations.test_contract import ready

LONG = "shop_orders of the Old Days, kept for the auditors of the year"
assert len(LONG) == 62

IN_A_SCHEMA = {
    "Order": '"Old Archive"."shop Order"',
    "Customer": 'Old Archive"."shop_CUSTOMER',
    "Tag": f'"Old Archive"."{LONG}"',
}
QUOTED = {"Order": f"{LONG}s", "Customer": "shop Customer", "Note": '"shop_Notes, ""quoted"""'}
COLUMNS = {"flag": '"Flag of it"', "status": "Sta Tus", "slug": "SLUG"}


def odd(names: dict[str, str], columns: dict[str, str]) -> list[migrations.CreateModel]:
    """The shop's tables under other names."""
    made = []
    for table in TABLES:
        fields = [(name, copy.deepcopy(value)) for name, value in table.fields]
        for name, value in fields:
            if table.name == "Order" and name in columns:
                value.db_column = columns[name]
        options = dict(table.options)
        if table.name in names:
            options["db_table"] = names[table.name]
        made.append(migrations.CreateModel(table.name, fields, options))
    return made


@pytest.fixture(params=["another schema", "quoted names", "another search_path"])
def shop(request, pg) -> Shop:
    pg.ensure_connection()
    name = pg.settings_dict["NAME"]
    with pg.cursor() as cursor:
        cursor.execute('CREATE SCHEMA "Old Archive"')
        if request.param == "another search_path":
            cursor.execute(f'ALTER DATABASE {name} SET search_path = "Old Archive", public')
            # What is there under the same name must not be taken for ours.
            cursor.execute("CREATE TABLE public.shop_order (id int); ")
    pg.close()
    # What gives a field another form or name would have to know its db_column.
    sample = request.node.callspec.params.get("sample")
    forms = sample and isinstance(sample.make(), FORMS)
    return Shop(pg).open(tables=tables_of(request.param, bool(forms)))


@cache
def tables_of(kind: str, forms: bool) -> list[migrations.CreateModel]:
    columns = {} if forms else COLUMNS
    # One of the samples is prepared with SQL of its own for the tags.
    moved = {name: table for name, table in IN_A_SCHEMA.items() if name != "Tag" or not forms}
    if kind == "another search_path":
        return odd({}, {})
    return odd(moved if kind == "another schema" else QUOTED, columns)


MOVES = (
    operations.ExpandRenameModel,
    operations.ContractRenameModel,
    operations.ExpandRenameTable,
    operations.ContractRenameTable,
    operations.ExpandAlterManyToMany,
    operations.ContractAlterManyToMany,
    operations.ExpandRenameField,
    operations.ContractRenameField,
    operations.ExpandRenamePrimaryKey,
    operations.ContractRenamePrimaryKey,
)
FORMS = (
    operations.ExpandAlterField,
    operations.AddShadowField,
    operations.CopyShadowField,
    operations.SwapShadowField,
    operations.DropShadowField,
    operations.AddRenamedField,
    operations.CopyRenamedField,
    operations.CompleteRenamedField,
    operations.DropRenamedField,
)

# Moved tables with quotes in their names are refused, see below.
every_sample = pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if not isinstance(s.make(), MOVES)], ids=str
)


@every_sample
def test_it_is_done_found_done_and_undone(shop, sample):
    """A legacy database keeps its tables in a schema of their own, under names with spaces."""
    ready(shop, sample)
    before, schema = shop.state, shop.schema()
    operation = sample.make()
    with shop.sent() as first:
        shop.apply(operation)
    done = shop.schema()
    with shop.sent() as second:
        shop.again(sample.make(), before)
    assert first
    assert second == []
    shop.unapply(operation, before)
    if sample.comes_back:
        assert shop.schema() == schema
    shop.apply(sample.make())
    assert shop.schema() == done


def always() -> bool:
    return True


def test_python_fills_a_column_whose_name_stands_in_quotes(shop):
    """Values that Python computed travel as arrays, with the types that the server names."""
    shop.apply(operations.BatchedBackfill("order", {"flag": always}))
    assert not shop.model("Order").objects.exclude(flag=True).exists()


@pytest.mark.parametrize("shop", ["another schema"], indirect=True)
def test_a_table_whose_name_stands_in_quotes_is_not_renamed(shop):
    """A view beside it would need the schema taken out of the name; nothing was tried with it."""
    schema = shop.schema()
    with pytest.raises(WrongOperation, match="Keep the table: state its present name"):
        shop.apply(operations.ExpandRenameTable("tag", "shop_label"))
    assert shop.schema() == schema
