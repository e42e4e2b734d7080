"""E151: tables and keys that one transaction locks one after the other."""

from __future__ import annotations

import pytest
from django.db import migrations, models
from django.db.models import F

from tests.rules.asking import FakeMigration, ids, within
from tests.rules.asking import one_of_sql as one
from tests.rules.asking import run_sql as run

UNIQUE = models.UniqueConstraint(fields=["number"], name="u", nulls_distinct=False)
VIRTUAL = models.GeneratedField(
    expression=F("total") * 2, output_field=models.IntegerField(), db_persist=False
)


class TestSqlTwoTables:
    ORDER = run("ALTER TABLE shop_order ADD x int")
    SHOP = run("ALTER TABLE shop_shop ADD x int")
    FIELD = migrations.AddField("shop", "x", models.IntegerField(null=True))

    def test_both_tables_are_named(self):
        keys = (
            "ALTER TABLE shop_order ADD CONSTRAINT a FOREIGN KEY (a) REFERENCES shop_shop NOT VALID"
        )
        finding = one([f"{keys}; {keys.replace('shop_shop', 'shop_customer')}"], "E151")
        assert finding.what == "RunSQL waits for shop_customer while shop_order is locked."
        assert "deadlock" in finding.why

    def test_two_operations_of_one_transaction_are_one(self):
        assert within(self.ORDER, self.SHOP) == ["E151"]
        assert within(self.ORDER, self.SHOP, atomic=False) == []
        assert within(self.ORDER, run("ALTER TABLE shop_order ADD y int")) == []

    def test_what_an_earlier_sql_made_is_new(self):
        made = run("CREATE TABLE newt (id bigint PRIMARY KEY)")
        key = "ALTER TABLE shop_order ADD CONSTRAINT k FOREIGN KEY (x) REFERENCES newt NOT VALID"
        assert within(made, self.ORDER, run(key)) == []
        assert within(self.ORDER, run(key)) == ["E151"]
        key = run("ALTER TABLE newt ADD FOREIGN KEY (id) REFERENCES shop_shop")
        assert within(made, self.ORDER, key) == ["E151"]
        assert within(made, key, self.ORDER) == ["E151"]

    def test_an_operation_of_djangos_counts_wherever_it_stands(self):
        """Its lock is taken at the start of the transaction, before any SQL is sent."""
        for operations in ((self.FIELD, self.ORDER), (self.ORDER, self.FIELD)):
            finding = one(self.ORDER, "E151", migration=FakeMigration(*operations))
            assert finding.what == "RunSQL waits for shop_order while shop_shop is locked."
            assert finding.why.startswith("AddField on shop took a lock")
        assert within(self.FIELD, self.SHOP) == []

    def test_a_model_made_after_the_sql_is_left_alone(self):
        """It is in no state yet, and nobody else can see its table."""
        tag = migrations.CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))])
        field = migrations.AddField("tag", "x", models.IntegerField(null=True))
        assert ids(self.ORDER, migration=FakeMigration(self.ORDER, tag, field)) == []

    @pytest.mark.parametrize(
        ("changes", "reaches"),
        [
            ({"choices": [("a", "b")]}, False),
            ({"help_text": "why"}, False),
            ({"default": "x"}, False),
            ({"max_length": 20}, True),
            ({"db_column": "title"}, True),
            ({"null": True}, True),
            ({"db_index": True}, True),
        ],
        ids=str,
    )
    def test_an_alter_field_that_only_python_sees_is_left_alone(self, changes, reaches):
        asked = {"max_length": 10, **changes}
        alter = migrations.AlterField("shop", "name", models.CharField(**asked))
        made = FakeMigration(
            migrations.CreateModel("Shop", [("name", models.CharField(max_length=10))])
        )
        made.app_label = "shop"
        validate = run("ALTER TABLE shop_order VALIDATE CONSTRAINT k")
        for operations, sql, rule in (
            ((self.ORDER, alter), self.ORDER, "E151"),
            ((alter, self.ORDER), self.ORDER, "E151"),
            ((alter, validate), validate, "E149"),
        ):
            own = FakeMigration(*operations)
            own.app_label = "shop"
            history = {"migration": own, "ancestors": lambda own=own: [made, own]}
            assert (rule in ids(sql, **history)) is reaches
            # Nobody can tell what it was before.
            assert rule in ids(sql, migration=own, ancestors=lambda own=own: [own])

    def test_a_later_sql_speaks_for_itself(self):
        assert ids(self.ORDER, migration=FakeMigration(self.ORDER, self.SHOP)) == []

    def test_each_string_of_a_list_is_its_own_transaction_without_atomic(self):
        both = run([self.ORDER.sql, self.SHOP.sql])
        assert within(both) == ["E151"]
        assert within(both, atomic=False) == []

    def test_a_table_of_the_same_migration_is_left_alone(self):
        new = frozenset({("shop", "shop")})
        assert ids(run(f"{self.ORDER.sql}; {self.SHOP.sql}"), new_models=new) == []
