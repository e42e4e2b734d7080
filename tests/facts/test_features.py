"""What a version brought, on a real server: an older one refuses it, this one does not."""

from __future__ import annotations

import psycopg
import pytest

from safemigrate.facts.features import _FUNCTIONS
from tests.conftest import address
from tests.facts.statements import TABLES
from tests.facts.versions import TABLES as MORE
from tests.facts.versions import VERSIONED


@pytest.fixture
def session(server, database_name):
    with psycopg.connect(**address(server, database_name), autocommit=True) as connection:
        for sql in (*TABLES.split(";"), *MORE.split(";")):
            if sql.strip():
                connection.execute(sql)
        yield connection


def test_the_server_has_what_came_with_it_and_refuses_what_came_later(session):
    version = session.info.server_version // 10000
    wrong = []
    for since, sql in VERSIONED:
        try:
            with session.transaction(force_rollback=True):
                session.execute(sql)
            runs = True
        except psycopg.Error:
            runs = False
        wrong += [(since, sql)] if runs is not (version >= since) else []
    assert wrong == []


def test_the_server_has_the_functions_of_its_version(session):
    version = session.info.server_version // 10000
    sql = "SELECT count(*) > 0 FROM pg_proc WHERE proname = %s"
    there = {name for name in _FUNCTIONS if session.execute(sql, [name]).fetchone()[0]}
    assert there == {name for name, since in _FUNCTIONS.items() if version >= since}
