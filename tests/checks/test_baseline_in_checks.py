"""The baseline, and what it exempts."""

import json

import pytest
from django.core.management import CommandError
from django.test import override_settings

from safemigrate import baseline as baselines
from safemigrate import checks
from tests.checks.conftest import BAD_INDEX, GOOD, told_by

NEWER = 'migrations.RunSQL("SELECT any_value(id) FROM shop_order", migrations.RunSQL.noop),'


class TestBaseline:
    @pytest.fixture(autouse=True)
    def _bad(self, project):
        project.migration("0002_bad", BAD_INDEX)

    def test_what_was_there_is_exempt_and_nothing_is_loaded(self, project, loads):
        assert project.checked() == [("E101", f"{project.label}.0002_bad")]
        told_by("baseline")
        loads.clear()
        assert project.checked() == []
        assert loads == []

    def test_a_project_without_one_is_told_once_how_to_begin(self, project):
        """An old project's first check: errors of years, at the end of which one looks."""
        project.migration("0003_bad", BAD_INDEX.replace('"i"', '"j"'), after="0002_bad")
        told = [m for m in checks.check_migrations() if baselines.HOW_TO_BEGIN in m.hint]
        assert [m.obj for m in told] == [f"{project.label}.0003_bad"]
        assert checks.check_migrations() == checks.check_migrations(), "it is not remembered twice"
        told_by("baseline")
        project.migration("0004_bad", BAD_INDEX.replace('"i"', '"k"'), after="0003_bad")
        project.forget()
        (new,) = checks.check_migrations()
        assert baselines.HOW_TO_BEGIN not in new.hint

    def test_what_no_baseline_could_take_is_no_reason_to_speak_of_it(self, project):
        project.write("0003_broken", "x = 1")
        project.forget()
        assert not [m for m in checks.check_migrations() if baselines.HOW_TO_BEGIN in m.hint]

    def test_it_is_sorted_and_written_the_same_twice(self, project):
        told_by("baseline")
        first = project.baseline.read_text()
        told_by("baseline")
        assert project.baseline.read_text() == first
        assert json.loads(first)["migrations"][f"{project.label}.0002_bad"]["rules"] == ["E101"]
        assert "up to date" in told_by("baseline", "--check")

    def test_what_comes_later_is_refused(self, project):
        told_by("baseline")
        project.migration("0003_worse", BAD_INDEX.replace('"i"', '"j"'), after="0002_bad")
        assert project.checked() == [("E101", f"{project.label}.0003_worse")]
        with pytest.raises(CommandError, match="not up to date"):
            told_by("baseline", "--check")

    def test_another_rule_in_the_same_migration_is_refused(self, project):
        """Exempt is the pair of migration and rule, nothing wider."""
        told_by("baseline")
        project.migration("0002_bad", BAD_INDEX + 'migrations.RunSQL("SELEC 1", "SELECT 1"),')
        assert project.checked() == [("E119", f"{project.label}.0002_bad")]

    def test_a_rule_taken_out_by_hand_is_refused_again(self, project):
        told_by("baseline")
        project.baseline.write_text(project.baseline.read_text().replace('["E101"]', "[]"))
        assert project.checked() == [("E101", f"{project.label}.0002_bad")]

    def test_one_made_for_another_server_exempts_only_what_it_lists(self, project):
        """Made on SQLite it lists nothing, and must not pass for a verdict on PostgreSQL."""
        told_by("baseline", "--database", "lite")
        assert '"rules": []' in project.baseline.read_text()
        assert project.checked() == [("E101", f"{project.label}.0002_bad")]

    def test_one_made_without_a_version_does_not_speak_for_an_old_server(self, project):
        project.migration("0002_bad", NEWER)
        told_by("baseline")
        assert project.checked() == []
        with override_settings(SAFEMIGRATE={"SERVER_VERSION": 14}):
            assert project.checked() == [("E123", f"{project.label}.0002_bad")]
            told_by("baseline", "--renew")
            assert project.checked() == []
        assert json.loads(project.baseline.read_text())["judged_by"].endswith("postgresql 14")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            '{"version": 2, "migrations": {}}',
            '{"version": 1}',
            '{"version": 1, "migrations": {"shop.0002_bad": ["E101"]}}',
            '{"version": 1, "migrations": {"shop.0002_bad": {"rules": [1], "seen": ""}}}',
            "<<<<<<< HEAD\n{}",
        ],
    )
    def test_a_damaged_one_exempts_nothing(self, project, text):
        project.baseline.write_text(text)
        assert project.checked() == [
            ("E304", None),
            ("E101", f"{project.label}.0002_bad"),
        ]
        with pytest.raises(CommandError, match="cannot be read"):
            told_by("lint")

    def test_a_folder_in_its_place_exempts_nothing(self, project):
        project.baseline.mkdir()
        assert [id for id, _ in project.checked()] == ["E304", "E101"]

    def test_a_squash_is_exempt_from_what_it_replaces_is_exempt_from(self, project):
        told_by("baseline")
        replaces = f"replaces = {[(project.label, '0002_bad')]!r}"
        project.migration("0002_squashed", BAD_INDEX, more=replaces)
        assert project.checked() == []

    def test_a_folder_that_is_not_there_is_told(self, project):
        with (
            override_settings(SAFEMIGRATE={"BASELINE": "no/such/folder.json"}),
            pytest.raises(CommandError, match="cannot be written"),
        ):
            told_by("baseline")


class TestStaleBaseline:
    def test_a_migration_that_is_gone_is_a_warning(self, project):
        extra = project.migration("0002_gone", GOOD)
        told_by("baseline")
        extra.unlink()
        assert project.checked() == [("W402", None)]
        told_by("baseline")
        assert project.checked() == []
