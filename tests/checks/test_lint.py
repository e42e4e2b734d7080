"""``safemigrate lint``: what is chosen, and how it ends."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from safemigrate import baseline
from safemigrate.management.subcommands import lint
from safemigrate.rules import registry

INDEX = 'migrations.AddIndex("order", models.Index(fields=["total"], name="i")),'
NEW = 'migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True))]),'
UNIQUE = 'migrations.AddField("new", "n", models.IntegerField(null=True, unique=True)),'
FILL = (
    'BatchedBackfill("order", values={"total": 0}, where=Q(total__isnull=True), keep_filled=True),'
)
END = 'StopFilling("order", "total"),'


class TestChoosing:
    def test_apps_and_migrations_by_name_or_by_how_it_begins(self, project, found):
        project.migration("0002_bad", INDEX)
        project.migration("0003_worse", INDEX.replace('"i"', '"j"'), after="0002_bad")
        second, third = ("0002_bad", "E101"), ("0003_worse", "E101")
        assert found() == found(project.label) == found("--app", project.label) == [second, third]
        assert found("contenttypes") == []
        assert found(f"{project.label}.0003_worse") == found(f"{project.label}.0003") == [third]
        assert found("contenttypes", f"{project.label}.0002") == [second]

    @pytest.mark.parametrize("name", ["0009", "000", ""])
    def test_a_migration_that_is_not_there_or_not_the_only_one(self, project, say, name):
        project.migration("0002_bad", INDEX)
        text, code = say(f"{project.label}.{name}")
        assert "is no migration of this project" in text
        assert code == lint.NOT_JUDGED

    def test_what_cannot_be_read_is_in_every_choice(self, project, found):
        project.write("0002_broken", "x = 1")
        assert found("contenttypes") == [("0002_broken", "E303")]

    @pytest.mark.usefixtures("pg")
    def test_only_what_the_database_has_not_seen(self, project, found):
        """A table that comes with the same run is new to all of it."""
        project.migration("0002_bad", INDEX)
        call_command("migrate", project.label, "0002", verbosity=0, skip_checks=True)
        project.migration("0003_new", NEW, after="0002_bad")
        project.migration("0004_unique", UNIQUE, after="0003_new")
        project.migration("0005_bad", INDEX.replace('"i"', '"j"'), after="0004_unique")
        assert found("--unapplied") == [("0005_bad", "E101")]
        assert ("0004_unique", "E103") in found()
        connection.close()

    def test_a_database_that_is_not_there_is_told(self, say, monkeypatch):
        from django.db import OperationalError

        def down(connection):
            raise OperationalError("connection refused")

        monkeypatch.setattr(lint, "unapplied", down)
        text, code = say("--unapplied")
        assert "cannot be asked what is applied: connection refused" in text
        assert code == lint.NOT_JUDGED


class TestBeginning:
    def test_the_last_lines_say_how_to_begin_until_there_is_a_baseline(self, project, say):
        project.migration("0002_bad", INDEX)
        text, code = say()
        assert baseline.HOW_TO_BEGIN in text
        assert code == 1
        assert baseline.HOW_TO_BEGIN not in say("--all")[0]
        assert baseline.HOW_TO_BEGIN not in say("--format", "json")[0]
        call_command("safemigrate", "baseline", stdout=StringIO())
        project.migration("0003_worse", INDEX.replace('"i"', '"j"'), after="0002_bad")
        assert baseline.HOW_TO_BEGIN not in say()[0]

    def test_not_where_only_what_is_new_is_judged(self, project, git, say):
        git("checkout", "-q", "-b", "feature")
        project.migration("0002_bad", INDEX)
        text, code = say("--since", "main")
        assert code == 1
        assert baseline.HOW_TO_BEGIN not in text

    def test_not_where_something_cannot_be_read(self, project, say):
        project.write("0002_broken", "x = 1")
        assert baseline.HOW_TO_BEGIN not in say()[0]


class TestSince:
    def test_only_what_the_branch_brings_committed_or_not(self, project, git, found):
        project.migration("0002_old", INDEX)
        git.commit()
        git("checkout", "-q", "-b", "feature")
        project.migration("0003_mine", INDEX.replace('"i"', '"j"'), after="0002_old")
        git.commit()
        project.migration("0004_mine", INDEX.replace('"i"', '"k"'), after="0003_mine")
        assert found("--since", "main") == [("0003_mine", "E101"), ("0004_mine", "E101")]
        assert len(found()) == 3

    def test_what_main_did_meanwhile_is_not_this_branch_s(self, project, git, found):
        git("checkout", "-q", "-b", "feature")
        project.migration("0002_mine", INDEX)
        git.commit()
        git("checkout", "-q", "main")
        project.migration("0002_theirs", NEW)
        git.commit()
        git("checkout", "-q", "feature")
        project.forget()
        assert found("--since", "main") == [("0002_mine", "E101")]

    def test_a_changed_migration_is_judged_whole(self, project, git, found):
        project.migration("0002_old", INDEX)
        git.commit()
        project.migration("0002_old", INDEX + END)
        assert ("0002_old", "E101") in found("--since", "main")

    def test_a_verdict_that_turns_because_another_file_went_is_told(self, project, git, found):
        """The fill is as it was; what ended it is gone."""
        project.migration("0002_fill", FILL, atomic=False)
        end = project.migration("0003_end", END, after="0002_fill")
        project.migration("0003_bad", INDEX, after="0002_fill")
        git.commit()
        assert found("--since", "main") == []
        end.unlink()
        assert found("--since", "main") == [("0002_fill", "E204")]

    def test_a_table_that_the_branch_makes_is_new_to_all_of_it(self, project, git, found):
        project.migration("0002_new", NEW)
        project.migration("0003_unique", UNIQUE, after="0002_new")
        assert found("--since", "HEAD") == []
        git.commit()
        project.migration("0004_unique", UNIQUE.replace('"n"', '"m"'), after="0003_unique")
        assert found("--since", "HEAD") == [("0004_unique", "E103")]

    def test_a_past_that_was_broken_hides_nothing(self, project, git, say):
        project.migration("0002_old", INDEX)
        broken = project.write("0003_broken", "x = 1")
        git.commit()
        broken.unlink()
        project.forget()
        text, code = say("--since", "main")
        assert "cannot be judged" in text
        assert "E101 plain-index" in text
        assert code == 1

    @pytest.mark.parametrize("ref", ["nowhere", "--output=x", "no such", "", "HEAD^{tree}", "x\ny"])
    def test_a_ref_that_is_not_there_is_told(self, git, say, ref):
        text, code = say(f"--since={ref}")
        assert f"Of {ref!r} git does not know" in text
        assert "fetch-depth: 0" in text
        assert code == lint.NOT_JUDGED

    def test_outside_of_a_repository_it_is_told(self, project, say, monkeypatch):
        monkeypatch.chdir(project.folder)
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.folder.parent))
        assert say("--since", "main")[1] == lint.NOT_JUDGED

    def test_without_git_it_is_told(self, git, say, monkeypatch):
        monkeypatch.setenv("PATH", "")
        text, code = say("--since", "main")
        assert "git cannot be asked" in text
        assert code == lint.NOT_JUDGED


class TestExplain:
    @pytest.mark.parametrize("name", ["E101", "e101", "safemigrate.E101", "plain-index"])
    def test_a_rule_prints_its_page(self, say, name):
        text, code = say("--explain", name)
        assert text.startswith("# E101 plain-index")
        assert code == 0

    def test_every_rule_has_one(self, say):
        for id in registry():
            assert f"# {id} " in say("--explain", id)[0]

    @pytest.mark.parametrize("name", ["E999", ""])
    def test_a_rule_that_is_not_there_is_told(self, say, name):
        text, code = say(f"--explain={name}")
        assert "E101" in text
        assert code == lint.NOT_JUDGED


def test_a_warning_alone_does_not_fail(project, say):
    project.migration("0002_x", 'migrations.RunSQL("SELECT 1"),')
    text, code = say()
    assert "W403" in text
    assert code == 0


def bare(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


class TestText:
    """What somebody reads: in colours on a terminal, the same words without them in a log."""

    @pytest.fixture(autouse=True)
    def terminal(self, monkeypatch):
        """One of 160 columns, and an environment that asks for nothing special."""
        for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "160")

    @pytest.fixture
    def bad(self, project):
        project.migration("0002_bad", INDEX + INDEX.replace('"i"', '"j"'))
        project.migration("0003_sql", 'migrations.RunSQL("SELECT 1"),', after="0002_bad")

    def test_a_log_has_no_colours_and_ends_with_how_many_of_which_rule(self, bad, say):
        text, code = say()
        assert text == bare(text)
        lines = [" ".join(line.split()) for line in text.splitlines()]
        assert f"2 E101 plain-index {registry()['E101'].doc}" in lines
        assert f"1 W403 no-way-back {registry()['W403'].doc}" in lines
        assert lines[-1].startswith("3 findings in 2 migrations, 2 errors among them; 3 migrations")
        assert code == 1

    def test_a_terminal_shows_the_same_in_colours_by_severity(self, bad, say):
        coloured, code = say("--force-color")
        assert "\x1b[1;31msafemigrate.E101 plain-index\x1b[0m" in coloured
        assert "\x1b[1;33msafemigrate.W403 no-way-back\x1b[0m" in coloured
        assert bare(coloured) == say()[0]
        assert code == 1

    def test_a_narrow_terminal_breaks_sentences_and_no_code(self, bad, say, monkeypatch):
        monkeypatch.setenv("COLUMNS", "60")
        text = bare(say("--force-color")[0])
        assert "\n        index=models.Index(fields=['total'], name='i'),\n" in text
        sentences = text.partition("What happens")[2].partition("Do instead")[0]
        assert max(len(line) for line in sentences.splitlines()) <= 60
        assert len(sentences.splitlines()) > 4

    @pytest.mark.parametrize(("option", "colour"), [((), "\x1b[33m"), (("--no-color",), "")])
    def test_a_terminal_without_colours_is_obeyed(self, project, option, colour):
        project.migration("0002_sql", 'migrations.RunSQL("SELECT 1"),')
        out = Screen()
        call_command("safemigrate", "lint", *option, stdout=out)
        assert f"\n{colour}1 finding in 1 migration, warnings only; 2" in out.getvalue()
        assert colour or out.getvalue() == bare(out.getvalue())

    def test_what_is_safe_is_one_line(self, say):
        text, code = say()
        assert text.startswith("Nothing unsafe; 1 migration judged for postgresql")
        assert (text.count("\n"), code) == (1, 0)
