"""
What judging a whole project costs over Django's own loading and replaying of its migrations.

    python -m testproject.benchmarks.lint [--migrations 1400] [--apps 20] [--pairs 5]

Each pair is two processes one after the other: Django's loader and states alone, and `safemigrate
lint` of everything; the database does not exist. Every migration adds a field; half of them an
index too, a fifth run SQL, a tenth Python.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from testproject.benchmarks.check import INITIAL, ROOT, SETTINGS

WANTED_S, WANTED_MB = 3.0, 200.0
NEXT = """
from django.db import migrations, models

def fill(apps, schema_editor):
    thing = apps.get_model("{app}", "Thing")
    for one in thing.objects.using(schema_editor.connection.alias).filter(f{number}=None)[:10]:
        one.save()

class Migration(migrations.Migration):
    dependencies = [("{app}", "{before}")]
    operations = [
        migrations.AddField("thing", "f{number}", models.IntegerField(null=True)),
        {more}
    ]
"""
INDEX = 'migrations.AddIndex("thing", models.Index(fields=["f{number}"], name="{app}_f{number}")),'
ALTER = 'migrations.AlterField("thing", "f{number}", models.IntegerField(null=True, default=1)),'
SQL = (
    'migrations.RunSQL("UPDATE {app}_thing SET f{number} = 0 WHERE id = 5; '
    'CREATE INDEX x{number} ON {app}_thing (f{number}) WHERE f{number} > 0", ""),'
)
PYTHON = "migrations.RunPython(fill, migrations.RunPython.noop),"
MEASURED = """
import os, resource, sys, time
import django
django.setup()
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
mine = sys.argv[1] == "lint"
started = time.perf_counter()
if mine:
    from safemigrate.judge import judgement
    found = judgement().findings
else:
    loader = MigrationLoader(None)
    state = ProjectState(real_apps=loader.unmigrated_apps)
    plan = dict.fromkeys(k for leaf in loader.graph.leaf_nodes()
                         for k in loader.graph.forwards_plan(leaf))
    for key in plan:
        migration = loader.graph.nodes[key]
        for operation in migration.operations:
            operation.state_forwards(migration.app_label, state)
    found = []
took = time.perf_counter() - started
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(found))
"""


def generate(folder: Path, apps: int, migrations: int) -> int:
    """The project; answers with the number of its operations."""
    names = [f"app{number:02}" for number in range(apps)]
    (folder / "config.py").write_text(f"APPS = {names!r}\n{SETTINGS}")
    operations = 0
    for app in names:
        package = folder / app / "migrations"
        package.mkdir(parents=True)
        (folder / app / "__init__.py").touch()
        (package / "__init__.py").touch()
        before = "0001_initial"
        (package / f"{before}.py").write_text(INITIAL)
        operations += 1
        for number in range(2, migrations // apps + 1):
            more = [
                *([INDEX] if number % 2 else [ALTER]),
                *([SQL] if number % 5 == 0 else []),
                *([PYTHON] if number % 10 == 0 else []),
            ]
            text = NEXT.format(
                app=app,
                before=before,
                number=number,
                more="\n        ".join(more).format(app=app, number=number),
            )
            before = f"{number:04}_f{number}"
            (package / f"{before}.py").write_text(textwrap.dedent(text))
            operations += 1 + len(more)
    return operations


@dataclass(frozen=True)
class Took:
    seconds: float
    peak_mb: float
    findings: int


def measured(folder: Path, what: str) -> Took:
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "DJANGO_SETTINGS_MODULE": "config",
        "WITH_SAFEMIGRATE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, what],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak, findings = done.stdout.split()
    return Took(float(seconds), float(peak), int(findings))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--migrations", type=int, default=1400)
    parser.add_argument("--apps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    if not 1 <= options.apps <= options.migrations or options.pairs < 1:
        parser.error("give at least one app, one migration for each app, and one pair")
    with tempfile.TemporaryDirectory(prefix="safemigrate-lint-") as name:
        folder = Path(name)
        operations = generate(folder, options.apps, options.migrations)
        measured(folder, "django")  # both have their bytecode now
        pairs = [
            (measured(folder, "django"), measured(folder, "lint")) for _ in range(options.pairs)
        ]
    added_s = statistics.median(ours.seconds - theirs.seconds for theirs, ours in pairs)
    added_mb = statistics.median(ours.peak_mb - theirs.peak_mb for theirs, ours in pairs)
    table = Table(
        title=f"{options.migrations} migrations, {operations} operations, medians",
        title_justify="left",
    )
    for head in ("", "Django's own", "with judging", "added", "wanted"):
        table.add_column(head, justify="right" if head else "left")
    seconds = [statistics.median(pair[side].seconds for pair in pairs) for side in (0, 1)]
    peaks = [statistics.median(pair[side].peak_mb for pair in pairs) for side in (0, 1)]
    table.add_row(
        "time", *(f"{value:.2f} s" for value in (*seconds, added_s)), f"<= {WANTED_S:.0f} s"
    )
    table.add_row(
        "memory", *(f"{value:.0f} MB" for value in (*peaks, added_mb)), f"<= {WANTED_MB:.0f} MB"
    )
    console = Console(width=100)
    console.print(table)
    console.print(f"{pairs[0][1].findings} findings.")
    return 0 if added_s <= WANTED_S and added_mb <= WANTED_MB else 1


if __name__ == "__main__":
    raise SystemExit(main())
