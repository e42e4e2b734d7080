from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.conftest import address
from tests.projects import Project
from tests.stories.rows import Row
from tests.stories.schema import Schema, schema
from tests.stories.story import Story


@pytest.fixture
def next_release(tmp_path) -> Callable[[Project, str], Project]:
    """The same project, one release on: a folder of its own, the same database."""

    def copied(before: Project, release: str) -> Project:
        folder, nursery = tmp_path / release, before.nursery
        after = Project(folder, before.url, before.address, release=release, nursery=nursery)
        shutil.rmtree(after.folder)
        shutil.copytree(before.folder, after.folder)
        return after

    return copied


@pytest.fixture(scope="session")
def _made_from_scratch() -> dict[tuple[Any, ...], Schema]:
    """Models -> what was found, for all tests of the session."""
    return {}


@pytest.fixture
def from_scratch(server, databases, tmp_path, nursery, _made_from_scratch) -> Callable[..., Schema]:
    """The schema that plain Django makes of these models on an empty database."""

    def made(
        models: str | dict[str, str], apps: tuple[str, ...] = (), sql_after: str = ""
    ) -> Schema:
        by_app = {"shop": models} if isinstance(models, str) else models
        key = (*sorted(by_app.items()), apps, sql_after)
        if key not in _made_from_scratch:
            folder = tmp_path / f"scratch-{uuid.uuid4().hex}"
            with databases.one() as name:
                plain = Project(folder, server.url(name), address(server, name), apps=[*by_app])
                plain.setting('INSTALLED_APPS.remove("safemigrate")')
                plain.setting(f"INSTALLED_APPS += {[*apps]!r}")
                for app, text in by_app.items():
                    plain.models(text, app=app)
                process = nursery.process_of(plain)
                try:
                    for words in (["makemigrations", *by_app], ["migrate"]):
                        ran = process.manage(*words)
                        assert ran.code == 0, ran.text
                finally:
                    process.end()
                if sql_after:
                    plain.sql(sql_after)
                _made_from_scratch[key] = schema(plain)
        return _made_from_scratch[key]

    return made


@pytest.fixture
def story(server, databases, tmp_path, nursery) -> Callable[[Row], AbstractContextManager[Story]]:
    """Deploys one row on a new database; its processes end with it."""

    @contextmanager
    def told(row: Row) -> Iterator[Story]:
        folder = tmp_path / f"story-{uuid.uuid4().hex}"
        with databases.one() as name:
            begun = Story(row, folder, server.url(name), address(server, name), nursery)
            try:
                yield begun
            finally:
                for process in begun.alive.values():
                    process.end()

    return told
