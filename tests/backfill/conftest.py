"""
A PostgreSQL and a SQLite of this folder's own, as two more aliases.

They are added to whatever settings the session has, so that these tests run with the suite and
alone; the suite's own server, once it is there, can take the place of ``bf_postgres``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, models

from testproject import database

POSTGRES, SQLITE = "bf_postgres", "bf_sqlite"


def pytest_configure() -> None:
    try:
        settings.configured or settings.DATABASES  # noqa: B018  (reads the module if one is named)
    except (ImproperlyConfigured, ImportError):
        lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        settings.configure(DATABASES={"default": lite}, INSTALLED_APPS=[], USE_TZ=True)
        import django

        django.setup()


@pytest.fixture(scope="session")
def bf_server(tmp_path_factory) -> Iterator[database.Server]:
    data = tmp_path_factory.mktemp("backfill") / "data"
    with database.start(data, durable=False, options={"deadlock_timeout": "100ms"}) as server:
        yield server


@pytest.fixture(scope="session")
def _aliases(bf_server, request) -> Iterator[None]:
    blocked = contextlib.nullcontext()
    if request.config.pluginmanager.hasplugin("django"):
        blocked = request.getfixturevalue("django_db_blocker").unblock()
    added = {
        POSTGRES: bf_server.settings(),
        SQLITE: {"ENGINE": "django.db.backends.sqlite3", "NAME": "set by the fixture"},
    }
    with blocked:
        connections.settings.update(connections.configure_settings({"default": {}, **added}))
        yield
        for alias in added:
            connections[alias].close()


@pytest.fixture
def pg(_aliases):
    """PostgreSQL, with nothing in it at the end."""
    connection = connections[POSTGRES]
    yield connection
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    connection.close()


@pytest.fixture
def sqlite(_aliases, tmp_path):
    connection = connections[SQLITE]
    connection.settings_dict["NAME"] = tmp_path / "db.sqlite3"
    yield connection
    connection.close()


@pytest.fixture
def make(pg) -> Callable[..., None]:
    """Create the tables of models and fill the first one with rows."""

    def make(*tables: type[models.Model], rows: Any = (), connection: Any = None) -> None:
        connection = connection or pg
        with connection.schema_editor() as editor:
            for model in tables:
                editor.create_model(model)
        if rows:
            tables[0]._base_manager.using(connection.alias).bulk_create(
                [tables[0](**row) for row in rows]
            )

    return make


@pytest.fixture
def other(pg, bf_server) -> Iterator[psycopg.Connection]:
    """Somebody else's session."""
    with psycopg.connect(
        host=str(bf_server.socket_dir), user="postgres", dbname="postgres", application_name="shop"
    ) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What a user is told."""
    from safemigrate.facts.progress import heard_by

    lines: list[str] = []
    with heard_by(lambda line, passing: lines.append(line)):
        yield lines
