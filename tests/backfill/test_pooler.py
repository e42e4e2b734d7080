"""Through PgBouncer in transaction mode: each transaction may be on another session."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import ExitStack

import psycopg
import pytest
from django.db import connections
from django.db.models import F

from safemigrate.backfill import Backfill, run
from safemigrate.backfill.filling import ByServer
from testproject import database

from .shared import ROWS, many_orders, small_ranges
from .tables import Order

ALIAS, POOL = "bf_pooler", 4
PGBOUNCER = shutil.which("pgbouncer")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="there is no pgbouncer here")

CONFIG = """
[databases]
* = host={server} user=postgres
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = {size}
logfile = {folder}/log
pidfile = {folder}/pid
"""


@pytest.fixture
def pooler(server, tmp_path, _aliases):
    """The folder of the pooler's socket; the alias leads there."""
    folder = tmp_path / "p"
    folder.mkdir()
    database._give_away(folder)
    config = folder / "ini"
    config.write_text(CONFIG.format(server=server.socket_dir, folder=folder, size=POOL))
    process = subprocess.Popen(database._launcher([str(PGBOUNCER), str(config)]))
    given = {**server.settings(), "HOST": str(folder), "PORT": "6432"}
    configured = connections.configure_settings({"default": {}, ALIAS: given})
    connections.settings[ALIAS] = configured[ALIAS]
    try:
        deadline = time.monotonic() + 20
        while not (folder / ".s.PGSQL.6432").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        yield folder
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.settings[ALIAS]
        process.terminate()
        process.wait(20)


def settings_of_others(folder):
    """Return what other clients find set in the pooler's sessions."""
    found = set()
    with ExitStack() as stack:
        for _ in range(POOL):  # all at once, so that each has another session
            client = stack.enter_context(
                psycopg.connect(host=str(folder), port=6432, dbname="postgres", user="postgres")
            )
            names = ("lock_timeout", "statement_timeout", "enable_seqscan", "synchronous_commit")
            asked = ", ".join(f"current_setting('{name}')" for name in names)
            found.add(client.execute(f"SELECT {asked}").fetchone())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_each_row_is_done_once_and_nothing_is_left_in_the_sessions(
    make, pg, pooler, other, monkeypatch, workers
):
    """Sessions end under it, too: what the run sets for itself is never set for their clients."""
    small_ranges(monkeypatch)
    orders, before = many_orders(make, pg), settings_of_others(pooler)
    fill, times = ByServer.fill, []

    def loses(self, span):
        times.append(span)
        if len(times) in (20, 60):
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                "pid <> pg_backend_pid() AND query LIKE '%%safemigrate_backfill%%'"
            )
            other.commit()
        return fill(self, span)

    monkeypatch.setattr(ByServer, "fill", loses)
    backfill = Backfill(Order, values={"n": F("n") + 1}, batch_rows=200, workers=workers)
    run(connections[ALIAS], backfill, key="k")
    assert len(times) > 60
    assert set(orders.values_list("n", flat=True)) == {1}
    assert orders.count() == ROWS
    assert settings_of_others(pooler) == before
    assert len(before) == 1
