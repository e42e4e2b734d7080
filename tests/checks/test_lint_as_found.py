"""``safemigrate lint`` where the repository, the files or the reader are not as expected."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap

import pytest
from django.core.management import call_command
from django.test import override_settings

from safemigrate.management.subcommands import lint
from safemigrate.past import changed_since
from tests.checks.conftest import INITIAL, Repository

INDEX = 'migrations.AddIndex("order", models.Index(fields=["total"], name="i")),'


class TestRepositories:
    def test_a_squash_makes_no_table_new_again(self, project, git, found):
        """The table has been in use since the migrations that it stands for."""
        replaces = f'replaces = [("{project.label}", "0001_initial")]'
        project.migration("0001_squashed", INITIAL + INDEX, after=None, more=replaces)
        (project.migrations / "0001_initial.py").unlink()
        later = INDEX.replace('"i"', '"j"')
        project.migration("0002_bad", later, after="0001_squashed")
        assert found("--since", "main") == [("0002_bad", "E101")]

    def test_a_folder_that_is_moved_makes_no_table_new_again(self, project, git, found):
        moved = f"moved_{project.label}"
        git("mv", f"{project.label}/migrations", moved)
        project.migrations.mkdir()
        bad = project.migration("0002_bad", INDEX)
        bad.rename(project.folder / moved / bad.name)
        git.commit()
        importlib.invalidate_caches()
        with override_settings(MIGRATION_MODULES={project.label: moved}):
            assert found("--since", "main~1") == [("0002_bad", "E101")]

    def test_a_file_that_is_renamed_is_judged_under_its_new_name(self, project, git, found):
        project.migration("0002_old", INDEX)
        git.commit()
        folder = f"{project.label}/migrations"
        git("mv", f"{folder}/0002_old.py", f"{folder}/0002_x.py")
        assert found("--since", "main") == [("0002_x", "E101")]

    def test_what_a_merge_brought_in_is_not_this_branch_s(self, project, git, found):
        git("checkout", "-q", "-b", "feature")
        project.migration("0003_mine", INDEX, after="0002_theirs")
        git.commit()
        git("checkout", "-q", "main")
        project.migration("0002_theirs", INDEX.replace('"i"', '"j"'))
        git.commit()
        git("checkout", "-q", "feature")
        git("merge", "-q", "main")
        project.forget()
        assert found("--since", "main") == [("0003_mine", "E101")]

    def test_it_is_the_project_s_repository_wherever_the_command_was_started(
        self, project, git, found, tmp_path_factory, monkeypatch
    ):
        """And whatever git says to its hooks."""
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "file").touch()
        Repository(elsewhere)
        monkeypatch.chdir(elsewhere)
        monkeypatch.setenv("GIT_DIR", str(elsewhere / ".git"))
        monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
        project.migration("0002_bad", INDEX)
        with override_settings(BASE_DIR=project.folder / project.label):
            assert found("--since", "main") == [("0002_bad", "E101")]

    def test_an_app_in_a_submodule_is_seen(self, project, found):
        inner = Repository(project.folder / project.label)
        whole = Repository(project.folder)
        assert found("--since", "HEAD") == []
        project.migration("0002_bad", INDEX)
        assert found("--since", "HEAD") == [("0002_bad", "E101")]
        inner.commit()
        assert found("--since", "HEAD") == [("0002_bad", "E101")]
        whole.commit()
        project.migration("0003_bad", INDEX.replace('"i"', '"j"'), after="0002_bad")
        assert found("--since", "HEAD") == [("0003_bad", "E101")]
        assert found("--since", "HEAD~1") == [("0002_bad", "E101"), ("0003_bad", "E101")]

    def test_a_clone_without_that_history_is_told_to_fetch_it(self, project, git, say, tmp_path):
        project.migration("0002_bad", INDEX)
        git.commit()
        git("clone", "-q", "--depth", "1", f"file://{project.folder}", str(tmp_path / "clone"))
        with override_settings(BASE_DIR=tmp_path / "clone"):
            text, code = say("--since", "main~1")
            assert changed_since("main").names == set()
        assert "fetch-depth: 0" in text
        assert code == lint.NOT_JUDGED

    def test_a_file_in_another_encoding_is_read_as_python_reads_it(self, project, git, found):
        path = project.migrations / "0002_old.py"
        text = project.migration("0002_old", INDEX).read_text()
        path.write_bytes(f"# -*- coding: latin-1 -*-\n# \xe9\n{text}".encode("latin-1"))
        git.commit()
        path.write_bytes(path.read_bytes() + b"# \xe8\n")
        assert found("--since", "main") == [("0002_old", "E101")]


class TestBaseline:
    def test_a_change_cannot_exempt_itself(self, project, git, say):
        """The baseline only shrinks; by hand, or with --renew in the same change, it grew."""
        project.migration("0002_old", INDEX)
        call_command("safemigrate", "baseline", verbosity=0)
        git.commit()
        project.migration("0003_mine", INDEX.replace('"i"', '"j"'), after="0002_old")
        call_command("safemigrate", "baseline", "--renew", verbosity=0)
        project.forget()
        assert say()[1] == 0
        text, code = say("--since", "main")
        assert "E101" in text
        assert "exempts more than it did" in text
        assert code == 1
        old = project.migrations / "0002_old.py"
        old.write_text(f"{old.read_text()}\n# a word\n")
        text, _ = say("--since", "main")
        assert "0003_mine" in text
        assert "0002_old" not in text

    def test_a_first_one_counts(self, project, git, say):
        project.migration("0002_mine", INDEX)
        call_command("safemigrate", "baseline", verbosity=0)
        assert say("--since", "main")[1] == 0

    def test_one_that_was_broken_before_is_as_none(self, project, git, say):
        project.baseline.write_text("<<<<<<< HEAD\n")
        git.commit()
        assert say("--since", "main")[1] == lint.NOT_JUDGED
        project.migration("0002_mine", INDEX)
        call_command("safemigrate", "baseline", "--renew", verbosity=0)
        assert say("--since", "main")[1] == 0


@pytest.mark.parametrize("text", ["raise SystemExit(0)", "def broken(:", "raise KeyError", "\x00"])
def test_a_file_that_ends_python_or_cannot_be_imported_is_a_finding(project, found, text):
    project.write("0002_x", text)
    assert ("0002_x", "E303") in found()


@pytest.mark.parametrize(
    "wrong",
    [
        {"ASURED": {}},
        {"ASSURED": {"contenttypes.0001_initial": " "}},
        {"ASSURED": {"contenttypes.0001_initial": {"because": "x", "until": "31.1.2027"}}},
        {"SERVER_VERSION": "sixteen"},
    ],
)
def test_with_wrong_settings_nothing_is_judged(say, wrong):
    """The typing error would be a word, a baseline or a version that silently does not count."""
    with override_settings(SAFEMIGRATE=wrong):
        text, code = say()
    assert "SAFEMIGRATE" in text
    assert "Nothing was judged" in text
    assert code == lint.NOT_JUDGED


@pytest.fixture
def manage(project):
    """Shape: a running ``manage.py`` with these words, and the environment of a terminal."""
    file = project.folder / "manage.py"
    file.write_text(
        textwrap.dedent(f"""
        import sys
        from django.conf import settings
        from django.core.management import execute_from_command_line

        settings.configure(
            INSTALLED_APPS=["safemigrate", "django.contrib.contenttypes", "{project.label}"],
            BASE_DIR={str(project.folder)!r},
            DATABASES={{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": "x"}}}},
        )
        execute_from_command_line(sys.argv)
        """)
    )

    def start(*args: str, **env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, str(file), "safemigrate", *args],
            cwd=project.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


class TestReaders:
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    @pytest.mark.parametrize("form", ["text", "json"])
    def test_one_that_has_had_enough_sees_no_traceback(self, project, manage, form, unbuffered):
        """``lint | head -1``"""
        project.migration("0002_bad", INDEX)
        with manage("lint", "--format", form, PYTHONUNBUFFERED=unbuffered) as running:
            running.stdout.close()
            said = running.stderr.read().decode()
        assert (said, running.returncode) == ("", 141)

    @pytest.mark.parametrize("form", ["text", "github", "junit"])
    def test_a_terminal_that_has_no_sign_for_it_gets_another(self, project, manage, form):
        sql = r"SELEC \u00e9 \ud800 \x01"
        project.migration("0002_bad", f"migrations.RunSQL('{sql}', ''),")
        out, said = manage("lint", "--format", form, PYTHONIOENCODING="ascii").communicate()
        assert b"Traceback" not in said
        assert b"E119" in out
        assert out.isascii()
