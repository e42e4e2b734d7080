"""E201 to E206, W409: what a whole migration, and what stands before and after it, says."""

import pytest

EXPAND_FLAG = 'MakeFieldIgnorable("order", "flag"),'
DROP_FLAG = 'ContractDrop("order", "flag"),'
FILL = 'BatchedBackfill("order", values={"total": 0}, where=Q(total__isnull=True)%s),'
NOT_NULL = 'SetNotNull("order", "total"),'


class TestMixedPhases:
    def test_expand_and_contract_in_one_file_are_refused(self, project):
        project.migration("0002_mixed", EXPAND_FLAG + DROP_FLAG, atomic=False)
        assert project.found() == [("0002_mixed", "E201")]

    def test_stock_operations_and_wrappers_have_phases_too(self, project):
        project.migration(
            "0002_mixed",
            'Assured(migrations.RemoveField("order", "flag"), because="unused"),'
            "migrations.SeparateDatabaseAndState(database_operations=["
            'migrations.AddField("order", "x", models.IntegerField(null=True))]),',
        )
        assert project.found() == [("0002_mixed", "E201")]

    def test_one_phase_with_state_alone_beside_it_is_left_alone(self, project):
        project.migration(
            "0002_pure",
            DROP_FLAG_OPTIONAL + 'migrations.AlterModelOptions("order", {}),',
            atomic=False,
        )
        assert project.found() == []


DROP_FLAG_OPTIONAL = 'ContractDrop("order", "total"),'


class TestContractWithoutExpand:
    def test_a_required_column_dropped_without_an_expand_is_refused(self, project):
        project.migration("0002_drop", DROP_FLAG, atomic=False)
        assert project.found() == [("0002_drop", "E202")]

    def test_after_its_expand_it_is_left_alone(self, project):
        project.migration("0002_expand", EXPAND_FLAG, atomic=False)
        project.migration("0003_drop", DROP_FLAG, after="0002_expand", atomic=False)
        assert project.found() == []

    def test_an_expand_that_it_does_not_depend_on_does_not_count(self, project):
        """Two branches merged: the drop may run first."""
        project.migration("0002_expand", EXPAND_FLAG, atomic=False)
        project.migration("0002_drop", DROP_FLAG, atomic=False)
        assert ("0002_drop", "E202") in project.found()

    def test_an_optional_column_needs_no_expand(self, project):
        project.migration("0002_drop", DROP_FLAG_OPTIONAL, atomic=False)
        assert project.found() == []

    def test_a_model_with_foreign_keys_needs_its_expand(self, project):
        project.migration("0002_drop", 'ContractDrop("order"),', atomic=False)
        assert project.rules_of("0002_drop") == ["E202"]
        project.migration("0002_expand", 'MakeModelIgnorable("order"),', atomic=False)
        project.migration("0002_drop", 'ContractDrop("order"),', "0002_expand", atomic=False)
        assert project.rules_of("0002_drop") == []

    def test_not_null_without_anything_that_fills_is_refused(self, project):
        project.migration("0002_not_null", NOT_NULL, atomic=False)
        assert project.found() == [("0002_not_null", "E202")]

    @pytest.mark.parametrize(
        "fill",
        [
            FILL % "",
            'BatchedBackfill("order", function="x.y"),',
            "ExpandField('order', 'late', models.IntegerField(), database_default=F('id')),",
        ],
    )
    def test_not_null_after_a_fill_is_left_alone(self, project, fill):
        name = "late" if "late" in fill else "total"
        project.migration("0002_fill", fill, atomic=False)
        project.migration(
            "0003_not_null", f'SetNotNull("order", "{name}"),', "0002_fill", atomic=False
        )
        assert project.rules_of("0003_not_null") == []

    def test_a_default_dropped_that_nobody_set_is_refused(self, project):
        drop = 'DropDatabaseDefault("order", "late", 3),'
        project.migration(
            "0002_late", 'ExpandField("order", "late", models.IntegerField(), database_default=3),'
        )
        project.migration("0003_drop", drop, after="0002_late")
        assert project.found() == []
        project.migration("0002_drop", 'DropDatabaseDefault("order", "total", 3),')
        assert ("0002_drop", "E202") not in project.found()  # the table's creation counts

    def test_somebody_may_vouch_for_it(self, project):
        project.migration(
            "0002_drop",
            'Assured(ContractDrop("order", "flag"), because="filled by a trigger"),',
            atomic=False,
        )
        assert project.found() == []


class TestNeedsAutocommit:
    INDEX = 'AddIndexConcurrently("order", models.Index(fields=["total"], name="i")),'

    @pytest.mark.parametrize(
        "operations",
        [
            INDEX,
            FILL % "",
            f"Assured({INDEX[:-1]}, because='quick'),",
            f"migrations.SeparateDatabaseAndState(database_operations=[{INDEX}]),",
            "__import__('django.contrib.postgres.operations', fromlist=['x'])."
            'AddIndexConcurrently("order", models.Index(fields=["total"], name="i")),',
        ],
    )
    def test_inside_a_transaction_it_is_refused(self, project, operations):
        project.migration("0002_inside", operations)
        assert "E203" in project.rules_of("0002_inside")
        project.migration("0002_inside", operations, atomic=False)
        assert [rule for _, rule in project.found() if rule != "W406"] == []

    def test_an_instant_operation_may_stay_inside(self, project):
        project.migration("0002_stop", 'StopFilling("order", "total"),')
        assert project.found() == []


class TestFillingNeverEnds:
    def test_a_trigger_that_nobody_ends_is_refused(self, project):
        project.migration("0002_fill", FILL % ", keep_filled=True", atomic=False)
        assert project.found() == [("0002_fill", "E204")]

    @pytest.mark.parametrize("end", [NOT_NULL, 'StopFilling("order", "total"),'])
    def test_one_that_is_ended_later_is_left_alone(self, project, end):
        project.migration("0002_fill", FILL % ", keep_filled=True", atomic=False)
        project.migration("0003_end", end, after="0002_fill", atomic=False)
        assert project.found() == []

    @pytest.mark.parametrize("value", ['function="x.y"', 'values={"total": dict}'])
    def test_a_trigger_cannot_call_python(self, project, value):
        project.migration(
            "0002_fill", f'BatchedBackfill("order", {value}, keep_filled=True),', atomic=False
        )
        project.migration("0003_end", NOT_NULL, after="0002_fill", atomic=False)
        assert project.rules_of("0002_fill") == ["E204"]


class TestNeverValidated:
    PG = "__import__('django.contrib.postgres.operations', fromlist=['x'])."
    CHECK = 'models.CheckConstraint(condition=Q(total__gte=0), name="total_pos")'
    ADD = f'{PG}AddConstraintNotValid("order", {CHECK}),'

    def test_one_that_stays_not_valid_is_reported(self, project):
        project.migration("0002_add", self.ADD)
        assert project.found() == [("0002_add", "W409")]

    @pytest.mark.parametrize(
        "end",
        [
            f'{PG}ValidateConstraint("order", "total_pos"),',
            'migrations.RemoveConstraint("order", "total_pos"),',
            'migrations.RunSQL("ALTER TABLE x VALIDATE CONSTRAINT total_pos", ""),',
            'migrations.RunSQL("alter table x drop constraint if exists total_pos", ""),',
            'ContractDrop("order"),',
        ],
    )
    def test_one_that_is_validated_or_goes_later_is_left_alone(self, project, end):
        project.migration("0002_add", self.ADD)
        project.migration("0003_end", end, after="0002_add", atomic=False)
        assert project.rules_of("0002_add") == []

    def test_another_one_validated_does_not_count(self, project):
        project.migration("0002_add", self.ADD)
        project.migration(
            "0003_end",
            f'{self.PG}ValidateConstraint("order", "other"),',
            after="0002_add",
        )
        assert project.rules_of("0002_add") == ["W409"]

    @pytest.mark.parametrize(
        ("end", "left"),
        [
            ('migrations.DeleteModel("Kept"),', []),
            ('ContractDrop("Kept"),', []),
            ('migrations.RenameModel("Kept", "Held"),', []),
            ('migrations.RunSQL("ALTER TABLE kept_table DROP COLUMN total", ""),', []),
            ('migrations.RunSQL("ALTER TABLE other DROP COLUMN kept_table", ""),', ["W409"]),
            ('migrations.DeleteModel("Customer"),', ["W409"]),
        ],
    )
    def test_a_constraint_goes_with_its_table_or_column(self, project, end, left):
        """Also if the model has a table of another name."""
        fields = '[("id", models.BigAutoField(primary_key=True)), ("total", models.IntegerField())]'
        made = f'migrations.CreateModel("Kept", {fields}, options={{"db_table": "kept_table"}}),'
        added = "ALTER TABLE kept_table ADD CONSTRAINT k CHECK (total > 0) NOT VALID"
        project.migration("0002_kept", made)
        project.migration("0003_add", f'migrations.RunSQL("{added}", ""),', after="0002_kept")
        project.migration("0004_end", end, after="0003_add", atomic=False)
        assert [rule for rule in project.rules_of("0003_add") if rule == "W409"] == left

    @pytest.mark.parametrize("add", ["field", "sql"])
    @pytest.mark.parametrize(
        ("end", "left"),
        [
            ('migrations.RemoveField("order", "total"),', []),
            ('ContractDrop("order", "total"),', []),
            ('migrations.RemoveField("order", "note"),', ["W409"]),
        ],
    )
    def test_a_constraint_goes_with_the_field_that_it_is_about(self, project, add, end, left):
        sql = 'migrations.RunSQL("ALTER TABLE %s ADD CHECK (total > 0) NOT VALID", ""),'
        made = self.ADD if add == "field" else sql % f"{project.label}_order"
        fields = '"order", "note", models.TextField(null=True)'
        project.migration("0002_add", f"migrations.AddField({fields}),{made}")
        project.migration("0003_end", end, after="0002_add", atomic=False)
        assert [rule for rule in project.rules_of("0002_add") if rule == "W409"] == left

    @pytest.mark.parametrize(
        ("end", "left"),
        [
            ("SELECT 1", ["W409"]),
            ("ALTER DOMAIN d VALIDATE CONSTRAINT other", ["W409"]),
            ("ALTER TABLE d VALIDATE CONSTRAINT k", ["W409"]),
            ("alter domain public.d validate constraint k", []),
            ("ALTER DOMAIN d DROP CONSTRAINT IF EXISTS k", []),
            ("DROP DOMAIN d", []),
        ],
    )
    def test_a_constraint_of_a_domain_is_followed_too(self, project, end, left):
        added = "ALTER DOMAIN d ADD CONSTRAINT k CHECK (value > 0) NOT VALID"
        project.migration("0002_add", f'migrations.RunSQL("{added}", ""),')
        project.migration("0003_end", f'migrations.RunSQL("{end}", ""),', after="0002_add")
        assert project.rules_of("0002_add") == left

    NOT_VALID = "ALTER TABLE shop_order ADD CONSTRAINT k CHECK (total > 0) NOT VALID"
    KEY = "alter table only shop_order add constraint k foreign key (c) references c not\\nvalid"

    @pytest.mark.parametrize(
        "sql",
        [
            NOT_VALID,
            KEY,
            f"SELECT 1; {NOT_VALID}",
            f"DO $$ BEGIN {NOT_VALID}; END $$",
            "ALTER TABLE shop_order ADD CONSTRAINT k NOT NULL total NOT VALID",
            "ALTER TABLE shop_order ADD CHECK (total > 0) NOT VALID",
            f"ALTER TABLE shop_order VALIDATE CONSTRAINT k; {NOT_VALID}",
        ],
    )
    def test_one_added_by_sql_is_reported_too(self, project, sql):
        project.migration("0002_add", f'migrations.RunSQL("{sql}", ""),')
        assert "W409" in project.rules_of("0002_add")

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 'NOT VALID'",
            "ALTER TABLE shop_order ADD CONSTRAINT k CHECK (total > 0) -- NOT VALID",
            f"CREATE TABLE shop_order (total int); {NOT_VALID}",
        ],
    )
    def test_what_is_valid_at_once_is_left_alone(self, project, sql):
        project.migration("0002_add", f'migrations.RunSQL("{sql}", ""),')
        assert "W409" not in project.rules_of("0002_add")

    @pytest.mark.parametrize(
        "end",
        [
            'migrations.RunSQL("alter table shop_order\\n validate constraint k", ""),',
            "migrations.RunSQL([('ALTER TABLE public.shop_order VALIDATE CONSTRAINT k', None)]),",
            'migrations.RunSQL("ALTER TABLE shop_order DROP CONSTRAINT k", ""),',
            'migrations.RunSQL("DROP TABLE shop_order", ""),',
            f'{PG}ValidateConstraint("order", "k"),',
            "migrations.RunSQL(\"DO $$ BEGIN EXECUTE 'ALTER TABLE shop_order VALIDATE "
            "CONSTRAINT k'; END $$\", ''),",
        ],
    )
    def test_one_added_by_sql_is_validated_by_table_and_name(self, project, end):
        project.migration("0002_add", f'migrations.RunSQL("{self.NOT_VALID}", ""),')
        project.migration("0003_end", end, after="0002_add", atomic=False)
        assert project.rules_of("0002_add") == []

    @pytest.mark.parametrize(
        "end",
        [
            "ALTER TABLE shop_order VALIDATE CONSTRAINT kk",
            "ALTER TABLE shop_shop VALIDATE CONSTRAINT k",
            "COMMENT ON CONSTRAINT k ON shop_order IS 'later'",
        ],
    )
    def test_another_one_validated_by_sql_does_not_count(self, project, end):
        project.migration("0002_add", f'migrations.RunSQL("{self.NOT_VALID}", ""),')
        project.migration("0003_end", f'migrations.RunSQL("{end}", ""),', after="0002_add")
        assert project.rules_of("0002_add") == ["W409"]


class TestSyncNeverEnds:
    """Each chain as makemigrations writes it, with its last migration and without."""

    BIG = "models.BigIntegerField(null=True)"
    SMALL = "models.IntegerField(null=True)"
    CHAINS = {
        "renamed field": (
            'AddRenamedField("order", "total", "amount"),',
            'DropRenamedField("order", "total", "amount"),',
        ),
        "another column": (
            'AddRenamedField("order", "total", "total", '
            'models.IntegerField(null=True, db_column="t")),',
            f'DropRenamedField("order", "total", "total", {SMALL}),',
        ),
        "another type": (
            f'AddShadowField("order", "total", {BIG}),',
            f'DropShadowField("order", "total", {SMALL}),',
        ),
        "renamed model": (
            'ExpandRenameModel("Order", "Sale"),',
            'ContractRenameModel("Order", "Sale"),',
        ),
        "renamed table": (
            'ExpandRenameTable("order", "sales"),',
            'ContractRenameTable("order", None),',
        ),
        "renamed primary key": (
            'ExpandRenamePrimaryKey("order", "id", "key"),',
            'ContractRenamePrimaryKey("order", "id", "key"),',
        ),
    }

    @pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
    def test_a_chain_that_ends_is_left_alone_and_one_that_does_not_is_refused(self, project, chain):
        start, end = chain
        project.migration("0002_start", start, atomic=False)
        project.migration("0003_end", end, after="0002_start", atomic=False)
        assert project.found() == []
        (project.migrations / "0003_end.py").unlink()
        assert project.rules_of("0002_start")[0] == "E206"

    def test_somebody_may_vouch_for_it(self, project):
        start = 'Assured(AddRenamedField("order", "total", "amount"), because="kept for reports"),'
        project.migration("0002_start", start, atomic=False)
        assert project.found() == []

    def test_the_end_of_another_chain_does_not_count(self, project):
        project.migration(
            "0002_start", 'AddRenamedField("order", "total", "amount"),', atomic=False
        )
        project.migration(
            "0003_end", 'DropRenamedField("order", "flag", "amount"),', "0002_start", atomic=False
        )
        assert project.rules_of("0002_start") == ["E206"]

    def test_it_ends_with_its_model_or_under_the_models_new_name(self, project):
        project.migration(
            "0002_start", 'AddRenamedField("order", "total", "amount"),', atomic=False
        )
        project.migration("0003_drop", 'ContractDrop("order"),', "0002_start", atomic=False)
        assert project.rules_of("0002_start") == []
        (project.migrations / "0003_drop.py").unlink()
        project.migration(
            "0003_end",
            'migrations.RenameModel("Order", "Sale"),DropRenamedField("sale", "total", "amount"),',
            "0002_start",
            atomic=False,
        )
        assert project.rules_of("0002_start") == []

    def test_a_model_whose_table_keeps_its_name_leaves_a_name(self, project):
        """Of its content type, and what is granted by that."""
        project.migration(
            "0001_initial",
            'migrations.CreateModel("Order", [("id", models.BigAutoField(primary_key=True))], '
            'options={"db_table": "orders"}),',
            after=None,
        )
        project.migration("0002_start", 'ExpandRenameModel("Order", "Sale"),', atomic=False)
        assert project.rules_of("0002_start") == ["E206"]
