"""Models without a table of their own, with two, with a column that nobody declared."""

from __future__ import annotations

import pytest
from django.db import migrations, models
from django.db.migrations.state import ModelState
from django.db.models import F

from safemigrate.facts.phases import Phase
from safemigrate.operations.phases import phase_of, waits_for_rollout
from safemigrate.planner.footprints import Footprint, Touch, footprint_of
from tests.planner.states import Agrees, model, written

ORDER = model("Order", a=models.IntegerField())


def sql_free(before, after, **words) -> list[str]:
    """The names of the stock operations written; nothing is refused."""
    found = written(before, after, **words)
    assert not found.refusals
    return [name for file in found.files for name in file.operations]


def unmanaged(**fields) -> ModelState:
    return model("Old", options={"managed": False}, **fields)


def seen(**options) -> ModelState:
    return ModelState("shop", "Seen", [], {"proxy": True, **options}, ("shop.order",))


def kid(**fields) -> ModelState:
    link = models.OneToOneField(
        "shop.order", models.CASCADE, auto_created=True, parent_link=True, primary_key=True
    )
    return ModelState("shop", "Kid", [("order_ptr", link), *fields.items()], {}, ("shop.order",))


NUMBER, WORD = models.IntegerField(), models.CharField(max_length=3)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (unmanaged(a=NUMBER), unmanaged(b=WORD), []),
        (unmanaged(a=NUMBER), model("Old", a=NUMBER), ["AlterModelOptions"]),
        (model("Old", a=NUMBER), unmanaged(a=NUMBER), ["AlterModelOptions"]),
        (
            unmanaged(),
            model("Old", options={"managed": False, "db_table": "archive"}),
            ["AlterModelTable"],
        ),
        (seen(), seen(ordering=["a"]), ["AlterModelOptions"]),
    ],
)
def test_a_model_whose_table_is_not_ours_is_never_refused(before, after, expected):
    """A view of the reporting database, or a second face of a table: only the state changes."""
    assert sql_free([ORDER, before], [ORDER, after]) == expected


@pytest.mark.parametrize("gone", [unmanaged(a=NUMBER), seen()])
def test_its_end_drops_nothing(gone):
    assert sql_free([ORDER, gone], [ORDER]) == ["DeleteModel"]


def test_a_key_to_a_proxy_leaves_it_before_it_goes_and_the_table_alone():
    """Django removes the proxy first, and can make no model of the key in between."""

    def reply(to) -> ModelState:
        return model("Reply", order=models.ForeignKey(to, models.CASCADE))

    noted = ModelState("shop", "Noted", [], {"proxy": True}, ("shop.order",))
    before, after = [ORDER, seen(), reply("shop.seen")], [ORDER, noted, reply("shop.noted")]
    state_alone, gone = "SeparateDatabaseAndState", "DeleteModel"
    assert sql_free(before, after) == ["CreateModel", state_alone, gone]
    assert sql_free(before, [ORDER, reply("shop.order")]) == [state_alone, gone]
    assert sql_free([ORDER, reply("shop.order")], after) == ["CreateModel", state_alone]


def test_a_key_of_another_app_leaves_a_proxy_before_it_goes():
    """Three files: the new proxy, the other app's key, and then the old one goes."""

    def reply(to) -> ModelState:
        return model("Reply", app="crm", order=models.ForeignKey(to, models.CASCADE))

    noted = ModelState("shop", "Noted", [], {"proxy": True}, ("shop.order",))
    found = written([ORDER, seen(), reply("shop.seen")], [ORDER, noted, reply("shop.noted")])
    assert not found.refusals
    made, key, gone = sorted(found.files, key=lambda file: (file.name != "0002_noted", file.app))
    assert made.operations == ["CreateModel"]
    assert key.operations == ["SeparateDatabaseAndState"]
    assert set(key.dependencies) == {("crm", "0001_initial"), ("shop", made.name)}
    assert gone.operations == ["DeleteModel"]
    assert set(gone.dependencies) == {("crm", key.name), ("shop", made.name)}


def test_a_proxy_waits_for_the_drop_of_a_key_that_referred_to_it():
    """The key is in the state until then, and no model can be made of it without the proxy."""
    reply = model("Reply", app="crm", order=models.ForeignKey("shop.seen", models.CASCADE))
    found = written([ORDER, seen(), reply], [ORDER, model("Reply", app="crm")])
    assert not found.refusals
    [file] = [file for file in found.files if file.app == "shop"]
    assert file.operations == ["ContractDrop"]
    assert waits_for_rollout(file.migration)


@pytest.mark.parametrize("gone", [unmanaged(a=NUMBER), seen()])
def test_its_end_takes_no_drop_of_a_table_along_before_the_rollout(gone):
    """Both stand in one file, which has to wait for the release that uses the column."""
    made = written([model("Order", a=NUMBER, b=WORD), gone], [model("Order", a=NUMBER)])
    assert not made.refusals
    [file] = [file for file in made.files if "ContractDrop" in file.operations]
    assert waits_for_rollout(file.migration)


def test_a_swapped_out_model_has_no_table_to_protect(settings):
    """AUTH_USER_MODEL is the project's own; the package's goes on changing its model."""
    settings.SHOP_ORDER_MODEL = "shop.Mine"
    options = {"swappable": "SHOP_ORDER_MODEL"}
    before = model("Order", options=options, a=NUMBER, mail=models.CharField(max_length=9))
    after = model("Order", options=options, a=WORD, b=models.IntegerField(default=1))
    mine = model("Mine")
    names = sql_free([before, mine], [after, mine], questioner=Agrees(renames=False))
    assert sorted(names) == ["AddField", "AlterField", "RemoveField"]
    settings.SHOP_ORDER_MODEL = "shop.Order"
    assert "ExpandField" in written([before, mine], [after, mine]).files[0].operations


def test_a_field_for_a_parent_and_one_for_a_child_each_go_to_their_own_table():
    """Multi-table inheritance: two tables, two columns."""
    wider = model("Order", a=NUMBER, b=models.IntegerField(default=3))
    found = written([ORDER, kid()], [wider, kid(x=models.IntegerField(default=4))])
    assert not found.refusals
    targets = {o.model_name for file in found.files for o in file.migration.operations}
    assert targets == {"order", "kid"}


def test_a_child_that_goes_leaves_its_parent_alone():
    found = written([ORDER, kid(x=NUMBER)], [ORDER])
    touched = {
        (type(o).__name__, getattr(o, "model_name", None) or o.name)
        for file in found.files
        for o in file.migration.operations
    }
    assert touched == {("MakeModelIgnorable", "Kid"), ("ContractDrop", "Kid")}


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_a_field_that_moves_along_the_bases_is_refused(up):
    """For a release both would have it, and Django allows a field once."""
    narrow, wide = [ORDER, kid()], [model("Order", a=NUMBER, x=WORD), kid()]
    child = [ORDER, kid(x=models.CharField(max_length=3, null=True))]
    parent = [model("Order", a=NUMBER, x=models.CharField(max_length=3, null=True)), kid()]
    assert narrow != wide
    found = written(child, parent) if up else written(parent, child)
    (refusal,) = found.refusals
    assert "along the bases" in refusal.reason
    assert "another name" in refusal.do


def test_a_field_of_an_abstract_base_comes_to_all_models_in_one_file_a_phase():
    names = ("Address", "Bill", "Crate")
    after = [model(n, note=models.CharField(max_length=9, default="x")) for n in names]
    found = written([model(n) for n in names], after)
    assert found.operations == {
        "expand": ["ExpandField"] * 3,
        "contract": ["DropDatabaseDefault"] * 3,
    }


def test_a_table_with_a_composite_key_gets_and_loses_fields_as_any_other():
    def line(**fields) -> ModelState:
        key = {"pk": models.CompositePrimaryKey("shelf", "place"), "shelf": NUMBER, "place": NUMBER}
        return ModelState("shop", "Line", list({**key, **fields}.items()), {})

    after = line(b=models.IntegerField(default=3, db_index=True))
    found = written([line(a=NUMBER)], [after], not_renamed=["shop.line.a"])
    assert not found.refusals
    assert found.operations == {
        "expand": ["MakeFieldIgnorable", "ExpandField", "AddFieldIndexConcurrently"],
        "contract": ["ContractDrop", "DropDatabaseDefault"],
    }


def test_what_is_computed_from_a_column_is_dropped_before_it():
    """Django 5.2 drops them by name, and its DROP COLUMN had a CASCADE; ours has none."""
    twice = models.GeneratedField(expression=F("a") * 2, output_field=NUMBER, db_persist=True)
    found = written([model("Order", a=NUMBER, twice=twice)], [model("Order")])
    contract = next(file for file in found.files if file.phase == "contract")
    assert [o.name for o in contract.migration.operations] == ["twice", "a"]


def test_a_virtual_column_is_added_as_it_is():
    """PostgreSQL 18 adds it at once; on an older server Django's own check stops migrate."""
    twice = models.GeneratedField(expression=F("a") * 2, output_field=NUMBER, db_persist=False)
    assert sql_free([ORDER], [model("Order", a=NUMBER, twice=twice)]) == ["AddField"]


def test_an_order_comes_with_a_default_for_older_code_and_goes_in_steps():
    line = {"order": models.ForeignKey("shop.order", models.CASCADE)}
    plain = [ORDER, model("Line", **line)]
    ordered = [ORDER, model("Line", options={"order_with_respect_to": "order"}, **line)]
    assert written(plain, ordered).operations == {
        "expand": ["AddOrderColumn"],
        "contract": ["DropDatabaseDefault"],
    }
    assert written(ordered, plain).operations == {
        "expand": ["MakeFieldIgnorable"],
        "contract": ["DropOrderColumn"],
    }


def test_an_order_comes_together_with_the_field_it_counts_within():
    key = models.ForeignKey("shop.order", models.CASCADE, null=True)
    after = model("Line", options={"order_with_respect_to": "order"}, order=key)
    assert written([ORDER, model("Line")], [ORDER, after]).operations["expand"] == [
        "ExpandField",
        "AddFieldIndexConcurrently",
        "AddForeignKey",
        "AddOrderColumn",
    ]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (model("Order", options={"db_table_comment": "kept"}, a=NUMBER), "AlterModelTableComment"),
        (model("Order", a=models.IntegerField(db_tablespace="fast")), "AlterField"),
        (model("Order", options={"db_tablespace": "fast"}, a=NUMBER), None),
    ],
)
def test_comments_and_tablespaces_are_no_business_of_the_rows(after, expected):
    """A comment is instant; a tablespace Django names for what it makes, and moves nothing."""
    assert sql_free([ORDER], [after]) == ([expected] if expected else [])


def test_extensions_and_collations_of_contrib_are_known_for_what_they_do():
    """Nothing that is held back can be in the way of an extension."""
    from django.contrib.postgres import operations as contrib

    extension, collation = contrib.HStoreExtension(), contrib.CreateCollation("de", "de-x-icu")
    for operation in (extension, collation):
        assert phase_of(operation) is Phase.EXPAND
        assert footprint_of(operation, "shop") == Footprint()
    assert phase_of(contrib.RemoveCollation("de", "de-x-icu")) is Phase.CONTRACT
    validated = footprint_of(contrib.ValidateConstraint("Order", "positive"), "shop")
    assert validated.touches == {Touch("shop", "order", "positive")}
    assert phase_of(migrations.AlterModelTableComment("order", "kept")) is Phase.EXPAND


def test_a_model_that_goes_takes_its_indexes_and_constraints_along():
    """From 6.1 on Django removes its indexes first, which is a contract of its own."""
    options = {
        "indexes": [models.Index(fields=["day"], name="by_day")],
        "constraints": [models.UniqueConstraint(fields=["day"], name="once")],
    }
    bill = model("Bill", day=models.DateField(), options=options)
    order = model("Order", total=models.IntegerField())
    made = written([bill, order], [order])
    assert not made.refusals
    assert made.operations == {"expand": ["MakeModelIgnorable"], "contract": ["ContractDrop"]}
