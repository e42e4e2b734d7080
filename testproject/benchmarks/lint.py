"""
What judging a whole project costs over Django's own loading and replaying of its migrations.

    python -m testproject.benchmarks.lint [--migrations 1400] [--apps 20] [--pairs 5] [--ours]

Each pair is two processes one after the other: Django's loader and states alone, and `safemigrate
lint --all` with all it prints; the database does not exist. Every migration adds a field; half of
them an index too, a fifth run SQL, a tenth Python. With --ours four of seven are of safemigrate's
operations instead: fills that later migrations end, contracts, an index and its state.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from testproject.benchmarks.check import INITIAL, SETTINGS, environment

WANTED_S, WANTED_MB = 3.0, 200.0
HEAD = """
from django.db import migrations, models
{imports}

def fill(apps, schema_editor):
    thing = apps.get_model("{app}", "Thing")
    for one in thing.objects.using(schema_editor.connection.alias).filter(f{number}=None)[:10]:
        one.save()

class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("{app}", "{before}")]
    operations = [
        {operations}
    ]
"""
FIELD = 'migrations.AddField("thing", "f{number}", models.IntegerField(null=True)),'
INDEX = 'migrations.AddIndex("thing", models.Index(fields=["f{number}"], name="{app}_f{number}")),'
ALTER = 'migrations.AlterField("thing", "f{number}", models.IntegerField(null=True, default=1)),'
SQL = (
    'migrations.RunSQL("UPDATE {app}_thing SET f{number} = 0 WHERE id = 5; '
    'CREATE INDEX x{number} ON {app}_thing (f{number}) WHERE f{number} > 0", ""),'
)
PYTHON = "migrations.RunPython(fill, migrations.RunPython.noop),"
# By the number of the migration modulo 7; the field is one that came with an earlier one.
OURS = {
    3: 'BatchedBackfill("thing", values={{"f{field}": 0}}, where=models.Q(f{field}=None), '
    "keep_filled=True),",
    4: 'StopFilling("thing", "f{field}"),',
    5: 'ContractDrop("thing", "f{field}"),',
    6: "migrations.SeparateDatabaseAndState(\n"
    '            [AddIndexConcurrently("thing", {index})],\n'
    '            [migrations.AddIndex("thing", {index})],\n'
    "        ),",
}
FIELD_BEFORE = {3: 1, 4: 2, 5: 3, 6: 5}
MEASURED = """
import io, os, resource, sys, time
import django
django.setup()
from django.core.management import CommandError, call_command
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
out = io.StringIO()
wall, cpu = time.perf_counter(), time.process_time()
if sys.argv[1] == "lint":
    try:
        call_command("safemigrate", "lint", "--all", stdout=out)
    except CommandError as error:
        out.write(str(error))
else:
    loader = MigrationLoader(None)
    state = ProjectState(real_apps=loader.unmigrated_apps)
    plan = dict.fromkeys(k for leaf in loader.graph.leaf_nodes()
                         for k in loader.graph.forwards_plan(leaf))
    for key in plan:
        migration = loader.graph.nodes[key]
        for operation in migration.operations:
            operation.state_forwards(migration.app_label, state)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print("".join(out.getvalue().splitlines()[-1:]))
"""


def generate(folder: Path, apps: int, migrations: int, ours: bool) -> int:
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
            mine = ours and number > 7 and number % 7 in OURS
            found = _ours(app, number) if mine else _stock(app, number)
            text = HEAD.format(
                app=app,
                before=before,
                number=number,
                atomic=not ours,
                imports="from safemigrate.operations import *" if ours else "",
                operations="\n        ".join(found),
            )
            before = f"{number:04}_f{number}"
            (package / f"{before}.py").write_text(textwrap.dedent(text))
            operations += len(found)
    return operations


def _stock(app: str, number: int) -> list[str]:
    found = [
        FIELD,
        INDEX if number % 2 else ALTER,
        *([SQL] if number % 5 == 0 else []),
        *([PYTHON] if number % 10 == 0 else []),
    ]
    return [one.format(app=app, number=number) for one in found]


def _ours(app: str, number: int) -> list[str]:
    field = number - FIELD_BEFORE[number % 7]
    index = f'models.Index(fields=["f{field}"], name="{app}_i{number}")'
    return [OURS[number % 7].format(field=field, index=index)]


@dataclass(frozen=True)
class Took:
    seconds: float
    cpu_s: float
    peak_mb: float
    said: str


def measured(folder: Path, what: str) -> Took:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, what],
        env=environment(folder, with_safemigrate=True),
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    numbers, _, said = done.stdout.partition("\n")
    seconds, cpu, peak = numbers.split()
    return Took(float(seconds), float(cpu), float(peak), said.strip())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--migrations", type=int, default=1400)
    parser.add_argument("--apps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--ours", action="store_true")
    options = parser.parse_args()
    if not 1 <= options.apps <= options.migrations or options.pairs < 1:
        parser.error("give at least one app, one migration for each app, and one pair")
    with tempfile.TemporaryDirectory(prefix="safemigrate-lint-") as name:
        folder = Path(name)
        operations = generate(folder, options.apps, options.migrations, options.ours)
        measured(folder, "django"), measured(folder, "lint")  # all have their bytecode now
        pairs = [
            (measured(folder, "django"), measured(folder, "lint")) for _ in range(options.pairs)
        ]
    return show(pairs, f"{options.migrations} migrations, {operations} operations, medians")


def show(pairs: list[tuple[Took, Took]], title: str) -> int:
    table = Table(title=title, title_justify="left")
    for head in ("", "Django's own", "with lint", "added", "wanted"):
        table.add_column(head, justify="right" if head else "left")
    rows: list[tuple[str, Callable[[Took], float], str, float]] = [
        ("time", lambda took: took.seconds, "{:.2f} s", WANTED_S),
        ("CPU time", lambda took: took.cpu_s, "{:.2f} s", WANTED_S),
        ("memory", lambda took: took.peak_mb, "{:.0f} MB", WANTED_MB),
    ]
    missed = False
    for label, of, unit, wanted in rows:
        added = statistics.median(of(ours) - of(theirs) for theirs, ours in pairs)
        sides = [statistics.median(of(pair[side]) for pair in pairs) for side in (0, 1)]
        cells = [unit.format(value) for value in (*sides, added)]
        table.add_row(label, *cells, f"<= {unit.format(wanted)}")
        missed = missed or added > wanted
    console = Console(width=100)
    console.print(table)
    console.print(pairs[0][1].said)
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
