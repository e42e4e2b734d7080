"""What a version brought, on a real server: an older one refuses it, this one does not."""

from __future__ import annotations

import psycopg
import pytest

from safemigrate.facts.features import FUNCTIONS, ROLES, SETTINGS
from tests.conftest import address
from tests.facts.statements import TABLES
from tests.facts.versions import OLDER, VERSIONED
from tests.facts.versions import TABLES as MORE


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


def test_the_server_has_what_is_older_than_all_of_them(session):
    for sql in OLDER:
        with session.transaction(force_rollback=True):
            session.execute(sql)


CALLABLE = """
    SELECT count(*) > 0 FROM pg_proc WHERE proname = %(name)s AND pronamespace = 11
    AND (%(n)s::int IS NULL OR %(n)s::int BETWEEN pronargs - pronargdefaults AND pronargs)
"""


def test_the_server_has_the_functions_of_its_version(session):
    version, there = session.info.server_version // 10000, set()
    for known in FUNCTIONS:
        name, _, arguments = known.partition("/")
        values = {"name": name, "n": int(arguments) if arguments else None}
        if session.execute(CALLABLE, values).fetchone()[0]:
            there.add(known)
    assert there == {name for name, since in FUNCTIONS.items() if version >= since}


@pytest.mark.parametrize(
    ("known", "sql"),
    [
        (SETTINGS, "SELECT name FROM pg_settings WHERE name = ANY (%s)"),
        (ROLES, "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)"),
    ],
    ids=["settings", "roles"],
)
def test_the_server_has_the_names_of_its_version(session, known, sql):
    version = session.info.server_version // 10000
    there = {name for (name,) in session.execute(sql, [list(known)])}
    assert there == {name for name, since in known.items() if version >= since}
