"""The suite's PostgreSQL and a SQLite, as two more aliases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections, models

POSTGRES, SQLITE = "bf_postgres", "bf_sqlite"


@pytest.fixture(scope="session")
def _aliases(server, django_db_blocker) -> Iterator[None]:
    added = {
        POSTGRES: server.settings(),
        SQLITE: {"ENGINE": "django.db.backends.sqlite3", "NAME": "set by the fixture"},
    }
    configured = connections.configure_settings({"default": {}, **added})
    with django_db_blocker.unblock():
        connections.settings.update({alias: configured[alias] for alias in added})
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
def connected_with(pg, monkeypatch):
    """Have this thread and all others connect with other settings."""

    def change(name: str, value: Any) -> None:
        # After a reconnection the wrapper has a dict of its own.
        monkeypatch.setitem(connections.settings[POSTGRES], name, value)
        monkeypatch.setitem(pg.settings_dict, name, value)
        pg.close()

    yield change
    pg.close()


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
def other(pg, server) -> Iterator[psycopg.Connection]:
    """Somebody else's session."""
    with psycopg.connect(
        host=str(server.socket_dir), user="postgres", dbname="postgres", application_name="shop"
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
