"""A PostgreSQL of the session's own, a database for each test, and projects to deploy."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import django
import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import HealthCheck
from hypothesis import settings as examples

from testproject import database
from tests.databases import Databases
from tests.nursery import Nursery
from tests.projects import Project

# How fast this machine makes examples just now says nothing about what they are examples of.
examples.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("any")

SERVER_OPTIONS = {
    "deadlock_timeout": "100ms",
    "max_connections": "60",
    "max_prepared_transactions": "2",
}


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Which versions these results are about."""
    return [
        f"django: {django.get_version()}, psycopg: {psycopg.__version__}, "
        f"PostgreSQL: {database._version(database.binaries())}"
    ]


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Mark what asks a server, so that it can be chosen for another version of it.

    On several cores the long tests begin first: those that wait leave their core to quick ones,
    and none is left alone at the end.
    """
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker("server")
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Ten thousand tests stay to the end: no collection of garbage need look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server() -> Iterator[database.Server]:
    folder = Path(tempfile.mkdtemp(prefix="sm-pg-"))
    try:
        with database.start(folder / "data", durable=False, options=SERVER_OPTIONS) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _pointed(server: database.Server) -> None:
    settings.DATABASES["default"].update(server.settings())
    connections.settings["default"].update(server.settings())


@pytest.fixture(scope="session")
def databases(server: database.Server) -> Databases:
    return Databases(address(server))


@pytest.fixture
def database_name(databases: Databases) -> Iterator[str]:
    """An empty database of one's own."""
    with databases.one() as name:
        yield name


def address(server: database.Server, name: str = "postgres") -> dict[str, str]:
    return {"host": str(server.socket_dir), "user": "postgres", "dbname": name}


@pytest.fixture
def pg(_pointed, database_name, django_db_blocker):
    """``connections["default"]`` on a new empty database."""
    connection = connections["default"]
    connection.close()
    connection.settings_dict["NAME"] = database_name
    with django_db_blocker.unblock():
        yield connection
        connection.close()


@pytest.fixture
def lite(django_db_blocker):
    """``connections["lite"]``: a new empty SQLite."""
    connection = connections["lite"]
    with django_db_blocker.unblock():
        yield connection
        # Its own close() keeps a database in memory alive, for the next test to stumble over.
        BaseDatabaseWrapper.close(connection)


@pytest.fixture
def other(server, database_name) -> Iterator[psycopg.Connection]:
    """Somebody else's session on the same database, outside of any transaction at first."""
    with psycopg.connect(**address(server, database_name), application_name="a report") as session:
        yield session
        session.rollback()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery(Path(tempfile.mkdtemp(prefix="sm-n-")))
    yield made
    made.close()
    shutil.rmtree(made.folder)


@pytest.fixture
def project(server, database_name, tmp_path, nursery) -> Project:
    """A Django project in a folder of its own, with a database; ``manage.py`` is a process."""
    where = server.url(database_name), address(server, database_name)
    return Project(tmp_path / "project", *where, nursery=nursery)


@pytest.fixture(autouse=True)
def _no_release_from_outside(monkeypatch) -> None:
    """A hosting platform that runs these tests must not lend them its release."""
    from safemigrate.facts.release import PLATFORM_VARIABLES

    for name in PLATFORM_VARIABLES:
        if name in os.environ:
            monkeypatch.delenv(name)
