"""The database starter: one server per folder, and none that outlives its owner."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import environ
import psycopg
import pytest

from testproject import database

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with database.start(tmp_path_factory.mktemp("pg") / "data", durable=False) as started:
        yield started


def ask(server, question):
    with psycopg.connect(host=str(server.socket_dir), user="postgres") as connection:
        return connection.execute(question).fetchone()[0]


def test_a_started_server_answers_and_knows_its_version(server):
    assert ask(server, "SHOW server_version") == server.version


def test_a_server_for_tests_does_not_wait_for_the_disk(server):
    assert ask(server, "SHOW fsync") == "off"
    assert ask(server, "SHOW log_lock_waits") == "on"


def test_nothing_listens_on_tcp(server):
    assert ask(server, "SHOW listen_addresses") == ""


def test_the_url_and_the_settings_name_the_same_database(server):
    read = environ.Env.db_url_config(server.url("shop"))
    assert {key: read[key] for key in server.settings("shop")} == server.settings("shop")


def test_a_second_start_on_the_same_folder_shares_the_running_server(server):
    second = database.start(server.data, durable=False)
    second.stop()  # not its own: goes on
    assert second.socket_dir == server.socket_dir
    assert ask(server, "SELECT 1") == 1


def test_a_durable_server_keeps_fsync_and_takes_options(tmp_path):
    options = {"work_mem": "7MB"}
    with database.start(tmp_path / "data", durable=True, options=options) as server:
        assert ask(server, "SHOW fsync") == "on"
        assert ask(server, "SHOW work_mem") == "7MB"
        folder = server.socket_dir
    assert not folder.exists()


def test_a_setting_the_server_refuses_is_shown_in_its_own_words(tmp_path):
    with pytest.raises(database.DatabaseError, match="no_such_setting"):
        database.start(tmp_path / "data", durable=False, options={"no_such_setting": "1"})


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(database.DatabaseError, match="Nothing was changed"):
        database.start(tmp_path, durable=False)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_data_of_another_version_is_refused(tmp_path):
    (tmp_path / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(database.DatabaseError, match=r"made by PostgreSQL 9\.6"):
        database.start(tmp_path, durable=False)


def test_a_folder_of_binaries_without_postgres_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(database.DatabaseError, match="no postgres and no initdb"):
        database.binaries()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_the_server_ends_with_its_owner_even_if_that_is_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from testproject import database\n"
        "s = database.start(Path(sys.argv[1]), durable=False)\n"
        "print(s.process.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        postmaster = int(owner.stdout.readline())
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while (tmp_path / "data" / "postmaster.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (tmp_path / "data" / "postmaster.pid").exists()
    while is_running(postmaster) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(postmaster)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
