"""E101, E102, E103, E116: indexes and uniqueness."""

from django.contrib.postgres import operations as contrib
from django.db import migrations, models
from django.db.models import Q

from safemigrate.operations import (
    AddFieldIndexConcurrently,
    AddIndexConcurrently,
    AddUniqueConstraintConcurrently,
    AlterUniqueTogetherConcurrently,
    ExpandAlterField,
    RemoveIndexConcurrently,
)
from tests.rules.asking import adding, altering, ids, on_a_new_table, one, shop

INDEX = models.Index(fields=["total"], name="order_total_idx")


class TestPlainIndex:
    def test_an_index_on_a_full_table_is_refused_with_the_concurrent_one(self):
        finding = one(migrations.AddIndex("order", INDEX), "E101")
        (instead,) = finding.instead.operations()
        assert isinstance(instead, AddIndexConcurrently)
        assert "SHARE lock on shop_order" in finding.why

    def test_an_index_on_a_new_table_is_left_alone(self):
        assert on_a_new_table(migrations.AddIndex("order", INDEX)) == []

    def test_a_concurrent_index_is_left_alone(self):
        assert ids(AddIndexConcurrently("order", INDEX)) == []
        assert ids(contrib.AddIndexConcurrently("order", INDEX)) == []

    def test_a_subclass_of_a_plain_index_is_still_a_plain_index(self):
        class Ours(migrations.AddIndex):
            pass

        assert ids(Ours("order", INDEX)) == ["E101"]

    def test_an_index_together_that_grows_is_refused(self):
        grown = migrations.AlterIndexTogether("order", {("total", "number")})
        assert one(grown, "E101").steps
        assert ids(migrations.AlterIndexTogether("order", set())) == []

    def test_on_sqlite_nobody_waits(self):
        assert ids(migrations.AddIndex("order", INDEX), vendor="sqlite") == []

    def test_an_unmanaged_table_or_a_proxy_is_not_ours(self):
        assert ids(migrations.AddIndex("elsewhere", INDEX)) == []
        assert ids(migrations.AddIndex("seen", INDEX)) == []


class TestPlainIndexRemoval:
    def test_a_plain_drop_is_refused_with_the_concurrent_one(self):
        state = shop()
        migrations.AddIndex("order", INDEX).state_forwards("shop", state)
        finding = one(migrations.RemoveIndex("order", INDEX.name), "E102", before=state)
        assert isinstance(finding.instead.operations()[0], RemoveIndexConcurrently)

    def test_a_concurrent_drop_is_left_alone(self):
        assert ids(RemoveIndexConcurrently("order", INDEX.name)) == []
        assert ids(contrib.RemoveIndexConcurrently("order", INDEX.name)) == []


class TestUnique:
    def test_a_unique_constraint_is_refused(self):
        for constraint in (
            models.UniqueConstraint(fields=["number"], name="u"),
            models.UniqueConstraint(fields=["number"], condition=Q(total=1), name="u"),
        ):
            finding = one(migrations.AddConstraint("order", constraint), "E103")
            [instead] = finding.instead.operations()
            assert isinstance(instead, AddUniqueConstraintConcurrently)

    def test_a_unique_constraint_that_writes_its_own_sql_is_made_by_hand(self):
        class Ours(models.UniqueConstraint):
            def create_sql(self, model, schema_editor):
                return "CREATE UNIQUE INDEX ..."

        own = Ours(fields=["number"], name="u")
        finding = one(migrations.AddConstraint("order", own), "E103")
        assert finding.instead is None
        assert "USING INDEX" in finding.steps[1]

    def test_a_new_unique_field_is_refused_with_the_chain(self):
        finding = one(adding(models.IntegerField(unique=True, null=True)), "E103")
        kinds = [type(o) for o in finding.instead.operations()]
        assert AddFieldIndexConcurrently in kinds

    def test_a_field_made_unique_is_refused_with_the_concurrent_build(self):
        finding = one(altering("number", models.CharField(max_length=20, unique=True)), "E103")
        assert isinstance(finding.instead.operations()[0], AddFieldIndexConcurrently)

    def test_uniqueness_with_another_change_is_one_operation(self):
        finding = one(altering("number", models.CharField(max_length=25, unique=True)), "E103")
        assert [type(o) for o in finding.instead.operations()] == [ExpandAlterField]

    def test_a_unique_together_that_grows_is_refused_and_one_that_shrinks_is_not(self):
        grown = {("number", "customer"), ("total", "number")}
        finding = one(migrations.AlterUniqueTogether("order", grown), "E103")
        [instead] = finding.instead.operations()
        assert isinstance(instead, AlterUniqueTogetherConcurrently)
        assert ids(migrations.AlterUniqueTogether("order", set())) == []
        assert ids(migrations.AlterUniqueTogether("order", {("number", "customer")})) == []

    def test_uniqueness_dropped_or_on_a_new_table_is_left_alone(self):
        constraint = models.UniqueConstraint(fields=["number"], name="u")
        assert on_a_new_table(migrations.AddConstraint("order", constraint)) == []
        assert ids(migrations.RemoveConstraint("order", "u")) == []


class TestFieldIndex:
    def test_a_new_indexed_field_is_refused_with_the_chain(self):
        finding = one(adding(models.IntegerField(null=True, db_index=True)), "E116")
        assert isinstance(finding.instead.operations()[-1], AddFieldIndexConcurrently)

    def test_a_slug_is_indexed_without_saying_so(self):
        assert ids(adding(models.SlugField(null=True))) == ["E116"]

    def test_an_index_that_comes_with_an_alter_is_refused(self):
        assert one(altering("total", models.IntegerField(null=True, db_index=True)), "E116")

    def test_required_and_indexed_are_two_hazards(self):
        assert ids(adding(models.IntegerField(default=1, db_index=True))) == ["E107", "E116"]

    def test_an_index_that_is_there_or_goes_is_left_alone(self):
        same = models.CharField(max_length=50, db_index=True, help_text="new words")
        assert ids(altering("email", same, "customer")) == []
        assert ids(altering("email", models.CharField(max_length=50), "customer")) == []

    def test_the_index_of_a_foreign_key_is_part_of_the_foreign_key(self):
        key = models.ForeignKey("shop.Shop", models.CASCADE, null=True)
        assert ids(adding(key)) == ["E106"]
        bare = models.ForeignKey("shop.Shop", models.CASCADE, null=True, db_constraint=False)
        assert ids(adding(bare)) == ["E116"]
