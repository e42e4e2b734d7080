"""A site in this process: its own apps and migration files, the real commands, no start-up time."""

from __future__ import annotations

import io
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.test import override_settings

from tests.projects import Ran

GONE_S = 60
HEAD = """
from django.db import migrations, models
from django.db.models import F, Q
from django.utils import timezone
from safemigrate.operations import *
import uuid

class Base(migrations.Migration):
    dependencies = [("shop", "{previous}")] if "{previous}" else []
"""


@dataclass
class Site:
    """``migration`` writes files of the app ``shop``, each on top of the one before."""

    folder: Path
    unique: str
    settings: dict[str, Any] = field(default_factory=dict)
    release: str = ""
    _names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        package = self.folder / f"shop_{self.unique}"
        self.migrations = package / "migrations"
        self.migrations.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (self.migrations / "__init__.py").write_text("")
        (package / "models.py").write_text("")
        (package / "apps.py").write_text(
            "from django.apps import AppConfig\n"
            f"class Shop(AppConfig):\n    name = 'shop_{self.unique}'\n    label = 'shop'\n"
        )

    def migration(self, name: str, *operations: str, after: str | None = None, **attributes) -> str:
        previous = after if after is not None else (self._names[-1] if self._names else "")
        lines = [f"    {key} = {value!r}\n" for key, value in attributes.items()]
        body = "".join(f"        {operation},\n" for operation in operations)
        (self.migrations / f"{name}.py").write_text(
            HEAD.format(previous=previous)
            + "class Migration(Base):\n"
            + "".join(lines)
            + f"    operations = [\n{body}    ]\n"
        )
        self._names.append(name)
        return name

    def code(self, name: str, text: str) -> None:
        """Append to a migration's file: what its RunPython calls."""
        path = self.migrations / f"{name}.py"
        path.write_text(textwrap.dedent(text) + path.read_text())

    @contextmanager
    def on(self) -> Iterator[None]:
        sys.path.insert(0, str(self.folder))
        ours = {"RELEASE": self.release, **self.settings.get("SAFEMIGRATE", {})}
        apps = ["safemigrate", "django.contrib.contenttypes", f"shop_{self.unique}.apps.Shop"]
        given = {"INSTALLED_APPS": apps, **self.settings, "SAFEMIGRATE": ours}
        try:
            with override_settings(**given):
                for name in [n for n in sys.modules if n.startswith(f"shop_{self.unique}.migr")]:
                    del sys.modules[name]
                yield
        finally:
            sys.path.remove(str(self.folder))

    def manage(self, command: str, *args: Any, **options: Any) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with self.on():
            try:
                call_command(command, *args, stdout=out, stderr=err, **options)
                code = 0
            except CommandError as error:
                err.write(f"CommandError: {error}")
                code = 1
            except SystemExit as error:
                code = int(error.code or 0)
            finally:
                if options.get("database", "default") == "default":
                    # The next deploy is another process, with a session of its own.
                    self.was_usable = usable(connections["default"])
                    end_session()
        return Ran(code, out.getvalue(), err.getvalue())

    def deploy(self, release: str, *args: Any, **options: Any) -> str:
        self.release = release
        ran = self.manage("migrate", *args, **options)
        assert ran.code == 0, ran.text
        return ran.out

    def applied(self) -> list[str]:
        return [
            name
            for (name,) in self.sql(
                "SELECT name FROM django_migrations WHERE app = 'shop' ORDER BY name"
            )
        ]

    def sql(self, query: str, *params: Any) -> list[Any]:
        connection = connections["default"]
        with connection.cursor() as cursor:
            cursor.execute(query, params or None)
            rows = cursor.fetchall() if cursor.description else []
        end_session()
        return rows

    def columns(self, table: str = "shop_order") -> dict[str, bool]:
        """``{column: is it nullable}``."""
        rows = self.sql(
            "SELECT column_name, is_nullable = 'YES' FROM information_schema.columns "
            "WHERE table_name = %s",
            table,
        )
        return dict(rows)


def end_session() -> None:
    """Close the connection, and return when the server has no session of it either."""
    connection = connections["default"]
    session = connection.connection
    if session is None or session.closed or connection.vendor != "postgresql":
        connection.close()
        return
    pid, where = session.info.backend_pid, session.info.get_parameters()
    connection.close()
    deadline = time.monotonic() + GONE_S
    with psycopg.connect(**where, autocommit=True) as other:
        while other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
            assert time.monotonic() < deadline, f"process {pid} does not end"
            time.sleep(0.002)


def usable(connection: Any) -> bool:
    """Whether a command left the connection as it should: no transaction, its timeouts."""
    if connection.in_atomic_block or connection.connection is None:
        return not connection.in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
        )
        return cursor.fetchone() == ("0", "0")
