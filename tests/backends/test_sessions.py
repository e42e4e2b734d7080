"""Who is connected, which release they run, and who may migrate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.db import connections

from safemigrate.backends import backend_for
from safemigrate.backends.postgresql.sessions import apart
from safemigrate.facts.errors import AnotherRunner
from safemigrate.facts.release import release_of
from tests.backends.conftest import meanwhile, until

SOON = timedelta(milliseconds=200)


def name(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name')")
        return cursor.fetchone()[0]


@pytest.fixture
def fresh(pg):
    """Open the connection anew with these OPTIONS."""
    kept = dict(pg.settings_dict["OPTIONS"])

    def opened(**options):
        pg.close()
        pg.settings_dict["OPTIONS"] = options
        pg.connect()
        return pg

    yield opened
    pg.close()
    if hasattr(pg, "close_pool"):
        pg.close_pool()
    pg.settings_dict["OPTIONS"] = kept


@pytest.mark.parametrize("own", ["", "shop-web", "x" * 63, "Bäckerei"])
def test_a_session_tells_its_release_behind_the_users_own_name(fresh, settings, own):
    """Dashboards group by the name; the gate reads its end."""
    settings.SAFEMIGRATE = {"RELEASE": "v2.1-rc+3"}
    connection = fresh(application_name=own) if own else fresh()
    told = name(connection)
    assert release_of(told) == "v2.1-rc+3"
    assert len(told.encode()) <= 63
    assert told.startswith(own[: own.isascii() * 10])


def test_the_name_from_the_environment_is_kept(fresh, settings, monkeypatch):
    """libpq reads PGAPPNAME by itself."""
    monkeypatch.setenv("PGAPPNAME", "from-outside")
    settings.SAFEMIGRATE = {"RELEASE": "v2"}
    assert name(fresh()) == "from-outside release=v2"


def test_without_a_release_the_name_is_left_alone(fresh, settings):
    """And no statement is spent on it."""
    settings.SAFEMIGRATE = {}
    assert name(fresh(application_name="mine")) == "mine"


def test_a_release_is_told_through_a_pool(fresh, settings):
    """A pool hands out connections that others opened, perhaps an older release."""
    pytest.importorskip("psycopg_pool")
    settings.SAFEMIGRATE = {"RELEASE": "v2"}
    connection = fresh(pool={"min_size": 1, "max_size": 1}, application_name="web")
    assert name(connection) == "web release=v2"
    connection.close()
    settings.SAFEMIGRATE = {"RELEASE": "v3"}
    connection.connect()
    assert name(connection) == "web release=v3"


def test_a_pool_of_one_is_enough_to_migrate(fresh):
    """The guard comes from outside the pool, or it would wait for itself."""
    pytest.importorskip("psycopg_pool")
    connection = fresh(pool={"min_size": 1, "max_size": 1, "timeout": 20})
    with backend_for(connection).one_runner(SOON):
        assert name(connection) is not None


def test_a_rolled_back_transaction_does_not_take_the_name_along(fresh, settings):
    """The first request fails, and the session would have lost its release."""
    settings.SAFEMIGRATE = {"RELEASE": "v2"}
    connection = fresh()
    connection.set_autocommit(False)
    connection.rollback()
    connection.set_autocommit(True)
    assert release_of(name(connection)) == "v2"


def test_others_are_seen_and_we_are_not(pg, other):
    """The gate must not hold a contract because of ourselves."""
    # Whoever used this database before may take a moment to be gone.
    seen = until(lambda: len(found := backend_for(pg).sessions()) == 1 and found)
    assert [(s.pid, s.application_name, s.user) for s in seen] == [
        (other.info.backend_pid, "a report", "postgres")
    ]
    assert seen[0].started is not None
    assert backend_for(pg).user() == "postgres"


# One runner --------------------------------------------------------------------------------


def test_a_second_runner_is_told_who_runs(pg):
    """Two deploys at once: one does the work, the other says so."""
    second = apart(pg)
    with (
        backend_for(pg).one_runner(SOON),
        pytest.raises(AnotherRunner) as raised,
        backend_for(second).one_runner(SOON),
    ):
        pass
    second.close()
    text = str(raised.value)
    assert "server process" in text
    assert "postgres" in text
    assert "Nothing was changed." in text


@pytest.mark.slow
def test_a_second_runner_waits_and_then_runs(pg, heard):
    """The first one ends in time."""
    did = []

    def second():
        with backend_for(connections["default"]).one_runner(timedelta(seconds=20)):
            did.append(2)

    with ExitStack() as stack, backend_for(pg).one_runner(SOON):
        raised = stack.enter_context(meanwhile(second))
        until(lambda: len(backend_for(pg).sessions()) >= 2)
        did.append(1)
    assert raised == []
    assert did == [1, 2]


def test_the_right_to_migrate_ends_with_the_block_also_when_it_fails(pg):
    """A failed migrate must not keep the next one out."""
    with pytest.raises(ZeroDivisionError), backend_for(pg).one_runner(SOON):
        1 / 0  # noqa: B018
    with backend_for(pg).one_runner(SOON):
        pass


def test_a_guard_that_was_lost_does_not_fail_what_was_done(pg, other):
    """A proxy closed the idle connection an hour into a build."""
    with backend_for(pg).one_runner(SOON):
        (guard,) = [s for s in backend_for(pg).sessions() if "safemigrate" in s.application_name]
        other.execute("SELECT pg_terminate_backend(%s)", [guard.pid])
        other.commit()


def test_two_databases_have_two_runners(pg, server):
    """Tenants on one server migrate side by side."""
    with backend_for(pg).one_runner(SOON):
        elsewhere = apart(pg)
        elsewhere.settings_dict["NAME"] = "postgres"
        with backend_for(elsewhere).one_runner(SOON):
            pass


HOLDER = """
    import sys, time, django
    from django.conf import settings
    settings.configure(DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "USER": "postgres",
        "HOST": sys.argv[1], "NAME": sys.argv[2]}})
    django.setup()
    from datetime import timedelta
    from django.db import connection
    from safemigrate.backends import backend_for
    with backend_for(connection).one_runner(timedelta(seconds=5)):
        print("held", flush=True)
        time.sleep(60)
"""


@pytest.mark.slow
def test_the_right_to_migrate_ends_with_a_killed_process(pg, server, database_name):
    """SIGKILL: no code of ours runs, and the next deploy must not wait for it."""
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(server.socket_dir), database_name],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AnotherRunner), backend_for(pg).one_runner(SOON):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with backend_for(pg).one_runner(timedelta(seconds=20)):
        pass


def test_the_guard_holds_back_no_vacuum(pg, other):
    """An open transaction with a snapshot would keep dead rows of every table."""
    with backend_for(pg).one_runner(SOON):
        rows = other.execute(
            "SELECT backend_xmin, backend_xid, state FROM pg_stat_activity "
            "WHERE application_name LIKE 'safemigrate:%'"
        ).fetchall()
        other.rollback()
    assert rows == [(None, None, "idle in transaction")]


def test_psycopg_is_what_we_speak_to():
    """The pool tests need its pool; everything else needs version 3."""
    assert int(psycopg.__version__.split(".")[0]) >= 3
