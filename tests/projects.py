"""A throw-away Django project, used as its developers and its deploy script would."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_S = 120

# Python takes what it has compiled for current if size and second of the source are the same, as
# those of models are in which a field got another name.
SETTINGS = """
import sys
sys.dont_write_bytecode = True
import os, environ
from datetime import timedelta
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent
DATABASES = {"default": environ.Env().db("DATABASE_URL")}
INSTALLED_APPS = ["safemigrate", "django.contrib.contenttypes", *os.environ["APPS"].split()]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "x"
USE_TZ = True
SAFEMIGRATE = {"RELEASE": os.environ.get("RELEASE", "")}
"""

MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


@dataclass
class Ran:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


class Nursery(Protocol):
    """Whoever has a process ready for a command."""

    def manage(
        self, project: Project, *words: str, env: Mapping[str, str] | None = None
    ) -> Ran: ...


@dataclass
class Project:
    """
    A project with the apps that ``write`` was given; every command is a process of its own.

    ``release``: what the environment says when a command runs. ``nursery``: where its processes
    come from; without one each starts a Python.
    """

    folder: Path
    url: str
    address: dict[str, str]
    release: str = ""
    apps: list[str] = field(default_factory=lambda: ["shop"])
    environment: dict[str, str] = field(default_factory=dict)
    nursery: Nursery | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.write("config.py", SETTINGS)
        self.write("manage.py", MANAGE)
        for app in self.apps:
            self.add_app(app)

    def add_app(self, app: str) -> None:
        self.write(f"{app}/__init__.py", "")
        self.write(f"{app}/migrations/__init__.py", "")
        self.models("", app=app)
        if app not in self.apps:
            self.apps.append(app)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
        return path

    def setting(self, line: str) -> None:
        with (self.folder / "config.py").open("a") as config:
            config.write(line + "\n")

    def models(self, text: str, app: str = "shop") -> None:
        head = "from django.db import models\nimport uuid\nfrom django.utils import timezone\n"
        self.write(f"{app}/models.py", head + textwrap.dedent(text))

    def migration(self, name: str, text: str, app: str = "shop") -> None:
        head = (
            "from django.db import migrations, models\n"
            "from django.db.models import F, Q\n"
            "from safemigrate.operations import *\n"
        )
        self.write(f"{app}/migrations/{name}.py", head + textwrap.dedent(text))

    def migrations(self, app: str = "shop") -> list[str]:
        found = (self.folder / app / "migrations").glob("0*.py")
        return sorted(path.stem for path in found)

    def read(self, migration: str, app: str = "shop") -> str:
        return (self.folder / app / "migrations" / f"{migration}.py").read_text()

    def env(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "DATABASE_URL": self.url,
            "APPS": " ".join(self.apps),
            "RELEASE": self.release,
            "PYTHONWARNINGS": "error::Warning:safemigrate",
            # What a check remembers is of no use to anybody once the project is thrown away.
            "XDG_CACHE_HOME": str(self.folder.parent / "cache"),
            **self.environment,
            **more,
        }

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *args],
            cwd=self.folder,
            env=self.env(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def manage(self, *args: str, **env: str) -> Ran:
        """Run a command to its end, whatever that is."""
        if self.nursery is not None:
            return self.nursery.manage(self, *args, env=env)
        process = self.start(*args, **env)
        out, err = process.communicate(timeout=DEADLINE_S)
        return Ran(process.returncode, out, err)

    def run(self, *args: str, **env: str) -> Ran:
        """Run a command that must succeed."""
        ran = self.manage(*args, **env)
        assert ran.code == 0, f"manage.py {' '.join(args)} exited {ran.code}:\n{ran.text}"
        return ran

    def deploy(self, release: str, *args: str) -> Ran:
        self.release = release
        return self.run("migrate", *args)

    def connect(self, application_name: str = "psql") -> psycopg.Connection[Any]:
        """A session of somebody else's, by default one that the gate ignores."""
        return psycopg.connect(**self.address, autocommit=True, application_name=application_name)

    def sql(self, query: str, params: Any = None) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    def applied(self, app: str = "shop") -> list[str]:
        rows = self.sql("SELECT name FROM django_migrations WHERE app = %s ORDER BY name", [app])
        return [name for (name,) in rows]

    def columns(self, table: str) -> dict[str, tuple[str, bool, str | None]]:
        """``{column: (type, nullable, default)}``."""
        rows = self.sql(
            """
            SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
                   pg_get_expr(d.adbin, d.adrelid)
            FROM pg_attribute a
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
            """,
            [table],
        )
        return {name: (kind, nullable, default) for name, kind, nullable, default in rows}

    def indexes(self, table: str) -> dict[str, bool]:
        """``{index: is it valid}``."""
        return dict(
            self.sql(
                "SELECT c.relname, i.indisvalid FROM pg_index i "
                "JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass(%s)",
                [table],
            )
        )
