"""E201 to E204, W409: what a whole migration, and what stands before and after it, says."""

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
