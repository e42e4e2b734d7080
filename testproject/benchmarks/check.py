"""
What safemigrate adds to ``manage.py check`` on a project of 1 000 migrations.

    python -m testproject.benchmarks.check [--migrations 1000] [--apps 20] [--pairs 9]

Each pair is two processes one after the other, without and with safemigrate; the database does
not exist, so that a check which touches it would fail.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent.parent
WANTED_S = 0.3

SETTINGS = """
import os
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent
NOWHERE = {"ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": 1, "NAME": "x"}
DATABASES = {"default": NOWHERE}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", *APPS]
if os.environ["WITH_SAFEMIGRATE"] == "1":
    INSTALLED_APPS.insert(0, "safemigrate")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "x"
"""
INITIAL = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True))])]
"""
NEXT = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("{app}", "{before}")]
    operations = [
        migrations.AddField("thing", "f{number}", models.IntegerField({options})),
        {more}
    ]
"""


def generate(folder: Path, apps: int, migrations: int) -> None:
    """A project whose every fourth migration builds an index the ordinary way."""
    names = [f"app{number:02}" for number in range(apps)]
    (folder / "config.py").write_text(f"APPS = {names!r}\n{SETTINGS}")
    for app in names:
        package = folder / app / "migrations"
        package.mkdir(parents=True)
        (folder / app / "__init__.py").touch()
        (folder / app / "models.py").write_text(_models(migrations // apps))
        (package / "__init__.py").touch()
        before = "0001_initial"
        (package / f"{before}.py").write_text(INITIAL)
        for number in range(2, migrations // apps + 1):
            before = _migration(package, app, number, before)


def _models(per_app: int) -> str:
    fields = "\n".join(
        f"    f{number} = models.IntegerField(null=True)" for number in range(2, per_app + 1)
    )
    return f"from django.db import models\n\nclass Thing(models.Model):\n{fields or '    pass'}\n"


def _migration(package: Path, app: str, number: int, before: str) -> str:
    name = f"{number:04}_f{number}"
    index = f'models.Index(fields=["f{number}"], name="{app}_f{number}")'
    more = f'migrations.AddIndex("thing", {index}),' if number % 4 == 0 else ""
    text = NEXT.format(app=app, before=before, number=number, options="null=True", more=more)
    (package / f"{name}.py").write_text(textwrap.dedent(text))
    return name


@dataclass(frozen=True)
class Took:
    """``wall_s`` is what somebody waits; ``cpu_s`` says the same on a machine that is busy."""

    wall_s: float
    cpu_s: float


def environment(folder: Path, with_safemigrate: bool) -> dict[str, str]:
    """With bytecode, also of safemigrate: an installed package has it."""
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "DJANGO_SETTINGS_MODULE": "config",
        "WITH_SAFEMIGRATE": str(int(with_safemigrate)),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def run(folder: Path, *args: str, with_safemigrate: bool) -> Took:
    """One ``manage.py``; its output is shown if it fails."""
    env = environment(folder, with_safemigrate)
    started, cpu_before = time.perf_counter(), _children_cpu_s()
    done = subprocess.run(
        [sys.executable, "-m", "django", *args], env=env, cwd=folder, capture_output=True, text=True
    )
    took = Took(time.perf_counter() - started, _children_cpu_s() - cpu_before)
    if done.returncode:
        raise SystemExit(f"{' '.join(args)} failed:\n{done.stdout}{done.stderr}")
    return took


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Row:
    """Medians; ``added``: of the differences of each pair."""

    label: str
    without: Took
    with_it: Took
    added: Took


def pairs(label: str, folder: Path, count: int, before_each: Callable[[], None]) -> Row:
    without, with_it = [], []
    for _ in range(count):
        without.append(run(folder, "check", with_safemigrate=False))
        before_each()
        with_it.append(run(folder, "check", with_safemigrate=True))
    added = [
        Took(after.wall_s - before.wall_s, after.cpu_s - before.cpu_s)
        for before, after in zip(without, with_it, strict=True)
    ]
    return Row(label, _median(without), _median(with_it), _median(added))


def _median(times: list[Took]) -> Took:
    return Took(
        statistics.median(took.wall_s for took in times),
        statistics.median(took.cpu_s for took in times),
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--migrations", type=int, default=1000)
    parser.add_argument("--apps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=9)
    options = parser.parse_args()
    if not 1 <= options.apps <= options.migrations or options.pairs < 1:
        parser.error("give at least one app, one migration for each app, and one pair")
    with tempfile.TemporaryDirectory(prefix="safemigrate-check-") as name:
        folder = Path(name)
        generate(folder, options.apps, options.migrations)
        baseline_took = run(folder, "safemigrate", "baseline", with_safemigrate=True)
        run(folder, "check", with_safemigrate=True)  # both have their bytecode now
        rows = [pairs("everything in the baseline", folder, options.pairs, lambda: None)]
        _migration(folder / "app00" / "migrations", "app00", 9999, _last(folder))
        rows.append(pairs("one new migration, judged anew", folder, 3, lambda: _forget(folder)))
        rows.append(pairs("one new migration, judged before", folder, options.pairs, lambda: None))
    show(rows, options, baseline_took.wall_s)
    return 0 if rows[0].added.wall_s <= WANTED_S else 1


def _last(folder: Path) -> str:
    return max(path.stem for path in (folder / "app00" / "migrations").glob("0*.py"))


def _forget(folder: Path) -> None:
    for path in (folder / "cache").rglob("*.json"):
        path.unlink()


def show(rows: list[Row], options: argparse.Namespace, baseline_s: float) -> None:
    count = f"{options.migrations} migrations in {options.apps} apps"
    table = Table(title=f"manage.py check, {count}, medians", title_justify="left")
    table.add_column("")
    for head in ("without", "with", "added", "CPU without", "CPU with", "CPU added"):
        table.add_column(head, justify="right")
    for row in rows:
        times = (row.without, row.with_it, row.added)
        seconds = [took.wall_s for took in times] + [took.cpu_s for took in times]
        table.add_row(row.label, *(f"{value:.3f} s" for value in seconds))
    console = Console(width=120)
    console.print(table)
    console.print(
        f"safemigrate baseline itself: {baseline_s:.2f} s; wanted: <= {WANTED_S} s added."
    )


if __name__ == "__main__":
    raise SystemExit(main())
