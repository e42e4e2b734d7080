"""E205, W406, W407, W408: words that excuse findings, and how long they hold."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from io import StringIO
from types import ModuleType

import pytest
from django.core.management import CommandError, call_command
from django.db import migrations
from django.test import override_settings
from django.utils.timezone import localdate

from safemigrate import checks
from safemigrate.operations import Assured

INDEX = 'migrations.AddIndex("order", models.Index(fields=["total"], name="i"))'
MIXED = 'MakeFieldIgnorable("order", "flag"), ContractDrop("order", "flag"),'
PAST, FUTURE = "2020-01-31", "2999-01-31"


def say(*args: str) -> str:
    out = StringIO()
    call_command("safemigrate", *args, stdout=out)
    return out.getvalue()


class TestUnusedAssurance:
    def test_a_word_that_is_needed_is_left_alone(self, project):
        project.migration("0002_x", f'Assured({INDEX}, because="few rows"),')
        assert project.found() == []

    def test_a_word_for_what_is_safe_is_reported(self, project):
        fine = 'migrations.AddField("order", "x", models.IntegerField(null=True))'
        project.migration("0002_x", f'Assured({fine}, because="few rows"),')
        assert project.found() == [("0002_x", "W406")]

    def test_a_word_of_the_migration_silences_its_rule_alone(self, project):
        word = 'assured = {"E201": "both are empty"}'
        project.migration("0002_x", MIXED, more=word, atomic=False)
        assert project.found() == []
        project.migration("0002_x", f"{MIXED}{INDEX},", more=word, atomic=False)
        assert project.found() == [("0002_x", "E101")]
        project.migration("0002_x", f"{INDEX},", more='assured = {"E201": "x", "E101": "y"}')
        assert project.found() == [("0002_x", "W406")]

    def test_a_name_in_the_settings_that_nobody_has_is_reported(self, project):
        ours = f"{project.label}.0001_initial"
        named = {"contenttypes.0001_initial": "x", "contenttypes.0099_gone": "x", ours: "x"}
        with override_settings(SAFEMIGRATE={"ASSURED": named}):
            assert project.found() == [("", "W406"), ("", "W406")]


class TestExpiredAssurance:
    def test_until_its_day_a_word_holds_and_then_the_rules_speak_again(self, project):
        for until, expected in ((FUTURE, []), (PAST, ["W407", "E101"])):
            word = f'Assured({INDEX}, because="few rows", until="{until}"),'
            project.migration("0002_x", word)
            assert project.rules_of("0002_x") == expected

    def test_the_last_day_itself_still_counts(self, project):
        today = localdate()
        project.migration("0002_x", f'Assured({INDEX}, "few rows", until="{today}"),')
        assert project.found() == []

    def test_so_it_is_for_a_word_of_the_migration(self, project):
        word = f'assured = {{"E201": {{"because": "both are empty", "until": "{PAST}"}}}}'
        project.migration("0002_x", MIXED, more=word, atomic=False)
        assert sorted(project.rules_of("0002_x")) == ["E201", "W407"]

    def test_a_word_in_the_settings_is_told_by_check(self, project):
        word = {"because": "at night", "until": PAST}
        with override_settings(SAFEMIGRATE={"ASSURED": {"contenttypes.0001_initial": word}}):
            assert [m.id for m in checks.check_settings()] == ["safemigrate.W407"]

    def test_a_baseline_does_not_keep_it_for_ever(self, project, monkeypatch):
        """Nothing changed but the day, and nothing was loaded the day before."""
        until = localdate() + timedelta(days=3)
        project.migration("0002_x", f'Assured({INDEX}, "few rows", until="{until}"),')
        say("baseline")
        assert str(until) in project.baseline.read_text()
        assert project.checked() == []
        for module in ("safemigrate.checks", "safemigrate.judge"):
            monkeypatch.setattr(f"{module}.localdate", lambda: until + timedelta(days=1))
        assert [rule for rule, _ in project.checked()] == ["W407", "E101"]


class TestWrongAssurance:
    @pytest.mark.parametrize(
        "word",
        [
            '{"E201": ""}',
            '{"E201": None}',
            '{"E999": "no such rule"}',
            '{"E201": {"because": "x", "until": "soon"}}',
            '{"E201": {"until": "2999-01-01"}}',
            '["E201"]',
        ],
    )
    def test_what_cannot_be_read_excuses_nothing(self, project, word):
        project.migration("0002_x", MIXED, more=f"assured = {word}", atomic=False)
        assert sorted(project.rules_of("0002_x")) == ["E201", "E205"]

    @pytest.mark.parametrize("options", [{"because": " "}, {"because": "x", "until": "soon"}])
    def test_an_operation_without_a_reason_cannot_be_made(self, options):
        with pytest.raises(ValueError, match="Assured: "):
            Assured(migrations.RunSQL("SELECT 1"), **options)

    def test_a_day_may_be_a_date(self):
        made = Assured(migrations.RunSQL("SELECT 1"), "x", date(2027, 1, 31))
        assert made.assurance.until == date(2027, 1, 31)
        assert made.deconstruct()[1][2] == date(2027, 1, 31)


@pytest.fixture
def neighbours(monkeypatch):
    """As much of the other packages as a migration imports."""
    for name, text in (
        ("syzygy", "import enum\nStage = enum.Enum('Stage', 'PRE_DEPLOY POST_DEPLOY')"),
        ("django_safemigrate", "import enum\nSafe = enum.Enum('Safe', 'before_deploy always')"),
        (
            "django_migration_linter",
            "from django.db.migrations.operations.base import Operation\n"
            "class IgnoreMigration(Operation):\n"
            "    def database_forwards(self, *a): pass\n"
            "    def state_forwards(self, *a): pass\n",
        ),
    ):
        module = ModuleType(name)
        exec(text, vars(module))
        for made in vars(module).values():
            if isinstance(made, type) and made.__name__ in ("Stage", "Safe", "IgnoreMigration"):
                made.__module__ = name
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("neighbours")
class TestForeignMark:
    NEW = 'migrations.AddField("order", "x", models.IntegerField(null=True)),'
    GONE = 'ContractDrop("order", "total"),'

    def test_the_mark_of_the_linter_excuses_nothing_and_is_no_unknown_operation(self, project):
        mark = "__import__('django_migration_linter').IgnoreMigration(),"
        project.migration("0002_x", f"{mark}{INDEX},")
        assert project.found() == [("0002_x", "E101"), ("0002_x", "W408")]

    @pytest.mark.parametrize(
        ("mark", "operations", "expected"),
        [
            ("stage = __import__('syzygy').Stage.POST_DEPLOY", NEW, ["W408"]),
            ("stage = __import__('syzygy').Stage.PRE_DEPLOY", NEW, []),
            ("stage = __import__('syzygy').Stage.POST_DEPLOY", GONE, []),
            ("safe = __import__('django_safemigrate').Safe.before_deploy", GONE, ["W408"]),
            ("safe = __import__('django_safemigrate').Safe.always", GONE, []),
            ("safe = True", GONE, []),
        ],
    )
    def test_a_mark_is_reported_where_it_is_not_so(self, project, mark, operations, expected):
        project.migration("0002_x", operations, more=mark, atomic=False)
        assert project.rules_of("0002_x") == expected


class TestShrinking:
    """The baseline, once it is there."""

    def test_it_takes_up_nothing_new_and_tells_what(self, project):
        project.migration("0002_bad", f"{INDEX},")
        say("baseline")
        project.migration("0003_worse", f"{INDEX},".replace('"i"', '"j"'), after="0002_bad")
        with pytest.raises(CommandError, match="only shrinks"):
            say("baseline")
        assert "0003_worse" not in project.baseline.read_text()
        assert project.checked() == [("E101", f"{project.label}.0003_worse")]
        say("baseline", "--renew")
        assert project.checked() == []

    def test_what_is_new_and_harmless_is_taken_up_and_what_is_corrected_goes(self, project):
        bad = project.migration("0002_bad", f"{INDEX},")
        say("baseline")
        bad.unlink()
        project.migration("0002_fine", TestForeignMark.NEW)
        project.forget()
        say("baseline")
        text = project.baseline.read_text()
        assert "0002_bad" not in text
        assert "0002_fine" in text
        assert project.checked() == []

    def test_another_finding_in_an_exempt_migration_is_judged_each_time(self, project):
        project.migration("0002_bad", f"{INDEX},")
        say("baseline")
        project.migration("0002_bad", f'{INDEX},migrations.RunSQL("SELECT 1"),')
        assert "not taken up" in say("baseline")
        assert project.checked() == [("W403", f"{project.label}.0002_bad")]
