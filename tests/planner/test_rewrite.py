"""What makemigrations writes for each model change, without a database."""

from __future__ import annotations

import uuid

import pytest
from django.db import migrations, models
from django.db.migrations.migration import Migration
from django.db.models.functions import Now
from django.utils import timezone

from safemigrate.planner import autodetector
from safemigrate.planner.mended import mended
from tests.planner.states import Agrees, adding, model, order, state, written


def pick_a_number() -> int:
    return 4


EXPAND = ["ExpandField"]
FILL = ["BatchedBackfill"]


@pytest.mark.parametrize(
    ("field", "chain"),
    [
        (models.IntegerField(null=True), {"expand": ["AddField"]}),
        (models.IntegerField(db_default=3), {"expand": ["AddField"]}),
        (models.IntegerField(null=True, default=3), {"expand": ["AddField"]}),
        (
            models.IntegerField(default=3),
            {"expand": EXPAND, "contract": ["DropDatabaseDefault"]},
        ),
        (
            models.CharField(max_length=9, blank=True),
            {"expand": EXPAND, "contract": ["DropDatabaseDefault"]},
        ),
        (
            models.JSONField(default=dict),
            {"expand": EXPAND, "contract": ["DropDatabaseDefault"]},
        ),
        (
            models.UUIDField(default=uuid.uuid4),
            {"expand": EXPAND, "backfill": FILL, "contract": ["SetNotNull", "DropDatabaseDefault"]},
        ),
        (
            models.DateTimeField(default=timezone.now),
            {"expand": EXPAND, "backfill": FILL, "contract": ["SetNotNull", "DropDatabaseDefault"]},
        ),
        (
            models.DateTimeField(auto_now=True),
            {"expand": EXPAND, "backfill": FILL, "contract": ["SetNotNull", "DropDatabaseDefault"]},
        ),
        (
            models.DateTimeField(auto_now_add=True, null=True),
            {"expand": EXPAND, "backfill": FILL, "contract": ["DropDatabaseDefault"]},
        ),
        (
            models.IntegerField(default=pick_a_number),
            {"expand": EXPAND, "backfill": FILL, "contract": ["SetNotNull"]},
        ),
        (
            models.IntegerField(null=True, default=pick_a_number),
            {"expand": EXPAND, "backfill": FILL},
        ),
        (models.DateTimeField(db_default=Now()), {"expand": ["AddField"]}),
        (
            models.IntegerField(null=True, db_index=True),
            {"expand": [*EXPAND, "AddFieldIndexConcurrently"]},
        ),
        (
            models.IntegerField(default=3, db_index=True),
            {
                "expand": [*EXPAND, "AddFieldIndexConcurrently"],
                "contract": ["DropDatabaseDefault"],
            },
        ),
    ],
    ids=lambda value: None if isinstance(value, models.Field) else "-".join(value),
)
def test_each_kind_of_default_has_its_own_chain(field, chain):
    made = adding(field)
    assert made.operations == chain
    assert not made.refusals


def test_a_new_foreign_key_gets_its_column_index_and_constraint_one_by_one():
    made = written(
        [model("Order"), model("Customer")],
        [
            model("Order", customer=models.ForeignKey("shop.Customer", models.CASCADE, null=True)),
            model("Customer"),
        ],
    )
    assert made.operations == {
        "expand": ["ExpandField", "AddFieldIndexConcurrently", "AddForeignKey"]
    }
    assert made.files[0].atomic is False


def test_a_many_to_many_field_is_a_new_table_and_stays_as_it_is():
    made = written(
        [model("Order"), model("Tag")],
        [model("Order", tags=models.ManyToManyField("shop.Tag")), model("Tag")],
    )
    assert made.operations == {"expand": ["AddField"]}
    assert made.files[0].atomic


def test_a_removed_many_to_many_field_is_dropped_in_a_later_release():
    made = written(
        [model("Order", tags=models.ManyToManyField("shop.Tag")), model("Tag")],
        [model("Order"), model("Tag")],
    )
    assert made.operations == {"expand": ["MakeFieldIgnorable"], "contract": ["ContractDrop"]}


@pytest.mark.parametrize(
    ("field", "expand"),
    [
        (models.IntegerField(), ["MakeFieldIgnorable"]),
        (models.IntegerField(default=3), ["MakeFieldIgnorable"]),
        (models.IntegerField(null=True), None),
        (models.IntegerField(db_default=3), None),
    ],
)
def test_a_removed_field_is_made_ignorable_where_it_has_to_be(field, expand):
    made = written(order(legacy=field), order())
    assert made.operations.get("expand") == expand
    assert made.operations["contract"] == ["ContractDrop"]


def test_a_removed_model_loses_its_foreign_keys_first():
    made = written([model("Order"), model("Audit")], [model("Order")])
    assert made.operations == {"expand": ["MakeModelIgnorable"], "contract": ["ContractDrop"]}


def test_an_index_is_built_and_dropped_concurrently():
    index = models.Index(fields=["total"], name="by_total")
    with_it = [model("Order", options={"indexes": [index]}, total=models.IntegerField())]
    without = order(total=models.IntegerField())
    assert written(without, with_it).operations == {"expand": ["AddIndexConcurrently"]}
    # The running release's queries may need it until it is gone.
    assert written(with_it, without).operations == {"contract": ["RemoveIndexConcurrently"]}


def test_db_index_of_an_existing_field_is_built_concurrently():
    made = written(
        order(email=models.CharField(max_length=9)),
        order(email=models.CharField(max_length=9, db_index=True)),
    )
    assert made.operations == {"expand": ["AddFieldIndexConcurrently"]}


def test_the_files_read_as_a_story():
    made = written(
        order(legacy=models.IntegerField()),
        order(token=models.UUIDField(default=uuid.uuid4)),
    )
    assert made.story == [
        "shop.0002_order_token_expand",
        "shop.0003_order_token_backfill",
        "shop.0004_remove_order_legacy_order_token_contract",
    ]
    assert [f.dependencies for f in made.files] == [
        [("shop", "0001_initial")],
        [("shop", "0002_order_token_expand")],
        [("shop", "0003_order_token_backfill")],
    ]


def test_a_name_that_was_asked_for_is_in_every_file_with_its_phase():
    made = written(order(), order(token=models.UUIDField(default=uuid.uuid4)), name="tokens")
    assert made.story == [
        "shop.0002_tokens_expand",
        "shop.0003_tokens_backfill",
        "shop.0004_tokens_contract",
    ]


def test_a_name_that_was_asked_for_stands_alone_where_nothing_is_split():
    made = written(order(), order(extra=models.IntegerField(null=True)), name="extra")
    assert made.story == ["shop.0002_extra"]


def test_one_file_that_is_not_split_is_named_as_django_names_it():
    assert adding(models.IntegerField(null=True)).story == ["shop.0002_order_extra"]


def test_a_very_long_name_is_cut_before_the_phase():
    fields = {f"a_very_long_name_of_a_field_{n}": models.IntegerField(default=1) for n in range(9)}
    made = written(order(), order(**fields))
    assert [name.rpartition("_")[2] for name in made.story] == ["expand", "contract"]


def test_nothing_is_rewritten_for_a_new_model():
    """Nobody reads a table that is not there yet."""
    made = written(
        [model("Customer")],
        [
            model("Customer"),
            model(
                "Order",
                options={"indexes": [models.Index(fields=["total"], name="by_total")]},
                total=models.IntegerField(default=3, unique=True),
                token=models.UUIDField(default=uuid.uuid4),
                customer=models.ForeignKey("shop.Customer", models.CASCADE),
            ),
        ],
    )
    assert [set(file.operations) for file in made.files] == [{"CreateModel"}]
    assert not made.refusals


def test_two_new_apps_that_refer_to_each_other_come_in_one_run():
    """Django breaks the circle with a second migration of one of them."""
    made = written(
        [],
        [
            model("Order", customer=models.ForeignKey("crm.Customer", models.CASCADE)),
            model(
                "Customer",
                app="crm",
                last_order=models.ForeignKey("shop.Order", models.CASCADE, null=True),
            ),
        ],
    )
    assert len(made.files) == 3
    assert {o for file in made.files for o in file.operations} == {"CreateModel", "AddField"}


def test_two_apps_whose_existing_models_begin_to_refer_to_each_other():
    before = [model("Order"), model("Customer", app="crm")]
    made = written(
        before,
        [
            model("Order", customer=models.ForeignKey("crm.Customer", models.CASCADE, null=True)),
            model(
                "Customer",
                app="crm",
                last_order=models.ForeignKey("shop.Order", models.CASCADE, null=True),
                rank=models.IntegerField(default=1),
            ),
        ],
    )
    assert not made.refusals


def test_two_apps_remove_models_that_refer_to_each_other():
    """Each waits for the other's foreign key to go; the phases must not tie a knot."""
    before = [
        model("Order", customer=models.ForeignKey("crm.Customer", models.CASCADE)),
        model(
            "Customer",
            app="crm",
            last_order=models.ForeignKey("shop.Order", models.CASCADE, null=True),
        ),
        model("Kept"),
        model("Kept", app="crm"),
    ]
    made = written(before, before[2:])
    assert not made.refusals
    phases = [(file.app, file.phase) for file in made.files]
    assert phases.count(("shop", "expand")) >= 1
    assert phases.count(("crm", "contract")) >= 1


def test_a_rename_that_somebody_agreed_to_is_a_second_column():
    """A plain RENAME COLUMN breaks the release that is running."""
    made = written(
        order(total=models.IntegerField()),
        order(amount=models.IntegerField()),
        questioner=Agrees(renames=True),
    )
    assert made.operations == {
        "expand": ["AddRenamedField"],
        "backfill": ["CopyRenamedField", "CompleteRenamedField"],
        "contract": ["DropRenamedField"],
    }


def test_another_db_column_is_a_second_column():
    made = written(
        order(total=models.IntegerField()),
        order(total=models.IntegerField(db_column="amount")),
    )
    assert made.operations["backfill"] == ["CopyRenamedField", "CompleteRenamedField"]


def test_a_project_on_sqlite_alone_is_left_alone(monkeypatch):
    monkeypatch.setattr(autodetector, "protected_connection", lambda: None)
    made = adding(models.UUIDField(default=uuid.uuid4))
    assert made.story == ["shop.0002_order_extra"]
    assert made.operations == {"expand": ["AddField"]}


def test_an_unmanaged_table_is_not_rewritten():
    """The table is somebody else's; Django sends it nothing."""
    made = written(
        [model("Order", options={"managed": False})],
        [model("Order", options={"managed": False}, extra=models.IntegerField(default=1))],
    )
    assert not made.refusals


def test_an_index_is_built_after_the_fills_of_the_same_run():
    """Built before them it would get an entry for every row twice, and slow every batch."""
    made = written(
        order(),
        order(extra=models.UUIDField(default=uuid.uuid4), kind=models.SlugField(default="a")),
    )
    assert [file.operations for file in made.files][:3] == [
        ["ExpandField", "ExpandField"],
        ["BatchedBackfill"],
        ["AddFieldIndexConcurrently"],
    ]


def test_an_index_on_a_field_that_is_new_in_the_same_run_waits_for_no_contract():
    """The field is made NOT NULL a release later; its index is there before that."""
    index = models.Index(fields=["extra"], name="by_extra")
    made = written(
        order(),
        [model("Order", options={"indexes": [index]}, extra=models.UUIDField(default=uuid.uuid4))],
    )
    assert not made.refusals
    assert [file.operations for file in made.files] == [
        ["ExpandField"],
        ["BatchedBackfill"],
        ["AddIndexConcurrently"],
        ["SetNotNull", "DropDatabaseDefault"],
    ]


def test_each_operation_is_asked_about_in_the_state_that_it_starts_from():
    """A model made and another pointed at it, a field added and a model that goes: in one run."""
    made = written(
        [
            model("Order", legacy=models.IntegerField()),
            model("Audit", order=models.ForeignKey("shop.Order", models.CASCADE)),
        ],
        [
            model(
                "Order",
                customer=models.ForeignKey("crm.Customer", models.CASCADE, null=True),
                kind=models.SlugField(default="a"),
            ),
            model("Customer", app="crm", order=models.ForeignKey("shop.Order", models.CASCADE)),
        ],
    )
    assert not made.refusals
    assert [(file.app, file.phase) for file in made.files].count(("shop", "contract")) == 1


def keyed(**fields) -> list:
    return [model("Customer", email=models.CharField(max_length=9)), *order(**fields)]


KEY = models.ForeignKey("shop.Customer", models.CASCADE)


def test_a_number_that_becomes_a_key_on_its_column_keeps_every_value():
    """Django sees a field go and another come: nobody may be asked for a default, nor lose data."""
    result = written(keyed(customer_id=models.BigIntegerField()), keyed(customer=KEY))
    assert not result.refusals
    assert [file.operations for file in result.files] == [
        ["SeparateDatabaseAndState", "ExpandAlterField"],
        ["ContractForeignKey"],
    ]


def test_a_field_with_another_name_for_the_same_column_is_no_removal():
    """Also where nobody can be asked: the column says it."""
    title = models.CharField(max_length=9)
    result = written(
        order(title=title), order(headline=models.CharField(max_length=9, db_column="title"))
    )
    assert not result.refusals
    assert [file.operations for file in result.files] == [["AlterField", "RenameField"]]


def test_a_model_for_the_table_of_a_many_to_many_field_finds_the_rows_there():
    ends = {
        "order": models.ForeignKey("shop.Order", models.CASCADE),
        "customer": models.ForeignKey("shop.Customer", models.CASCADE),
    }
    options = {"db_table": "shop_order_customers", "unique_together": {("order", "customer")}}
    through = model("Visit", options=options, since=models.DateTimeField(null=True), **ends)
    before = keyed(customers=models.ManyToManyField("shop.Customer"))
    after = keyed(customers=models.ManyToManyField("shop.Customer", through="shop.Visit"))
    result = written(before, [*after, through])
    assert not result.refusals
    assert [file.operations for file in result.files] == [
        ["SeparateDatabaseAndState", "AddField"],
    ]


def test_what_the_database_does_not_notice_needs_no_file_of_its_own():
    """A choice and an index for one field: one file, although a stock AlterField is in it."""
    index = models.Index(fields=["total"], name="by_total")
    made = written(
        order(total=models.IntegerField()),
        [
            model(
                "Order",
                options={"indexes": [index]},
                total=models.IntegerField(choices=[(1, "one")]),
            )
        ],
    )
    assert [file.operations for file in made.files] == [["AlterField", "AddIndexConcurrently"]]


def test_a_field_that_gets_another_type_and_an_index_gets_both_before_the_contract():
    index = models.Index(fields=["total"], name="by_total")
    made = written(
        order(total=models.IntegerField()),
        [model("Order", options={"indexes": [index]}, total=models.BigIntegerField())],
    )
    assert not made.refusals
    assert [file.operations for file in made.files] == [
        ["AddShadowField"],
        ["CopyShadowField", "SwapShadowField"],
        ["AddIndexConcurrently"],
        ["DropShadowField"],
    ]


def test_the_contract_of_a_new_name_says_which_fields_came_with_it():
    """The view that its way back makes must not have them: they go on the way back."""
    number = models.IntegerField()
    together = model("Order", options={"db_table": "sale"}, a=number, b=models.TextField(null=True))
    (end,) = written(order(a=number), [together]).files[-1].migration.operations
    assert end.deconstruct()[2]["new_fields"] == ["b"]


def test_so_does_that_of_a_model_which_is_mended():
    """Its new name and new fields in one stock migration, written by hand."""
    operations = [
        migrations.RenameModel("Order", "Sale"),
        migrations.AddField("Sale", "b", models.TextField(null=True)),
        migrations.AddField("Sale", "tags", models.ManyToManyField("shop.Sale")),
    ]
    stock = type("Migration", (Migration,), {"operations": operations})("0002_x", "shop")
    connection = autodetector.protected_connection()
    assert connection is not None
    made = mended(stock, state(*order(a=models.IntegerField())), connection)
    (end,) = made.parts[-1].operations
    assert (type(end).__name__, list(end.new_fields)) == ("ContractRenameModel", ["b"])


def test_a_many_to_many_field_from_a_model_that_goes_to_one_that_comes_is_one_change():
    """
    Both are of another app, which waits for the field, as the field waits for it.

    From 6.1 on Django removes it in one migration and adds it in a later one.
    """
    before, after = (
        [
            model(name, **{f"of_{name}": models.IntegerField()}),
            model("Note", app="crm", about=models.ManyToManyField(f"shop.{name}")),
        ]
        for name in ("Order", "Parcel")
    )
    found = written(before, after, not_renamed=["shop.order"])
    assert not found.refusals
    names = [name for file in found.files if file.app == "crm" for name in file.operations]
    assert names == ["ExpandAlterManyToMany", "ContractAlterManyToMany"]
