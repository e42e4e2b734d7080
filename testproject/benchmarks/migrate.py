"""
What ``migrate`` costs when there is nothing unusual to do, against Django's own.

    python -m testproject.benchmarks.migrate [--migrations 200] [--pairs 7]

The same project and the same plan, with and without safemigrate in INSTALLED_APPS, each run on a
database of its own and in a process of its own, in pairs whose order changes. Two plans: on an
empty database (a first install, a test database) and on one that has the first migrations, with a
release set, where the gate looks and the order of releases is kept.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from testproject import database

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = 5

SETTINGS = """
import os
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", "USER": "postgres",
    "NAME": os.environ["NAME"], "HOST": {host!r}}}}}
INSTALLED_APPS = [*os.environ["FIRST"].split(), "django.contrib.contenttypes",
                  "django.contrib.auth", {apps}]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "x"
SAFEMIGRATE = {{"RELEASE": os.environ["RELEASE"]}}
"""

INITIAL = """
from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel("Thing", [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.CharField(max_length=100)),
        ]),
    ]
"""

FURTHER = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [({app!r}, {before!r})]
    operations = [
        migrations.AddField("thing", "field{number}", models.IntegerField(null=True)),
    ]
"""


def write_project(folder: Path, host: str, migrations: int) -> None:
    """Five apps whose tables get a nullable column per migration: the everyday plan."""
    apps = [f"app{number}" for number in range(APPS)]
    (folder / "config.py").write_text(SETTINGS.format(host=host, apps=", ".join(map(repr, apps))))
    for app in apps:
        target = folder / app / "migrations"
        target.mkdir(parents=True)
        (folder / app / "__init__.py").touch()
        (target / "__init__.py").touch()
        fields = migrations // APPS - 1
        columns = "".join(f"    field{n} = models.IntegerField(null=True)\n" for n in range(fields))
        (folder / app / "models.py").write_text(
            "from django.db import models\n\n\nclass Thing(models.Model):\n"
            f"    name = models.CharField(max_length=100)\n{columns}"
        )
        (target / "m0000.py").write_text(INITIAL)
        for number in range(fields):
            text = FURTHER.format(app=app, before=f"m{number:04}", number=number)
            (target / f"m{number + 1:04}.py").write_text(text)


def migrate(folder: Path, name: str, *, first: str, release: str, words: tuple[str, ...]) -> float:
    """The seconds of one ``manage.py migrate`` process."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "DJANGO_SETTINGS_MODULE": "config",
        "NAME": name,
        "FIRST": first,
        "RELEASE": release,
    }
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "-v0", *words],
        env=environment,
        cwd=folder,
        check=True,
    )
    return time.perf_counter() - started


def paired(folder: Path, server: database.Server, pairs: int, *, fresh: bool) -> list[list[float]]:
    """``[[django seconds, safemigrate seconds], ...]``"""
    results = []
    for pair in range(pairs + 1):
        seconds = {}
        order = ["", "safemigrate"] if pair % 2 else ["safemigrate", ""]
        for first in order:
            name = f"b{pair}_{'ours' if first else 'django'}_{'fresh' if fresh else 'old'}"
            psql(server, f"CREATE DATABASE {name}")
            if not fresh:
                for app in range(APPS):
                    words = (f"app{app}", "m0000")
                    migrate(folder, name, first=first, release="r1", words=words)
            seconds[first] = migrate(folder, name, first=first, release="r2", words=())
            psql(server, f"DROP DATABASE {name}")
        if pair:  # the first pair compiles bytecode and fills caches
            results.append([seconds[""], seconds["safemigrate"]])
    return results


def psql(server: database.Server, statement: str) -> None:
    subprocess.run(
        [server.bin / "psql", "-q", "-h", server.socket_dir, "-U", "postgres", "-c", statement],
        check=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--migrations", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        database.start(Path(temporary, "data"), durable=True) as server,
    ):
        folder = Path(temporary, "project")
        folder.mkdir()
        write_project(folder, str(server.socket_dir), options.migrations)
        print(
            f"{options.migrations} migrations, {options.pairs} pairs, PostgreSQL {server.version}"
        )
        for fresh in (True, False):
            results = paired(folder, server, options.pairs, fresh=fresh)
            django, ours = (statistics.median(column) for column in zip(*results, strict=True))
            ratio = statistics.median(ours / django for django, ours in results)
            where = "empty database" if fresh else "database in use"
            print(f"{where}: Django {django:.2f} s, safemigrate {ours:.2f} s, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
