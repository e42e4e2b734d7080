"""E104, E105, E106: what the rows must obey."""

import pytest
from django.contrib.postgres import operations as contrib
from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import migrations, models
from django.db.migrations.migration import Migration
from django.db.migrations.state import ModelState
from django.db.models import F, Q

from safemigrate.operations import (
    AddCheckConstraint,
    AddForeignKey,
    ContractAlterManyToMany,
    ContractForeignKey,
    ExpandAlterField,
    ExpandAlterManyToMany,
)
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
    to,
)

CHECK = models.CheckConstraint(condition=Q(total__gte=0), name="total_positive")


class TestCheckConstraint:
    def test_a_check_is_refused_with_the_contract(self):
        finding = one(migrations.AddConstraint("order", CHECK), "E104")
        [instead] = finding.instead.contract
        assert isinstance(instead, AddCheckConstraint)

    @pytest.mark.parametrize(
        ("output", "rules"),
        [(models.PositiveIntegerField(), ["E104"]), (models.IntegerField(), [])],
    )
    def test_a_virtual_column_with_a_check_is_computed_for_every_row(self, output, rules):
        """It is stored nowhere, and its CHECK looks at it all the same."""
        field = models.GeneratedField(expression=F("total"), output_field=output, db_persist=False)
        assert ids(migrations.AddField("order", "twice", field)) == rules

    def test_a_check_that_writes_its_own_sql_is_done_by_hand(self):
        class Ours(models.CheckConstraint):
            def create_sql(self, model, schema_editor):
                return "ALTER TABLE ..."

        own = Ours(condition=Q(total__gte=0), name="total_positive")
        finding = one(migrations.AddConstraint("order", own), "E104")
        assert finding.instead is None
        assert "AddConstraintNotValid" in finding.steps[1]

    def test_contribs_two_steps_in_one_transaction_are_refused(self):
        both = [
            contrib.AddConstraintNotValid("order", CHECK),
            contrib.ValidateConstraint("order", CHECK.name),
        ]
        migration = type("Migration", (Migration,), {"operations": both})("0002_x", "shop")
        finding = one(both[0], "E104", migration=migration)
        assert "holds it to the end" in finding.why
        migration.atomic = False
        assert ids(both[0], migration=migration) == []

    def test_a_type_that_brings_a_check_is_refused(self):
        assert one(altering("total", models.PositiveIntegerField(null=True)), "E104")

    def test_not_valid_validate_and_a_new_table_are_left_alone(self):
        assert ids(contrib.AddConstraintNotValid("order", CHECK)) == []
        assert ids(contrib.ValidateConstraint("order", CHECK.name)) == []
        assert on_a_new_table(migrations.AddConstraint("order", CHECK)) == []
        assert ids(migrations.RemoveConstraint("order", CHECK.name)) == []


class TestExclusionConstraint:
    EXCLUSION = ExclusionConstraint(name="no_overlap", expressions=[("total", "=")])

    def test_an_exclusion_on_a_full_table_is_refused_with_steps(self):
        finding = one(migrations.AddConstraint("order", self.EXCLUSION), "E105")
        assert finding.instead is None
        assert finding.steps

    def test_an_exclusion_on_a_new_table_is_left_alone(self):
        assert on_a_new_table(migrations.AddConstraint("order", self.EXCLUSION)) == []


class TestForeignKey:
    def test_a_new_foreign_key_is_refused_with_the_chain(self):
        key = models.ForeignKey("shop.Shop", models.CASCADE, null=True)
        finding = one(adding(key), "E106")
        assert isinstance(finding.instead.operations()[-1], AddForeignKey)
        assert "shop.shop" in finding.why

    def test_a_one_to_one_is_a_foreign_key_and_unique(self):
        key = models.OneToOneField("shop.Shop", models.CASCADE, null=True)
        assert ids(adding(key)) == ["E103", "E106"]

    def test_a_foreign_key_that_points_elsewhere_is_refused(self):
        assert one(altering("customer", models.ForeignKey("shop.Shop", models.CASCADE)), "E106")

    @pytest.mark.parametrize(("old", "new"), [("CASCADE", "DB_CASCADE"), ("DB_CASCADE", "PROTECT")])
    @by_the_server
    def test_deleting_left_to_the_server_or_taken_from_it_has_a_chain(self, old, new):
        """What ends must not end before the release that counts on it is gone."""
        finding = one(altering("customer", to("Customer", new)), "E106", before=referring(old))
        kinds = [type(o) for o in finding.instead.operations()]
        contract = [ContractForeignKey] if old == "DB_CASCADE" else []
        assert kinds == [ExpandAlterField, *contract]

    @pytest.mark.parametrize(
        ("make", "steps"),
        [
            (lambda: to("Customer", "DB_SET_NULL", null=True), 3),
            (lambda: to("Shop", "DB_CASCADE"), 4),
            (lambda: to("Shop", "CASCADE"), 3),
            (lambda: to("Customer", "CASCADE", db_constraint=False), 3),
            (lambda: models.BigIntegerField(db_column="customer_id"), 3),
        ],
    )
    @by_the_server
    def test_what_the_server_would_do_for_one_release_alone_is_refused_with_steps(
        self, make, steps
    ):
        """It does not know whose DELETE it is."""
        finding = one(altering("customer", make()), "E106", before=referring("DB_CASCADE"))
        assert finding.instead is None
        assert len(finding.steps) == steps

    @by_the_server
    def test_another_column_of_a_key_waits_for_what_the_server_does(self):
        renamed = altering("customer", to("Customer", "DB_CASCADE", db_column="buyer"))
        finding = next(f for f in ask(renamed) if f.rule == "E106")
        assert finding.steps[0].startswith("Change on_delete alone")

    def test_a_foreign_key_that_django_makes_anew_for_nothing_is_refused(self):
        key = models.ForeignKey("shop.Customer", models.CASCADE, default=1)
        (instead,) = one(altering("customer", key), "E106").instead.operations()
        assert isinstance(instead, migrations.SeparateDatabaseAndState)

    @pytest.mark.parametrize(
        "field",
        [
            models.ManyToManyField("shop.Shop", related_name="+"),
            models.ManyToManyField("self", related_name="+"),
            models.ManyToManyField("shop.Customer", related_name="+", db_constraint=False),
        ],
    )
    def test_a_many_to_many_field_keeps_its_rows_when_it_refers_to_another_model(self, field):
        finding = one(altering("tags", field), "E106")
        kinds = [type(o) for o in finding.instead.operations()]
        assert kinds == [ExpandAlterManyToMany, ContractAlterManyToMany]

    def test_a_many_to_many_field_with_another_kind_of_table_has_steps(self):
        """The rows have numbers, which are no codes; a model of one's own has another shape."""
        through = models.ManyToManyField("shop.Customer", related_name="+", through="shop.Shop")
        assert one(altering("tags", through), "E106").steps
        before = shop()
        code = [("code", models.CharField(max_length=9, primary_key=True))]
        before.add_model(ModelState("shop", "Coded", code))
        coded = models.ManyToManyField("shop.Coded", related_name="+")
        assert one(altering("tags", coded), "E106", before=before).steps

    def test_a_many_to_many_field_with_other_words_is_left_alone(self):
        same = models.ManyToManyField("shop.Customer", related_name="marked", blank=True)
        assert ids(altering("tags", same)) == []

    def test_a_proxy_that_went_before_the_key_to_it_is_to_go_after_it(self):
        """Plain Django removes it first, which an empty database does not bear."""
        before = shop()
        key = models.ForeignKey("shop.Gone", models.CASCADE)
        before.models["shop", "order"].fields["customer"] = key
        changed = altering("customer", models.ForeignKey("shop.Customer", models.CASCADE))
        finding = next(f for f in ask(changed, before=before) if f.rule == "E106")
        assert finding.steps[0].startswith("Move the DeleteModel of shop.gone behind this")

    def test_an_integer_that_becomes_a_foreign_key_of_the_same_type_is_one_hazard(self):
        # The column's name changes with it, so it must be kept for this to be one.
        key = models.ForeignKey("shop.Shop", models.CASCADE, null=True, db_column="shop_id")
        assert one(altering("shop_id", key), "E106")

    def test_a_foreign_key_that_changes_in_the_code_alone_is_left_alone(self):
        for same in (
            models.ForeignKey("shop.Customer", models.PROTECT),
            models.ForeignKey("shop.Customer", models.CASCADE, related_name="orders"),
        ):
            assert ids(altering("customer", same)) == []

    def test_a_constraint_dropped_or_a_many_to_many_is_left_alone(self):
        loose = models.ForeignKey("shop.Customer", models.CASCADE, db_constraint=False)
        assert ids(altering("customer", loose)) == []
        assert ids(adding(models.ManyToManyField("shop.Shop"))) == []
