"""Locks are taken when they are free, and never queued for."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connections, transaction

from safemigrate.backends import backend_for
from safemigrate.backends.postgresql import locking
from safemigrate.facts.errors import LockNotObtained
from safemigrate.facts.locks import LockMode, TableLock
from safemigrate.facts.patience import Patience
from tests.backends.conftest import meanwhile, until
from tests.conftest import address

ORDERS = [TableLock("shop_order")]


def timeouts(shop):
    return shop.ask("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")


def waiting_requests(session) -> list[tuple]:
    return session.execute("SELECT mode FROM pg_locks WHERE NOT granted").fetchall()


@pytest.mark.slow
def test_while_it_waits_nobody_stands_behind_it(shop, other, heard):
    """A report reads the table in a long transaction; every web request must go on reading it."""
    other.execute("SELECT count(*) FROM shop_order")
    params = shop.connection.get_connection_params()
    params.pop("cursor_factory", None)
    params.pop("context", None)
    done = []

    def work():
        backend = backend_for(connections["default"])
        backend.patiently(ORDERS, lambda: done.append(1))

    with psycopg.connect(**params, autocommit=True) as third, meanwhile(work) as raised:
        for _ in range(200):
            assert waiting_requests(third) == []
            third.execute("SET lock_timeout = '1ms'")
            third.execute("SELECT count(*) FROM shop_order")
        assert done == []
        other.rollback()
        until(lambda: done)
    assert raised == []


@pytest.mark.slow
def test_at_the_deadline_it_says_who_was_in_the_way(shop, backend, other, short_deadline):
    """Whoever is on call must know which session to look at."""
    other.execute("SELECT 'the monthly report', count(*) FROM shop_order")
    with pytest.raises(LockNotObtained) as raised:
        backend.patiently(ORDERS, lambda: None)
    text = str(raised.value)
    assert f"Process {other.info.backend_pid} " in text
    for words in (
        "could not lock shop_order",
        "a report",
        "idle in transaction",
        "transaction open for 00:00:",
        "the monthly report",
        "Nothing of this step was changed",
        "Run migrate again",
    ):
        assert words.lower() in text.lower()


@pytest.mark.slow
def test_what_was_begun_is_rolled_back_at_the_deadline(shop, backend, other, short_deadline):
    """Two tables are needed and one is held: the other must not stay locked."""
    other.execute("LOCK TABLE shop_tag")
    locks = [TableLock("shop_order"), TableLock("shop_tag")]
    with pytest.raises(LockNotObtained, match="shop_order, shop_tag"):
        backend.patiently(locks, lambda: None)
    assert shop.ask(
        "SELECT count(*) FROM pg_locks "
        "WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'"
    ) == [(0,)]


@contextmanager
def lock_requests(shop):
    """The statements that ask for a lock."""
    sent = []

    def note(execute, sql, params, many, context):
        sent.extend([sql] if "LOCK TABLE" in sql else [])
        return execute(sql, params, many, context)

    with shop.connection.execute_wrapper(note):
        yield sent


def starved_at_once(monkeypatch, **more):
    def starved(deadline=timedelta(minutes=5)):
        return Patience(deadline, starved_after=timedelta(0), **more)

    monkeypatch.setattr(locking, "Patience", starved)
    locking.Patience.short_wait = Patience.short_wait


@pytest.mark.slow
def test_starved_it_queues_for_an_instant(shop, backend, other, short_deadline, monkeypatch):
    """A table that is never free between two transactions; 20 ms are not felt."""
    starved_at_once(monkeypatch)
    other.execute("SELECT count(*) FROM shop_order")
    with lock_requests(shop) as tries, pytest.raises(LockNotObtained):
        backend.patiently(ORDERS, lambda: None)
    assert len(tries) > 1
    assert all("NOWAIT" not in sql and "lock_timeout = 20;" in sql for sql in tries)


@pytest.mark.slow
def test_starved_it_does_not_queue_behind_who_will_not_go(
    shop, backend, other, short_deadline, monkeypatch
):
    """A report of an hour: 20 ms of a stopped table, five times a second, would be for nothing."""
    starved_at_once(monkeypatch, long=timedelta(0))
    other.execute("SELECT count(*) FROM shop_order")
    with lock_requests(shop) as tries, pytest.raises(LockNotObtained):
        backend.patiently(ORDERS, lambda: None)
    assert len(tries) == 1


@pytest.mark.slow
def test_a_lock_that_is_held_is_asked_for_once_and_then_only_looked_at(shop, backend, other):
    """Each refusal is an ERROR in the server's log, and twenty a second wake somebody."""
    other.execute("SELECT pg_sleep(0.2), count(*) FROM shop_order")
    ending = threading.Timer(0.5, other.rollback)
    ending.start()
    with lock_requests(shop) as tries:
        assert backend.patiently(ORDERS, lambda: "done") == "done"
    ending.join()
    assert len(tries) == 2


@pytest.mark.slow
def test_a_table_of_the_same_oid_in_another_database_is_not_the_one_that_is_held(
    server, shop, backend, short_deadline
):
    """Databases made of one template have their tables under the same oids."""
    own = shop.connection.settings_dict["NAME"]
    shop.connection.close()
    with psycopg.connect(**address(server), autocommit=True) as session:
        session.execute(f"CREATE DATABASE twin_of_{own} TEMPLATE {own}")
        try:
            with psycopg.connect(**address(server, f"twin_of_{own}")) as twin:
                twin.execute("LOCK TABLE shop_order")
                oid = twin.execute("SELECT 'shop_order'::regclass::oid").fetchone()
                assert shop.ask("SELECT 'shop_order'::regclass::oid") == [oid]
                with psycopg.connect(**address(server, own)) as reader:
                    reader.execute("LOCK TABLE shop_order")
                    with pytest.raises(LockNotObtained) as raised:
                        backend.patiently(ORDERS, lambda: None)
                    assert str(raised.value).count("Process ") == 1
                    ending = threading.Timer(0.2, reader.rollback)
                    ending.start()
                    backend.patiently(ORDERS, lambda: None)
                    ending.join()
        finally:
            session.execute(f"DROP DATABASE twin_of_{own} WITH (FORCE)")


@pytest.mark.slow
def test_a_prepared_transaction_that_holds_the_table_is_told(shop, backend, other, short_deadline):
    """Forgotten by a transaction manager, it holds its locks for ever, and is nobody's session."""
    other.execute("LOCK TABLE shop_order")
    other.execute("PREPARE TRANSACTION 'forgotten'")
    other.rollback()
    other.autocommit = True
    try:
        with pytest.raises(LockNotObtained, match=r"A prepared transaction \(pg_prepared_xacts"):
            backend.patiently(ORDERS, lambda: None)
    finally:
        other.execute("ROLLBACK PREPARED 'forgotten'")


def test_a_lock_is_not_held_until_a_standby_that_is_gone_has_the_commit(server, shop, backend):
    """Every COMMIT waits for it; behind one that holds ACCESS EXCLUSIVE each read would, too."""
    shop.ask("SELECT set_config('synchronous_commit', 'on', false)")
    inside = []
    with psycopg.connect(**address(server), autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        admin.execute("SELECT pg_reload_conf()")
        try:
            until(lambda: shop.ask("SHOW synchronous_standby_names") == [("gone",)])

            def work():
                inside.append(shop.ask("SHOW synchronous_commit"))
                with shop.connection.cursor() as cursor:
                    cursor.execute("ALTER TABLE shop_order ADD COLUMN more int")

            backend.patiently(ORDERS, work)
            with psycopg.connect(**address(server, shop.connection.settings_dict["NAME"])) as web:
                web.execute("SET lock_timeout = '5s'")
                assert web.execute("SELECT count(more) FROM shop_order").fetchone() == (0,)
        finally:
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
    assert inside == [[("off",)]]
    assert shop.ask("SHOW synchronous_commit") == [("on",)]


def test_tables_are_locked_in_one_order_whoever_asks(shop, backend):
    """Two deploys that lock two tables in two orders wait for each other for ever."""
    sent = []

    def note(execute, sql, params, many, context):
        sent.append(sql)
        return execute(sql, params, many, context)

    one = TableLock("shop_tag", LockMode.SHARE)
    two = TableLock("shop_order")
    with shop.connection.execute_wrapper(note):
        backend.patiently([one, two], lambda: None)
        backend.patiently([two, one, one], lambda: None)
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert sent[0].index("shop_order") < sent[0].index("shop_tag")


def test_a_deadlock_is_tried_again(shop, backend):
    """The server has chosen us as the victim; the other one got what it needed."""
    tries = []

    def work():
        tries.append(1)
        if len(tries) < 3:
            with shop.connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$")
        return "done"

    assert backend.patiently(ORDERS, work) == "done"
    assert len(tries) == 3


@pytest.mark.parametrize("state", ["23505", "57014", "42P01"])
def test_another_error_is_not_tried_again(shop, backend, state):
    """What is wrong stays wrong, and the first error is the one to read."""
    tries = []

    def work():
        tries.append(1)
        with shop.connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")

    with pytest.raises(DatabaseError):
        backend.patiently(ORDERS, work)
    assert len(tries) == 1


def test_in_somebodys_transaction_it_just_runs(shop, backend, other):
    """The executor has locked all tables of an atomic migration already."""
    other.execute("SELECT count(*) FROM shop_order")
    with transaction.atomic():
        assert backend.patiently(ORDERS, lambda: 7) == 7


def test_a_later_statement_waits_for_an_instant_only(shop, backend, other, short_deadline):
    """A FK's parent was not foreseen: it is refused, not queued for."""
    other.execute("LOCK TABLE shop_customer")

    def work():
        with shop.connection.cursor() as cursor:
            cursor.execute("LOCK TABLE shop_customer")

    with pytest.raises(LockNotObtained):
        backend.patiently(ORDERS, work)


@pytest.mark.parametrize("users", [("0", "0"), ("7s", "9s")])
def test_timeouts_are_as_they_were_after_success(shop, backend, users):
    """The project sets them in OPTIONS, or the role has them."""
    shop.ask("SELECT set_config('lock_timeout', %s, false)", [users[0]])
    shop.ask("SELECT set_config('statement_timeout', %s, false)", [users[1]])
    with backend.unhurried():
        assert timeouts(shop) == [("0", "12h")]
    assert timeouts(shop) == [users]
    with backend.bounded(timedelta(milliseconds=20)):
        assert timeouts(shop) == [("20ms", users[1])]
    assert timeouts(shop) == [users]
    backend.patiently(ORDERS, lambda: None)
    assert timeouts(shop) == [users]


@pytest.mark.parametrize(
    "name", ["max_parallel_maintenance_workers", "max_parallel_workers_per_gather"]
)
def test_what_reads_a_whole_table_leaves_the_other_cores_to_the_traffic(
    name, shop, backend, settings
):
    """Two parallel workers on two cores are felt by every request."""
    asked = f"SELECT current_setting('{name}')"
    users = shop.ask(asked)
    with backend.unhurried():
        assert shop.ask(asked) == [("0",)]
    assert shop.ask(asked) == users
    settings.SAFEMIGRATE = {"BUILD_WORKERS": 3}
    with backend.unhurried():
        assert shop.ask(asked) == [("3",)]


@pytest.mark.parametrize("users", [("0", "0"), ("7s", "9s")])
def test_timeouts_are_as_they_were_after_a_failure(shop, backend, users):
    """A pooled connection would carry a twelve-hour timeout into a web request."""
    shop.ask("SELECT set_config('lock_timeout', %s, false)", [users[0]])
    shop.ask("SELECT set_config('statement_timeout', %s, false)", [users[1]])
    for inside in (backend.unhurried(), backend.bounded(timedelta(seconds=1))):
        with pytest.raises(DatabaseError), inside:
            shop.ask("SELECT 1/0")
        assert timeouts(shop) == [users]


def test_a_lost_connection_is_the_error_that_is_seen(shop, backend):
    """Putting the timeouts back fails too, and must not hide why."""
    with pytest.raises(OperationalError, match="terminat"), backend.unhurried():
        shop.ask("SELECT pg_terminate_backend(pg_backend_pid())")
    shop.connection.close()
