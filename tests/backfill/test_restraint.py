"""A backfill waits for others, says why, and goes on."""

import threading
import time

import psycopg
import pytest
from django.db import Error, connections
from django.db.models import F
from django.test import override_settings

from safemigrate.backends.postgresql.load import look
from safemigrate.backfill import Backfill, control, run
from safemigrate.backfill.restraint import Allowance, ProbeFailed, Restraint
from safemigrate.facts.errors import BackfillFailed, WrongSettings
from safemigrate.facts.load import MIB, Limits, Load, too_much
from testproject import database

from .replicas import standby_of
from .tables import Order

SERVER = "safemigrate.backends.postgresql.server.PostgresServer"
BUSY = Load(lock_waiters=9)
answers: list[str | None] = []


def probe(alias):
    assert alias == "bf_postgres"
    return answers.pop(0) if answers else None


def bad_probe(alias):
    return 7


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def orders(make, pg):
    make(Order, rows=[{"amount": n} for n in range(1, 1_001)])
    return Order._base_manager.using(pg.alias)


# Decided without a database ----------------------------------------------------------------------


def test_the_server_is_looked_at_now_and_then_only():
    looks, clock = [], Clock()
    restraint = Restraint(lambda: looks.append(1) or Load(), Limits(), clock=clock)
    for _ in range(100):
        clock.now += 0.01
        assert restraint.why() is None
    assert 3 <= len(looks) <= 5


def test_between_two_looks_the_last_answer_counts():
    clock, loads = Clock(), [BUSY, Load()]
    restraint = Restraint(lambda: loads.pop(0), Limits(), clock=clock)
    assert restraint.why() == restraint.why() == "9 sessions wait for locks (limit 4)"
    clock.now += 1
    assert restraint.why() is None


def test_a_server_that_hides_its_load_is_said_once_and_holds_nothing_back():
    def hidden():
        raise Error("permission denied for function pg_current_wal_lsn\nCONTEXT: ...")

    said, clock = [], Clock()
    restraint = Restraint(hidden, Limits(), warn=said.append, clock=clock)
    for _ in range(3):
        assert restraint.why() is None
        clock.now += 1
    assert said == [
        "nothing holds this backfill back, the load cannot be read: permission denied for "
        "function pg_current_wal_lsn"
    ]


def test_a_look_that_failed_for_the_moment_is_tried_again():
    """Through a failover, or where a busy server gave no answer in time."""
    clock, looks = Clock(), [Error("the connection is closed"), BUSY]

    def look():
        found = looks.pop(0)
        if isinstance(found, Error):
            raise found
        return found

    said: list[str] = []
    restraint = Restraint(look, Limits(), warn=said.append, passes=lambda e: True, clock=clock)
    assert restraint.why() is None
    clock.now += 1
    assert restraint.why() == "9 sessions wait for locks (limit 4)"
    assert said == []


def test_replicas_that_this_role_may_not_see_are_said_once():
    said, clock = [], Clock()
    restraint = Restraint(lambda: Load(hidden=True), Limits(), warn=said.append, clock=clock)
    for _ in range(3):
        assert restraint.why() is None
        clock.now += 1
    assert len(said) == 1
    assert "GRANT pg_monitor" in said[0]


@pytest.mark.parametrize("answer", [7, True, ["busy"]])
def test_a_probe_that_answers_something_else_is_refused(answer):
    restraint = Restraint(lambda: None, Limits(), probe=lambda: answer)
    with pytest.raises(ProbeFailed, match="must return None or a reason"):
        restraint.why()


def test_a_cap_is_kept_over_many_batches():
    allowance, now = Allowance(), 0.0
    for _ in range(20):
        now += allowance.pause(now)
        began = now
        now += 0.01  # the batch itself
        allowance.used(100, 1_000, began)
    assert 20 * 100 / (now + allowance.pause(now)) == pytest.approx(1_000, rel=0.01)


def test_a_cap_below_two_rows_takes_one_row_at_a_time():
    assert (Allowance.most_rows(1), Allowance.most_rows(1_000)) == (1, 500)


def test_what_the_last_look_found_says_who_is_there():
    clock, loads = Clock(), [Load(others=0), Load(others=2), Load(others=0), None]
    restraint = Restraint(lambda: loads.pop(0), Limits(), clock=clock)
    found = [restraint.alone]
    while loads:
        clock.now += 1
        restraint.why()
        found.append(restraint.alone)
    assert found == [False, True, False, True, False]


# On a server -------------------------------------------------------------------------------------


def test_a_backfill_waits_as_long_as_its_probe_has_a_reason(orders, pg, heard, monkeypatch):
    monkeypatch.setattr("safemigrate.backfill.restraint.PROBE_SECONDS", 0)
    monkeypatch.setattr("safemigrate.backfill.walking.HELD_SECONDS", 0.01)
    answers[:] = ["the sale is on", "the sale is on", "", None]
    with override_settings(SAFEMIGRATE={"BACKFILL_PROBE": f"{__name__}.probe"}):
        assert run(pg, Backfill(Order, values={"n": 1}), key="k").rows == 1_000
    assert heard.count("shop_order: waiting: the probe says: the sale is on") == 2
    assert answers == []


def test_a_probe_that_cannot_be_used_stops_it_before_the_first_row(orders, pg):
    backfill = Backfill(Order, values={"n": 1})
    with (
        override_settings(SAFEMIGRATE={"BACKFILL_PROBE": f"{__name__}.bad_probe"}),
        pytest.raises(BackfillFailed, match="its probe returned 7") as failed,
    ):
        run(pg, backfill, key="k")
    assert failed.value.changed == "Nothing was changed."
    [seen] = control.seen(pg)
    assert (seen.state, seen.error) == ("failed", "ProbeFailed")
    with (
        override_settings(SAFEMIGRATE={"BACKFILL_PROBE": "shop.nothing"}),
        pytest.raises(WrongSettings, match="cannot be imported"),
    ):
        run(pg, backfill, key="k")
    assert orders.filter(n=1).count() == 0


def test_it_does_not_wait_for_ever(orders, pg, monkeypatch):
    from datetime import timedelta

    monkeypatch.setattr("safemigrate.backfill.walking.HELD_SECONDS", 0.01)
    monkeypatch.setattr(f"{SERVER}.load", lambda *_: BUSY)
    with (
        override_settings(SAFEMIGRATE={"HELD_BACK_DEADLINE": timedelta(milliseconds=50)}),
        pytest.raises(BackfillFailed, match=r"was held back for .*: 9 sessions wait for locks"),
    ):
        run(pg, Backfill(Order, values={"n": 1}), key="k")
    [seen] = control.seen(pg)
    assert (seen.state, seen.error, seen.waiting) == ("failed", "HeldBack", "")


def test_a_run_that_is_paused_while_it_waits_ends_its_walk(orders, pg, other, monkeypatch):
    """Somebody else sets the state; the walk looks at it while it has nothing else to do."""
    monkeypatch.setattr("safemigrate.backfill.walking.HELD_SECONDS", 0.01)

    def busy(*_):
        other.execute("UPDATE safemigrate_backfill SET state = 'paused'")
        other.commit()
        return BUSY

    monkeypatch.setattr(f"{SERVER}.load", busy)
    from safemigrate.backends import server_for
    from safemigrate.backfill.engine import _Engine
    from safemigrate.backfill.walking import RunSeat

    engine = _Engine(pg, server_for(pg), Backfill(Order, values={"n": 1}), "k", own=True)
    seat = RunSeat(engine.store, engine._begin(), engine.backfill)
    assert engine.walk.to(seat, (1_000,)) == 0


def test_a_cap_in_rows_per_second_is_kept(orders, pg):
    began = time.perf_counter()
    result = run(pg, Backfill(Order, values={"n": F("n") + 1}, rate=2_000), key="k")
    assert (result.rows, result.batches) == (1_000, 1)
    result = run(pg, Backfill(Order, values={"n": F("n") + 2}, rate=1_000), key="k")
    assert (result.rows, result.batches) == (1_000, 2)
    assert time.perf_counter() - began >= 0.5  # the second batch waits until the first is paid


def test_sessions_that_wait_for_locks_are_counted_after_a_moment(orders, pg, other, server):
    other.execute("SELECT 1 FROM shop_order WHERE id = 1 FOR UPDATE")
    place = {"host": str(server.socket_dir), "user": "postgres", "dbname": "postgres"}

    def wait():
        with psycopg.connect(**place, autocommit=True) as session:
            session.execute("UPDATE shop_order SET n = 1 WHERE id = 1")

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    _until(lambda: look(pg, "shop_order").lock_waiters == 2)
    other.rollback()
    for thread in threads:
        thread.join(60)
    assert look(pg, "shop_order").lock_waiters == 0


def test_others_are_those_that_do_something_or_may(pg, other):
    """A session that is idle, in a transaction or not, waits for nothing that a batch holds."""
    other.execute("SELECT 1")
    assert look(pg, "shop_order").others == 1
    assert look(pg, "shop_order", [other.info.backend_pid]).others == 0
    _until(lambda: look(pg, "shop_order").others == 0)
    with pg.cursor() as cursor:
        cursor.execute("CREATE ROLE backfills_blindly")
        try:
            cursor.execute("SET ROLE backfills_blindly")
            assert look(pg, "shop_order").others == 1  # hidden from it, so it may be busy
        finally:
            cursor.execute("RESET ROLE; DROP ROLE backfills_blindly")


def test_a_session_of_which_the_server_keeps_no_state_may_be_busy(pg, other):
    other.execute("SET track_activities = off")
    other.commit()
    with pg.cursor() as cursor:
        cursor.execute(
            "SELECT state FROM pg_stat_activity WHERE pid = %s", [other.info.backend_pid]
        )
        assert cursor.fetchall() == [("disabled",)]
    assert look(pg, "shop_order").others == 1


def test_dead_rows_of_a_partitioned_table_are_those_of_its_partitions(pg):
    with pg.cursor() as cursor:
        cursor.execute(
            'CREATE TABLE "a b" (id int) PARTITION BY RANGE (id);'
            'CREATE TABLE p1 PARTITION OF "a b" FOR VALUES FROM (0) TO (100);'
            'CREATE TABLE p2 PARTITION OF "a b" FOR VALUES FROM (100) TO (200);'
            'INSERT INTO "a b" SELECT generate_series(0, 199); DELETE FROM "a b" WHERE id % 2 = 0;'
            "SELECT pg_stat_force_next_flush()"
            if pg.pg_version >= 150000
            else "SELECT 1"
        )
    if pg.pg_version >= 150000:
        _until(lambda: look(pg, "a b").dead_rows == 100)
        assert look(pg, "a b").live_rows == 100


def test_wal_behind_a_slot_is_seen_as_it_grows(pg):
    with pg.cursor() as cursor:
        cursor.execute("SELECT pg_create_physical_replication_slot('cdc', true)")
        try:
            before = look(pg, "shop_order").slots["cdc"]
            cursor.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 3000000))")
            _until(lambda: look(pg, "shop_order").slots["cdc"] - before >= 3_000_000)
        finally:
            cursor.execute("SELECT pg_drop_replication_slot('cdc')")


@pytest.mark.slow
@pytest.mark.usefixtures("_aliases")
def test_an_archive_that_never_took_anything_is_seen_as_the_log_grows(tmp_path):
    """Its command has failed since the server was made; the disk of the log fills meanwhile."""
    options = {"archive_mode": "on", "archive_command": "false"}
    with database.start(tmp_path / "archiving", durable=False, options=options) as archiving:
        configured = connections.configure_settings({"default": {}, "bf_a": archiving.settings()})
        connections.settings["bf_a"] = configured["bf_a"]
        with connections["bf_a"].cursor() as cursor:
            cursor.execute("CREATE ROLE no_rights; SET ROLE no_rights")
            first = look(connections["bf_a"], "shop_order")
            cursor.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 3200000))")
            _until(
                lambda: look(connections["bf_a"], "shop_order").written - first.written > 2.9 * MIB
            )
            now = look(connections["bf_a"], "shop_order")
        connections["bf_a"].close()
    why = "the archive has taken no WAL yet, and 3 MB were written meanwhile"
    assert too_much(now, first, Limits(wal_behind=MIB)) == why
    assert too_much(now, first, Limits()) is None


def test_live_rows_are_known_after_the_statistics_were_lost(pg):
    """A crash, a failover or an upgrade resets them; what is dead since then is no reason yet."""
    with pg.cursor() as cursor:
        cursor.execute("CREATE TABLE counted AS SELECT generate_series(1, 200) AS id")
        cursor.execute("ANALYZE counted")
        cursor.execute("SELECT pg_stat_reset()")
    assert look(pg, "counted").live_rows == 200


def _until(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def replica(server, tmp_path):
    """A streaming replica of the server, as a session on it."""
    with (
        standby_of(server, tmp_path / "replica") as standby,
        psycopg.connect(
            host=str(standby.socket_dir), user="postgres", dbname="postgres", autocommit=True
        ) as session,
    ):
        yield session


@pytest.mark.slow
def test_a_replica_that_stands_still_stops_the_backfill_before_it_is_far_behind(
    make, pg, replica, heard
):
    make(Order)
    with pg.cursor() as cursor:
        cursor.execute(
            "INSERT INTO shop_order (amount, n) SELECT g, 0 FROM generate_series(1, 400000) g"
        )
    _until(lambda: look(pg, "shop_order").replicas.get("walreceiver") == 0)
    replica.execute("SELECT pg_wal_replay_pause()")
    furthest = []

    def go_on():
        _until(lambda: any("waiting: replica" in line for line in heard))
        with psycopg.connect(host=pg.settings_dict["HOST"], user="postgres") as session:
            for _ in range(5):
                (behind,) = session.execute(
                    "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) "
                    "FROM pg_stat_replication"
                ).fetchone()
                furthest.append(int(behind))
                time.sleep(0.1)
        replica.execute("SELECT pg_wal_replay_resume()")

    helper = threading.Thread(target=go_on)
    helper.start()
    result = run(pg, Backfill(Order, values={"n": F("n") + 1}), key="k")
    helper.join(60)
    assert result.rows == 400_000
    assert 16 * MIB < max(furthest) < 64 * MIB
