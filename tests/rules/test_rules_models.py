"""E112, E114, E118, E120, E122: tables, and what nobody can read."""

from django.db import migrations, models
from django.db.migrations.operations.base import Operation

from safemigrate.operations import (
    AddIndexConcurrently,
    AddOrderColumn,
    ContractDrop,
    ContractRenameModel,
    ContractRenameTable,
    DropDatabaseDefault,
    DropOrderColumn,
    ExpandRenameModel,
    ExpandRenameTable,
    MakeFieldIgnorable,
    MakeModelIgnorable,
)
from tests.rules.asking import by_the_server, ids, on_a_new_table, one, referring, shop


class TestRenameModel:
    def test_a_renamed_model_goes_on_under_its_old_name_as_a_view(self):
        finding = one(migrations.RenameModel("Order", "Purchase"), "E112")
        kinds = [type(o) for o in finding.instead.operations()]
        assert kinds == [ExpandRenameModel, ContractRenameModel]

    def test_another_table_name_goes_on_under_the_old_one_as_a_view(self):
        finding = one(migrations.AlterModelTable("order", "orders"), "E112")
        kinds = [type(o) for o in finding.instead.operations()]
        assert kinds == [ExpandRenameTable, ContractRenameTable]

    def test_a_table_that_moves_to_another_schema_is_refused_with_the_table_to_keep(self):
        finding = one(migrations.AlterModelTable("order", 'archive"."orders'), "E112")
        assert "db_table = 'shop_order'" in finding.steps[0]

    def test_a_model_that_keeps_its_table_has_its_foreign_keys_made_anew(self):
        """Stock Django drops and adds them, and reads all rows under a lock."""
        before = shop()
        key = models.ForeignKey("shop.Kept", models.CASCADE)
        before.add_field("shop", "order", "kept", key, preserve_default=True)
        finding = one(migrations.RenameModel("Kept", "Renamed"), "E112", before=before)
        chain = finding.instead.operations()
        assert [type(o) for o in chain] == [ExpandRenameModel, ContractRenameModel]

    def test_a_rename_that_keeps_the_table_is_left_alone(self):
        assert ids(migrations.RenameModel("Kept", "Renamed")) == []
        assert ids(migrations.AlterModelTable("order", "shop_order")) == []


class TestDeleteModel:
    def test_a_deleted_model_is_refused_with_expand_and_drop(self):
        finding = one(migrations.DeleteModel("Order"), "E114")
        kinds = [type(o) for o in finding.instead.operations()]
        assert kinds == [MakeModelIgnorable, ContractDrop]

    def test_a_proxy_an_unmanaged_and_a_new_model_are_left_alone(self):
        assert ids(migrations.DeleteModel("Seen")) == []
        assert ids(migrations.DeleteModel("Elsewhere")) == []
        assert on_a_new_table(migrations.DeleteModel("Order")) == []

    @by_the_server
    def test_what_the_server_does_to_its_rows_is_done_by_code_first(self):
        """Old code counts on it, and new code must not feel it."""
        finding = one(migrations.DeleteModel("Order"), "E114", before=referring("DB_CASCADE"))
        assert not finding.instead
        assert finding.steps[0].startswith("On Order.customer, on_delete=models.CASCADE")


class TestOrderWithRespectTo:
    def test_an_order_that_comes_is_found_with_its_chain(self):
        finding = one(migrations.AlterOrderWithRespectTo("order", "customer"), "E118")
        assert [type(o) for o in finding.instead.operations()] == [
            AddOrderColumn,
            DropDatabaseDefault,
        ]

    def test_an_order_that_goes_is_found_with_its_chain(self):
        state = shop()
        state.models["shop", "order"].options["order_with_respect_to"] = "customer"
        gone = migrations.AlterOrderWithRespectTo("order", None)
        finding = one(gone, "E118", before=state)
        assert [type(o) for o in finding.instead.operations()] == [
            MakeFieldIgnorable,
            DropOrderColumn,
        ]

    def test_no_order_before_and_none_after_is_left_alone(self):
        assert ids(migrations.AlterOrderWithRespectTo("order", None)) == []


class TestLongName:
    def test_a_name_that_the_server_would_cut_is_refused(self):
        wide = "ä" * 32
        for operation in (
            migrations.AddField("order", wide, models.IntegerField(null=True)),
            migrations.AddConstraint("order", models.UniqueConstraint(fields=["total"], name=wide)),
            migrations.CreateModel("New", [], {"db_table": wide}),
            AddIndexConcurrently("order", models.Index(fields=["total"], name="x" * 64)),
        ):
            assert "E122" in ids(operation)

    def test_a_schema_and_a_table_count_each_for_itself(self):
        table = f'"{"s" * 63}"."{"t" * 63}"'
        assert ids(migrations.CreateModel("New", [], {"db_table": table})) == []


class TestUnknownOperation:
    def test_an_operation_of_ones_own_is_refused(self):
        class Own(Operation):
            def database_forwards(self, *args):
                """Anything."""

        assert one(Own(), "E120")

    def test_a_stock_operation_with_its_own_database_half_is_unknown(self):
        class Own(migrations.AddField):
            def database_forwards(self, *args):
                """Anything."""

        assert ids(Own("order", "fresh", models.IntegerField(null=True))) == ["E120"]

    def test_a_constraint_of_an_unknown_class_is_refused(self):
        class Own(models.BaseConstraint):
            pass

        assert ids(migrations.AddConstraint("order", Own(name="own"))) == ["E120"]

    def test_what_touches_no_table_in_use_is_left_alone(self):
        for harmless in (
            migrations.CreateModel("Fresh", [("id", models.AutoField(primary_key=True))]),
            migrations.AlterModelOptions("order", {"ordering": ["total"]}),
            migrations.AlterModelManagers("order", []),
            migrations.AlterModelTableComment("order", "said to the database"),
            migrations.RenameIndex("order", new_name="b", old_name="a"),
            migrations.RunPython(migrations.RunPython.noop),
        ):
            assert ids(harmless) == [], harmless
