"""E301, E302, E303, E304, W401, W402, the baseline, and everything that fails closed."""

import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core import checks as django_checks
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connections
from django.test import override_settings
from django.utils import timezone

from safemigrate import baseline as baselines
from safemigrate import checks, judge, speak
from tests.checks.conftest import BAD_INDEX, GOOD, told_by

ROOT = Path(__file__).resolve().parent.parent.parent
NEWER = 'migrations.RunSQL("SELECT any_value(id) FROM shop_order", migrations.RunSQL.noop),'


class TestShadowedCommands:
    @pytest.fixture
    def shadow(self, project, monkeypatch):
        """An app before ours with a ``migrate`` of its own."""

        def install(text):
            commands = project.folder / project.label / "management/commands"
            commands.mkdir(parents=True)
            (commands.parent / "__init__.py").touch()
            (commands / "__init__.py").touch()
            (commands / "migrate.py").write_text(text)
            return override_settings(INSTALLED_APPS=[project.label, "safemigrate"])

        return install

    def test_ours_alone_is_left_alone(self, project):
        assert checks.check_commands() == []

    def test_a_command_that_hides_ours_is_refused(self, project, shadow):
        from django.core.management import get_commands

        stock = (
            "from django.core.management.commands.migrate import Command as C\n"
            "class Command(C): pass"
        )
        with shadow(stock):
            get_commands.cache_clear()
            (message,) = checks.check_commands()
        get_commands.cache_clear()
        assert message.id == "safemigrate.E301"
        assert f'Move "safemigrate" before "{project.label}"' in message.hint
        assert "class Command(MigrateMixin, Their)" in message.hint

    def test_a_command_composed_with_ours_is_left_alone(self, project, shadow):
        from django.core.management import get_commands

        ours = (
            "from safemigrate.management.mixins import MigrateMixin\n"
            "from django.core.management.commands.migrate import Command as C\n"
            "class Command(MigrateMixin, C): pass"
        )
        with shadow(ours):
            get_commands.cache_clear()
            assert checks.check_commands() == []
        get_commands.cache_clear()


class TestSettings:
    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ({"RELEASES": "r1"}, 'Did you mean "RELEASE"?'),
            ({"HELD_TOO_LONG": 3}, "datetime.timedelta"),
            ("nope", "django-safemigrate"),
            (None, "Make it a dict"),
        ],
    )
    def test_what_nobody_understands_is_refused_by_name(self, project, value, told):
        with override_settings(SAFEMIGRATE=value):
            (message,) = checks.check_settings()
            assert message.id == "safemigrate.E302"
            assert told in message.hint
            project.migration("0002_bad", BAD_INDEX)
            assert project.checked() == [("E101", f"{project.label}.0002_bad")]

    def test_right_settings_are_left_alone(self, project):
        with override_settings(SAFEMIGRATE={"RELEASE": "r1"}):
            assert checks.check_settings() == []


class TestUnreadableMigration:
    @pytest.mark.parametrize(
        "text", ["import nothing_of_this_name", "def broken(:", "x = 1", "raise RuntimeError('no')"]
    )
    def test_a_file_that_cannot_be_loaded_is_named(self, project, text):
        project.write("0002_broken", text)
        assert project.found() == [("0002_broken", "E303")]
        assert project.checked() == [("E303", f"{project.label}.0002_broken")]

    def test_a_dependency_that_is_not_there_is_told(self, project):
        project.migration("0002_lost", GOOD, after="0001_gone")
        (found,) = judge.judge_project()
        assert found.finding.rule == "E303"
        assert "0001_gone" in found.finding.why

    def test_two_last_migrations_are_told_and_still_judged(self, project):
        project.migration("0002_left", GOOD)
        project.migration("0002_right", BAD_INDEX)
        assert project.found() == [("", "E303"), ("0002_right", "E101")]

    def test_an_operation_that_does_not_fit_is_told(self, project):
        project.migration("0002_lost", 'migrations.RemoveField("order", "never_there"),')
        assert "E303" in [rule for _, rule in project.found()]

    def test_nobody_is_told_to_silence_it(self, project):
        """What cannot be read stops migrate too; two branches may be why."""
        project.write("0002_broken", "x = 1")
        (found,) = judge.judge_project()
        assert "If it is safe" not in speak.text(found)
        assert "If two branches met here they may contradict each other" in speak.text(found)

    def test_it_is_no_part_of_a_baseline(self, project):
        project.write("0002_broken", "x = 1")
        with pytest.raises(CommandError, match="not everything can be judged"):
            told_by("baseline")
        assert not project.baseline.exists()


class TestHeldContract:
    def held(self, monkeypatch, days):
        from safemigrate.executor import status

        since = None if days is None else timezone.now() - timedelta(days=days)
        one = SimpleNamespace(key=("shop", "0003_drop"), reason="release r1 runs", since=since)
        monkeypatch.setattr(status, "waiting", lambda connection: status.Waiting([one]))
        return checks.check_held(databases=["default"])

    def test_one_held_too_long_is_a_warning(self, project, monkeypatch):
        (message,) = self.held(monkeypatch, 15)
        assert message.id == "safemigrate.W401"
        assert message.obj == "shop.0003_drop"
        assert "release r1 runs" in message.hint

    @pytest.mark.parametrize("days", [13, None])
    def test_one_held_for_a_while_is_left_alone(self, project, monkeypatch, days):
        assert self.held(monkeypatch, days) == []

    def test_without_a_database_nothing_is_asked(self, project):
        assert checks.check_held(databases=None) == []


class TestJudging:
    def test_a_connection_that_happens_to_be_open_is_not_asked_for_its_version(
        self, project, monkeypatch
    ):
        """The verdict is kept for the next check, which may have none."""
        project.migration("0002_newer", NEWER)
        default = connections["default"]
        monkeypatch.setattr(default, "connection", object())
        monkeypatch.setattr(default, "get_database_version", lambda: (14, 0))
        assert project.checked() == []
        assert judge.judgement(default).findings[0].finding.rule == "E123"

    def test_a_verdict_is_remembered_by_content(self, project, loads):
        project.migration("0002_bad", BAD_INDEX)
        first = project.checked()
        loads.clear()
        assert project.checked() == first == [("E101", f"{project.label}.0002_bad")]
        assert loads == []
        project.migration("0002_bad", GOOD)
        assert project.checked() == []

    def test_a_verdict_that_others_could_have_planted_is_not_believed(self, project, loads):
        project.migration("0002_bad", BAD_INDEX)
        project.checked()
        checks.cache_file().chmod(0o666)
        loads.clear()
        project.checked()
        assert len(loads) == 1
        checks.cache_file().parent.chmod(0o777)
        assert checks.cache_file() is None
        assert project.checked() == [("E101", f"{project.label}.0002_bad")]

    @pytest.mark.parametrize("text", ["", "[]", "null", '{"key": 1}'])
    def test_a_damaged_cache_is_no_cache(self, project, text):
        project.migration("0002_bad", BAD_INDEX)
        checks.cache_file().write_text(text)
        assert project.checked() == [("E101", f"{project.label}.0002_bad")]

    def test_a_model_made_and_renamed_in_the_same_migration_is_new(self, project):
        project.migration(
            "0002_new",
            'migrations.CreateModel("A", [("id", models.BigAutoField(primary_key=True))]),'
            'migrations.RenameModel("A", "B"),'
            'migrations.AddField("b", "n", models.IntegerField(unique=True)),',
        )
        assert project.found() == []

    def test_the_database_half_is_judged_by_its_lock_and_the_state_half_by_what_follows(
        self, project
    ):
        project.migration(
            "0002_half",
            f"migrations.SeparateDatabaseAndState(state_operations=[{BAD_INDEX}]),",
        )
        assert project.found() == [("0002_half", "E208")]
        project.migration(
            "0002_half",
            f"migrations.SeparateDatabaseAndState(database_operations=[{BAD_INDEX}]),",
        )
        assert project.found() == [("0002_half", "E101")]

    def test_other_packages_are_counted_and_left_alone(self, project):
        whole = judge.judgement()
        assert whole.migrations == 1
        assert whole.third_party >= 2

    def test_chosen_apps_and_migrations_only(self, project):
        project.migration("0002_bad", BAD_INDEX)
        assert project.found(apps=["other"]) == []
        assert project.found(only=[f"{project.label}.0001_initial"]) == []
        assert len(project.found(only=[f"{project.label}.0002_bad"])) == 1

    def test_a_field_that_asks_the_database_is_refused_the_answer(self, project):
        connection = judge._mute(judge.judging_connection())
        with pytest.raises(DatabaseError, match="must not ask"):
            connection.cursor()

    def test_the_whole_check_framework_shows_it(self, project):
        project.migration("0002_bad", BAD_INDEX)
        project.forget()
        checks.register_all()
        found = django_checks.run_checks(tags=["safemigrate"])
        assert [message.id for message in found] == ["safemigrate.E101"]

    def test_only_the_apps_that_were_asked_for(self, project):
        from django.apps import apps

        project.migration("0002_bad", BAD_INDEX)
        project.forget()
        other = [apps.get_app_config("contenttypes")]
        assert checks.check_migrations(app_configs=other) == []


class TestCommand:
    def test_lint_tells_everything_and_fails(self, project):
        project.migration("0002_bad", BAD_INDEX)
        out = StringIO()
        with pytest.raises(CommandError, match="1 finding in 1 migration; 2 migrations judged"):
            call_command("safemigrate", "lint", stdout=out)
        assert "AddIndexConcurrently(" in out.getvalue()

    def test_lint_honours_the_baseline_unless_told_otherwise(self, project):
        project.migration("0002_bad", BAD_INDEX)
        told_by("baseline")
        assert "Nothing unsafe but 1 in the baseline" in told_by("lint")
        with pytest.raises(CommandError, match="1 finding"):
            told_by("lint", "--all")

    def test_names_that_are_not_there_are_told(self, project):
        with pytest.raises(CommandError, match="no database 'nowhere'"):
            told_by("lint", "--database", "nowhere")
        with pytest.raises(CommandError, match="nosuchapp"):
            told_by("lint", "nosuchapp")

    def test_a_subcommand_is_needed(self, project):
        with pytest.raises(CommandError, match="SUBCOMMAND"):
            told_by()

    def test_its_own_findings_do_not_stop_it(self):
        from safemigrate.management.commands.safemigrate import Command

        assert Command.requires_system_checks == []
        assert issubclass(Command, BaseCommand)

    def test_the_status_of_a_new_database_is_empty(self, project, lite):
        told = told_by("status", "--database", "lite")
        assert "Nothing is held back." in told

    def test_the_status_names_what_waits_and_what_was_done(self, project, pg, monkeypatch):
        from safemigrate.executor import status

        since = timezone.now() - timedelta(days=20, hours=3)
        one = SimpleNamespace(key=("shop", "0003_drop"), reason="release r1 runs", since=since)
        monkeypatch.setattr(status, "waiting", lambda connection: status.Waiting([one]))
        call_command("migrate", project.label, verbosity=0)
        told = told_by("status")
        assert "shop.0003_drop" in told
        assert "20 d 3 h" in told
        assert "release r1 runs" in told
        assert f"{project.label}.0001_initial" in told

    def test_a_database_that_is_down_is_told(self, project, monkeypatch):
        from safemigrate.executor import status

        def down(connection):
            raise DatabaseError("connection refused")

        monkeypatch.setattr(status, "waiting", down)
        with pytest.raises(CommandError, match="cannot be asked: connection refused"):
            told_by("status")


def test_a_file_is_read_again_only_if_it_changed(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("1")
    before = baselines.content_of(str(path))
    path.write_text("22")
    assert baselines.content_of(str(path)) != before


def test_a_start_with_nothing_new_loads_no_rule():
    """Every command pays for what is imported at the start."""
    program = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings';"
        "django.setup(); from django.core import checks; checks.run_checks();"
        "print([m for m in sys.modules if m in ('safemigrate.rules.plain_index', 'psycopg_pool')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_process_that_serves_requests_loads_no_operation():
    """A thousand workers start at once in a rollout, and none of them migrates."""
    program = (
        "import sys, django; from django.conf import settings;"
        "apps = ['safemigrate', 'django.contrib.contenttypes'];"
        "settings.configure(INSTALLED_APPS=apps); django.setup();"
        "from django.contrib.contenttypes.models import ContentTypeManager as found;"
        "print(found._queryset_class.__name__, 'safemigrate.operations' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["FoundByOtherNames", "False"]
