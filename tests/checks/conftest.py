"""Real migration packages in a folder of their own, judged in this process."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db.migrations.loader import MigrationLoader
from django.test import override_settings

from safemigrate import baseline, checks
from safemigrate.judge import judge_project

_numbers = itertools.count(1)

BAD_INDEX = 'migrations.AddIndex("order", models.Index(fields=["total"], name="i")),'
GOOD = 'migrations.AddField("order", "ok", models.IntegerField(null=True)),'

HEAD = """
from django.db import migrations, models
from django.db.models import F, Q
from safemigrate.operations import *

class Migration(migrations.Migration):
    {atomic}
    dependencies = {dependencies}
    {more}
    operations = [
{operations}
    ]
"""

INITIAL = """
migrations.CreateModel("Customer", [("id", models.BigAutoField(primary_key=True))]),
migrations.CreateModel("Order", [
    ("id", models.BigAutoField(primary_key=True)),
    ("total", models.IntegerField(null=True)),
    ("flag", models.BooleanField(default=False)),
    ("customer", models.ForeignKey("Customer", models.CASCADE, null=True)),
]),
"""


@dataclass
class Project:
    """``label``: its one app, new in each test, so that no import is remembered."""

    folder: Path
    label: str

    @property
    def migrations(self) -> Path:
        return self.folder / self.label / "migrations"

    @property
    def baseline(self) -> Path:
        return self.folder / "safemigrate-baseline.json"

    def write(self, name: str, text: str) -> Path:
        path = self.migrations / f"{name}.py"
        path.write_text(text)
        # Python goes by size and second: two texts of one length would be taken for one.
        shutil.rmtree(self.migrations / "__pycache__", ignore_errors=True)
        self.forget()
        return path

    def migration(
        self,
        name: str,
        operations: str,
        after: str | None = "0001_initial",
        atomic: bool = True,
        more: str = "",
    ) -> Path:
        dependencies = [(self.label, after)] if after else []
        text = HEAD.format(
            atomic="" if atomic else "atomic = False",
            dependencies=dependencies,
            more=more,
            operations=textwrap.indent(textwrap.dedent(operations).strip(), " " * 8),
        )
        return self.write(name, text)

    def forget(self) -> None:
        """As a new process: nothing of this app is imported."""
        for name in [name for name in sys.modules if name.startswith(f"{self.label}.migr")]:
            del sys.modules[name]
        baseline._contents.clear()
        checks._memory.clear()

    def found(self, **options: object) -> list[tuple[str, str]]:
        """Shape: [(migration, rule)]."""
        self.forget()
        found = judge_project(**options)
        return [(judged.migration, judged.finding.rule) for judged in found]

    def rules_of(self, name: str) -> list[str]:
        return [rule for migration, rule in self.found() if migration == name]

    def checked(self) -> list[tuple[str, str]]:
        """What ``manage.py check`` says in a new process. Shape: [(id, object)]."""
        self.forget()
        return [(m.id.split(".")[1], m.obj) for m in checks.check_migrations()]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An app with two tables; no database can be reached, and none is asked."""
    label = f"shop{next(_numbers)}"
    made = Project(tmp_path, label)
    made.migrations.mkdir(parents=True)
    (tmp_path / label / "__init__.py").touch()
    (made.migrations / "__init__.py").touch()
    made.migration("0001_initial", INITIAL, after=None)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with override_settings(
        INSTALLED_APPS=["safemigrate", "django.contrib.contenttypes", label], BASE_DIR=tmp_path
    ):
        yield made
    made.forget()
    apps.clear_cache()


class Repository:
    """Call it with the words of a git command; it begins with everything committed on main."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self("init", "-q", "-b", "main")
        self.commit()

    def __call__(self, *args: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *args], cwd=self.folder, check=True, capture_output=True)

    def commit(self) -> None:
        self("add", "-A")
        self("commit", "-q", "-m", "x")


@pytest.fixture
def say(project):
    """Shape: (what it printed, its exit code)."""

    def run(*args: str) -> tuple[str, int]:
        out = StringIO()
        project.forget()
        try:
            call_command("safemigrate", "lint", *args, stdout=out, stderr=out)
        except CommandError as error:
            return f"{out.getvalue()}{error}", error.returncode
        return out.getvalue(), 0

    return run


@pytest.fixture
def found(say):
    def run(*args: str) -> list[tuple[str, str]]:
        text, code = say("--format", "json", *args)
        whole, _ = json.JSONDecoder().raw_decode(text)
        findings = [(f["migration"].partition(".")[2], f["rule"]) for f in whole["findings"]]
        assert code == int(any(rule[0] == "E" for _, rule in findings))
        return findings

    return run


@pytest.fixture
def git(project, monkeypatch):
    """The project is a repository; its first migration is on main, and a branch goes on."""
    monkeypatch.chdir(project.folder)
    return Repository(project.folder)


@pytest.fixture
def loads(monkeypatch):
    """How often the migrations were loaded."""
    seen = []
    original = MigrationLoader.load_disk

    def load_disk(self):
        seen.append(self)
        return original(self)

    monkeypatch.setattr(MigrationLoader, "load_disk", load_disk)
    return seen


def told_by(*args):
    """What ``manage.py safemigrate`` prints."""
    out = StringIO()
    call_command("safemigrate", *args, stdout=out)
    return out.getvalue()
