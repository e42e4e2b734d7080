"""E107 to E111, E113, E115, E117, E121: columns."""

import uuid

import pytest
from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models import F
from django.db.models.functions import Random
from django.utils import timezone

from safemigrate.facts.phases import Phase
from safemigrate.operations import (
    AddRenamedField,
    BatchedBackfill,
    CompleteRenamedField,
    ContractDrop,
    ContractRenameField,
    ContractRenamePrimaryKey,
    CopyRenamedField,
    DropDatabaseDefault,
    DropRenamedField,
    ExpandAlterField,
    ExpandField,
    ExpandRenameField,
    ExpandRenamePrimaryKey,
    MakeFieldIgnorable,
    SetNotNull,
)
from safemigrate.operations.phases import flat, phase_of
from tests.rules.asking import (
    adding,
    altering,
    ask,
    by_the_server,
    ids,
    on_a_new_table,
    one,
    referring,
    shop,
)


def three():
    return 3


def phases(finding):
    """Every operation stands in its own phase."""
    for phase in Phase:
        assert {phase_of(o) for o in flat(finding.instead.of(phase))} <= {phase}
    return [type(o) for o in flat(finding.instead.operations())]


class TestRequiredField:
    def test_a_required_field_is_refused_with_expand_and_contract(self):
        finding = one(adding(models.BooleanField(default=False)), "E107")
        assert phases(finding) == [ExpandField, DropDatabaseDefault]

    def test_an_empty_text_that_django_fills_in_is_required_too(self):
        assert one(adding(models.CharField(max_length=5, blank=True)), "E107")

    def test_without_any_default_there_are_steps(self):
        assert one(adding(models.IntegerField()), "E107").steps

    @pytest.mark.parametrize(
        "field",
        [
            models.IntegerField(null=True),
            models.IntegerField(null=True, default=3),
            models.IntegerField(db_default=3),
            models.ManyToManyField("shop.Shop"),
        ],
    )
    def test_a_field_that_old_code_can_leave_out_is_left_alone(self, field):
        assert ids(adding(field)) == []

    def test_a_required_field_of_a_new_table_is_left_alone(self):
        assert on_a_new_table(adding(models.BooleanField(default=False))) == []


class TestFrozenDefault:
    @pytest.mark.parametrize("default", [uuid.uuid4, timezone.now, lambda: 1])
    def test_a_callable_default_is_refused(self, default):
        found = ask(adding(models.TextField(default=default, null=True)))
        assert [finding.rule for finding in found] == ["E108"]
        assert BatchedBackfill in phases(found[0])

    def test_a_time_of_creation_is_one_for_all_rows(self):
        assert ids(adding(models.DateTimeField(auto_now_add=True, null=True))) == ["E108"]

    def test_a_volatile_database_default_rewrites_the_table(self):
        finding = one(adding(models.UUIDField(db_default=RandomUUID())), "E108")
        assert "rewrites" in finding.what

    def test_required_and_frozen_are_two_hazards(self):
        assert ids(adding(models.UUIDField(default=uuid.uuid4))) == ["E107", "E108"]

    @pytest.mark.parametrize("default", [dict, list])
    def test_an_empty_container_is_the_same_for_all_rows_anyway(self, default):
        assert ids(adding(models.JSONField(default=default, null=True))) == []


class TestNotNull:
    def test_not_null_with_a_default_is_refused_with_fill_and_contract(self):
        finding = one(altering("total", models.IntegerField(default=0)), "E109")
        assert phases(finding) == [ExpandAlterField, BatchedBackfill, SetNotNull]
        assert finding.instead.backfill[0].keep_filled == "always"

    def test_a_default_for_this_once_fills_and_is_not_in_the_state(self):
        op = migrations.AlterField("order", "total", models.IntegerField(default=7), False)
        expand, fill, _ = one(op, "E109").instead.operations()
        assert not expand.field.has_default()
        assert fill.values == {"total": 7}

    def test_a_default_that_only_python_can_say_is_filled_by_python(self):
        finding = one(altering("total", models.IntegerField(default=three)), "E109")
        assert not finding.instead.backfill[0].keep_filled

    def test_not_null_without_a_default_waits_for_the_contract_to_look(self):
        finding = one(altering("total", models.IntegerField()), "E109")
        assert phases(finding) == [ExpandAlterField, SetNotNull]

    def test_one_value_for_all_rows_of_a_unique_field_has_steps(self):
        assert ids(altering("total", models.IntegerField(unique=True, default=0)))
        assert all(
            f.steps for f in ask(altering("total", models.IntegerField(unique=True, default=0)))
        )

    def test_null_allowed_is_left_alone(self):
        assert ids(altering("number", models.CharField(max_length=20, null=True))) == []


class TestColumnType:
    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("total", models.BigIntegerField(null=True)),
            ("total", models.DecimalField(max_digits=12, decimal_places=2, null=True)),
            ("price", models.DecimalField(max_digits=9, decimal_places=3)),
            ("number", models.CharField(max_length=20, db_collation="C")),
        ],
    )
    def test_a_type_that_both_releases_can_use_is_swapped_in_before_the_rollout(self, name, field):
        chain = one(altering(name, field), "E110").instead
        assert [type(o).__name__ for o in chain.expand] == ["AddShadowField"]
        assert [type(o).__name__ for o in chain.backfill] == ["CopyShadowField", "SwapShadowField"]
        assert [type(o).__name__ for o in chain.contract] == ["DropShadowField"]

    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("total", models.SmallIntegerField(null=True)),
            ("number", models.CharField(max_length=10)),
            ("note", models.CharField(max_length=10, null=True)),
            ("price", models.DecimalField(max_digits=8, decimal_places=3)),
            ("price", models.DecimalField(max_digits=7, decimal_places=2)),
            ("total", models.PositiveBigIntegerField(null=True)),
        ],
    )
    def test_a_narrower_type_is_swapped_in_when_older_code_is_gone(self, name, field):
        chain = ask(altering(name, field))[-1].instead
        assert [type(o).__name__ for o in chain.backfill] == ["CopyShadowField"]
        assert [type(o).__name__ for o in chain.contract] == ["SwapShadowField", "DropShadowField"]
        assert chain.contract[0].phase is Phase.CONTRACT

    def test_what_else_changes_comes_along_and_what_is_required_comes_last(self):
        found = ask(altering("total", models.BigIntegerField(default=0, db_index=True)))
        names = [type(o).__name__ for o in found[-1].instead.operations()]
        assert names == [
            "AddShadowField",
            "CopyShadowField",
            "SwapShadowField",
            "BatchedBackfill",
            "DropShadowField",
            "SetNotNull",
        ]

    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("number", models.IntegerField()),
            ("number", models.UUIDField()),
            ("price", models.FloatField()),
            ("price", models.IntegerField()),
            ("total", models.CharField(max_length=20, null=True)),
            ("note", models.JSONField(null=True)),
        ],
    )
    def test_a_type_that_one_release_could_not_use_is_refused(self, name, field):
        found = one(altering(name, field), "E110")
        assert not found.instead
        assert f"{name}_new" in found.steps[0]

    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("number", models.CharField(max_length=30)),
            ("number", models.CharField()),
            ("number", models.TextField()),
            ("number", models.SlugField(max_length=20, db_index=False)),
            ("price", models.DecimalField(max_digits=9, decimal_places=2)),
            ("total", models.IntegerField(null=True, choices=[(1, "one")], verbose_name="sum")),
            ("total", models.IntegerField(null=True, db_comment="said to the database")),
        ],
    )
    def test_a_change_of_the_catalogue_alone_is_left_alone(self, name, field):
        assert ids(altering(name, field)) == []

    def test_more_room_in_what_another_column_is_computed_from_says_which(self):
        """The server refuses it whatever the size of the table, so there is no chain."""
        doubled = models.GeneratedField(
            expression=F("price") * 2, output_field=models.FloatField(), db_persist=True
        )
        step = altering("price", models.DecimalField(max_digits=9, decimal_places=2))
        before = shop()
        migrations.AddField("order", "twice", doubled).state_forwards("shop", before)
        found = one(step, "E110", before=before)
        assert not found.instead
        assert "twice of shop_order is computed from it" in found.why
        assert "Remove twice" in found.steps[0]

    def test_the_like_index_of_an_indexed_text_is_not_free(self):
        wider = models.CharField(max_length=80, db_index=True)
        assert ids(altering("email", wider, "customer")) == []
        assert ids(altering("email", models.TextField(db_index=True), "customer")) == ["E110"]

    def test_a_primary_key_made_smaller_is_refused(self):
        assert ids(altering("id", models.AutoField(primary_key=True))) == ["E110"]

    def test_a_type_that_cannot_be_told_is_refused(self):
        class Odd(models.Field):
            def __init__(self, *args, size=1, **kwargs):
                self.size = size
                super().__init__(*args, **kwargs)

            def deconstruct(self):
                name, path, args, kwargs = super().deconstruct()
                return name, path, args, {**kwargs, "size": self.size}

            def db_type(self, connection):
                raise RuntimeError("wants a server")

        assert ids(altering("number", Odd(size=2))) == ["E110"]

    def test_without_a_connection_what_differs_is_refused(self):
        bigger = altering("number", models.CharField(max_length=30))
        assert ids(bigger, connection=None) == ["E110"]


class TestRenameField:
    @pytest.mark.parametrize(
        ("operation", "rule"),
        [
            (migrations.RenameField("order", "total", "amount"), "E111"),
            (altering("total", models.BigIntegerField(null=True)), "E110"),
        ],
    )
    def test_a_field_of_index_together_is_freed_of_it_first(self, operation, rule):
        before = shop()
        before.models["shop", "order"].options["index_together"] = {("total", "number")}
        [found] = [one for one in ask(operation, before=before) if one.rule == rule]
        assert found.instead is None
        assert found.steps[0].startswith("An index of Order.total is of index_together")

    def test_a_renamed_field_gets_a_second_column(self):
        finding = one(migrations.RenameField("order", "total", "amount"), "E111")
        kinds = [type(o) for o in finding.instead.operations()]
        assert kinds == [
            AddRenamedField,
            CopyRenamedField,
            CompleteRenamedField,
            DropRenamedField,
        ]

    def test_what_other_tables_refer_to_is_refused_with_the_deployments_in_order(self):
        """Their foreign keys would have to change their target in both releases at once."""
        before = shop()
        key = models.ForeignKey("shop.Order", models.CASCADE, to_field="number")
        before.add_field("shop", "customer", "last_order", key, preserve_default=True)
        finding = one(migrations.RenameField("order", "number", "code"), "E111", before=before)
        assert 'db_column="number"' in finding.steps[0]

    def test_a_nullable_field_with_a_value_of_the_database_for_each_row_is_refused(self):
        """NULL that new code says could not be told from a value that is still to be made."""
        before = shop()
        field = models.FloatField(null=True, db_default=Random())
        before.add_field("shop", "order", "chance", field, preserve_default=True)
        finding = one(migrations.RenameField("order", "chance", "luck"), "E111", before=before)
        assert not finding.instead

    def test_another_db_column_is_a_rename(self):
        assert one(altering("total", models.IntegerField(null=True, db_column="t")), "E111")

    def test_a_many_to_many_field_names_its_table(self):
        finding = one(migrations.RenameField("order", "tags", "labels"), "E111")
        kinds = [type(o) for o in finding.instead.operations()]
        assert kinds == [ExpandRenameField, ContractRenameField]

    def test_a_primary_key_has_both_names_in_a_view(self):
        finding = one(migrations.RenameField("order", "id", "number_of_order"), "E111")
        kinds = [type(o) for o in finding.instead.operations()]
        assert kinds == [ExpandRenamePrimaryKey, ContractRenamePrimaryKey]

    def test_a_rename_in_the_code_alone_is_left_alone(self):
        assert ids(migrations.RenameField("order", "named", "called")) == []
        kept = models.IntegerField(null=True, db_column="total")
        assert ids(altering("total", kept)) == []


class TestRemoveField:
    def test_a_removed_field_is_refused_with_expand_and_drop(self):
        finding = one(migrations.RemoveField("order", "number"), "E113")
        assert phases(finding) == [MakeFieldIgnorable, ContractDrop]

    def test_a_field_that_new_code_can_leave_out_needs_the_drop_alone(self):
        assert phases(one(migrations.RemoveField("order", "total"), "E113")) == [ContractDrop]

    def test_a_contract_drop_and_a_new_table_are_left_alone(self):
        assert ids(ContractDrop("order", "total")) == []
        assert on_a_new_table(migrations.RemoveField("order", "total")) == []

    @by_the_server
    def test_what_the_server_does_by_it_is_done_by_code_first(self):
        """Old code counts on it, and new code must not feel it."""
        gone = migrations.RemoveField("order", "customer")
        finding = one(gone, "E113", before=referring("DB_CASCADE"))
        assert not finding.instead
        assert "models.CASCADE in place of models.DB_CASCADE" in finding.steps[0]
        assert one(gone, "E113", before=referring("CASCADE")).instead


class TestGeneratedField:
    def field(self, persist=True):
        return models.GeneratedField(
            expression=F("total") * 2, output_field=models.IntegerField(), db_persist=persist
        )

    def test_a_stored_one_is_refused(self):
        assert one(adding(self.field()), "E115").steps

    def test_a_virtual_one_and_a_new_table_are_left_alone(self):
        assert ids(adding(self.field(persist=False))) == []
        assert on_a_new_table(adding(self.field())) == []

    @pytest.mark.parametrize("persist", [True, False])
    def test_another_expression_is_refused_as_django_would_fail_over_it(self, persist):
        new = models.GeneratedField(
            expression=F("total") * 3, output_field=models.IntegerField(), db_persist=persist
        )
        had = with_fields(twice=self.field(persist))
        assert "another name" in one(altering("twice", new), "E115", before=had).steps[0]

    def test_what_python_alone_sees_may_change(self):
        had = with_fields(twice=self.field())
        told = self.field().clone()
        told.help_text = "For two."
        assert ids(altering("twice", told), before=had) == []

    def test_a_field_renamed_in_the_code_alone_is_followed_in_the_state_alone(self):
        """The file that Django writes fails in migrate; what to write instead is shown."""
        new = models.GeneratedField(
            expression=F("amount") * 2, output_field=models.IntegerField(), db_persist=True
        )
        rename = migrations.RenameField("order", "total", "amount")
        had = with_fields(twice=self.field(), total=models.IntegerField(db_column="total"))
        rename.state_forwards("shop", had)
        operation = altering("twice", new)
        migration = migrations.Migration("0002_x", "shop")
        migration.operations = [rename, operation]
        (instead,) = one(operation, "E115", before=had, migration=migration).instead
        assert instead.state_operations == [operation]
        assert instead.database_operations == []

    def test_what_the_server_cannot_do_is_not_advised(self):
        had = with_fields(twice=self.field())
        new = models.GeneratedField(
            expression=F("total") * 3, output_field=models.IntegerField(), db_persist=True
        )
        for operation in (adding(self.field()), altering("twice", new)):
            for version, advised in (((17,), False), ((18,), True), (None, True)):
                finding = one(operation, "E115", before=had, version=version)
                assert ("db_persist=False" in "".join(finding.steps)) is advised


def with_fields(**fields):
    state = shop()
    state.models["shop", "order"].fields.update(fields)
    return state


class TestPrimaryKey:
    def test_a_key_that_loses_its_sequence_is_refused(self):
        assert one(altering("id", models.BigIntegerField(primary_key=True)), "E117").steps

    def test_a_composite_key_that_comes_changes_or_goes_is_refused(self):
        of = models.CompositePrimaryKey
        finding = one(adding(of("total", "number"), "pk"), "E117")
        assert "UniqueConstraint(fields=['total', 'number'])" in finding.steps[0]
        had = with_fields(pk=of("total", "number"))
        assert one(altering("pk", of("total", "status")), "E117", before=had)
        assert ids(altering("pk", of("total", "number")), before=had) == []
        assert one(migrations.RemoveField("order", "pk"), "E117", before=had)

    def test_another_base_class_is_refused(self):
        link = models.OneToOneField(
            "shop.Customer", models.CASCADE, parent_link=True, primary_key=True
        )
        assert "OneToOneField" in one(adding(link, "customer_ptr"), "E117").steps[0]

    def test_a_new_primary_key_is_refused(self):
        new = models.UUIDField(primary_key=True, default=uuid.uuid4)
        assert "E117" in ids(adding(new))
        assert "E117" in ids(altering("number", models.CharField(max_length=20, primary_key=True)))

    def test_the_same_primary_key_is_left_alone(self):
        same = models.BigAutoField(primary_key=True, verbose_name="number")
        assert ids(altering("id", same)) == []


class TestDropDefault:
    def test_a_database_default_that_goes_is_refused_with_the_contract(self):
        finding = one(altering("status", models.IntegerField()), "E121")
        assert phases(finding) == [ExpandAlterField, DropDatabaseDefault]

    def test_another_database_default_is_left_alone(self):
        assert ids(altering("status", models.IntegerField(db_default=2))) == []
        assert ids(altering("total", models.IntegerField(null=True, db_default=2))) == []
