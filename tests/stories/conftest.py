from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.conftest import address
from tests.projects import Project
from tests.stories.schema import schema


@pytest.fixture
def next_release(tmp_path) -> Callable[[Project, str], Project]:
    """The same project, one release on: a folder of its own, the same database."""

    def copied(before: Project, release: str) -> Project:
        after = Project(tmp_path / release, before.url, before.address, release=release)
        shutil.rmtree(after.folder)
        shutil.copytree(before.folder, after.folder)
        return after

    return copied


@pytest.fixture
def from_scratch(server, tmp_path) -> Iterator[Callable[[str], dict]]:
    """The schema that plain Django makes of these models on an empty database."""
    name = f"s_{uuid.uuid4().hex[:12]}"

    def made(models: str) -> dict:
        plain = Project(tmp_path / "plain", server.url(name), address(server, name))
        plain.setting('INSTALLED_APPS.remove("safemigrate")')
        plain.models(models)
        plain.run("makemigrations")
        plain.run("migrate")
        return schema(plain)

    with psycopg.connect(**address(server), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        yield made
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
