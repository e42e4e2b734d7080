"""Every statement of the facts, run: the lock, the scan and the rewrite are those of the table."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from safemigrate.facts.functions import Kind, kind_of
from safemigrate.facts.locks import LockMode
from safemigrate.facts.statements import FACTS, Cost, Fact
from tests.conftest import address
from tests.facts.statements import ABOUT_NO_TABLE, CANNOT_RUN_HERE, SAMPLES, TABLES, Sample

ALL = {**SAMPLES, **ABOUT_NO_TABLE}
LOCKS = """
    SELECT mode FROM pg_locks
    WHERE pid = %s AND locktype = 'relation' AND relation = %s AND granted = %s
"""
MODES = {mode.pg_locks_name: mode for mode in LockMode}
IN_A_TRANSACTION = [key for key in SAMPLES if not FACTS[key].alone]
ALONE = [key for key in SAMPLES if FACTS[key].alone]


class Table:
    """What the catalog and the counters say of one table, by its oid: it may be renamed."""

    def __init__(self, session: psycopg.Connection, name: str) -> None:
        self.session = session
        self.oid = session.execute("SELECT to_regclass(%s)::oid", [name]).fetchone()[0]
        pages = "SELECT greatest(pg_relation_size(%s) / 8192, 1)"
        self.pages = session.execute(pages, [self.oid]).fetchone()[0] if self.oid else 0
        self.file = self.stored()

    def stored(self) -> int | None:
        found = "SELECT relfilenode FROM pg_class WHERE oid = %s"
        row = self.session.execute(found, [self.oid]).fetchone()
        return row and row[0]

    def read(self, xact: str = "xact_") -> int:
        counter = f"SELECT pg_stat_get_{xact}blocks_fetched(%s)"
        return self.session.execute(counter, [self.oid]).fetchone()[0] or 0


@pytest.fixture
def session(server, database_name):
    with psycopg.connect(**address(server, database_name), autocommit=True) as connection:
        yield connection


def prepared(session: psycopg.Connection, sample: Sample, fact: Fact) -> None:
    version = session.info.server_version // 10000
    if version < fact.since:
        pytest.skip(f"{fact.words} came with PostgreSQL {fact.since}, this is {version}")
    for sql in (*TABLES.split(";"), *_split(sample.before)):
        if sql.strip():
            session.execute(sql)


def _split(sql: str) -> list[str]:
    return [sql] if "LANGUAGE" not in sql and ";" not in sql else _parts(sql)


def _parts(sql: str) -> list[str]:
    if "plpgsql" in sql:
        head, _, rest = sql.partition("END';")
        return [head + "END'", rest]
    return sql.split(";")


def strongest(session: psycopg.Connection, pid: int, oid: int, granted: bool) -> LockMode | None:
    rows = session.execute(LOCKS, [pid, oid, granted]).fetchall()
    modes = [MODES[mode] for (mode,) in rows]
    return max(modes, key=lambda mode: mode.strength, default=None)


def test_every_fact_is_run():
    assert set(FACTS) == set(ALL) | set(CANNOT_RUN_HERE)


@pytest.mark.parametrize("key", IN_A_TRANSACTION)
def test_a_statement_locks_reads_and_rewrites_what_the_facts_say(session, key):
    """In a transaction that stays open, so that the locks can be seen."""
    fact, sample = FACTS[key], SAMPLES[key]
    prepared(session, sample, fact)
    table, other = Table(session, sample.table), Table(session, sample.other)
    source = Table(session, sample.read or sample.table)
    pid, version = session.info.backend_pid, session.info.server_version // 10000
    with session.transaction(force_rollback=True):
        before = source.read()
        session.execute(sample.sql)
        assert strongest(session, pid, table.oid, True) is fact.lock_on(version)
        if fact.other is not None:
            assert strongest(session, pid, other.oid, True) is fact.other
        rewritten = table.stored() not in (table.file, None) and key != "truncate"
        assert rewritten is (fact.cost is Cost.REWRITE)
        if fact.cost is not Cost.REWRITE and fact.lock is not None:
            assert (source.read() - before >= source.pages) is (fact.cost is Cost.SCAN)


@pytest.mark.parametrize("key", ALONE)
def test_a_statement_that_runs_alone_asks_for_the_lock_of_the_facts(session, other, key):
    """Seen while it waits for somebody who has the table; in a transaction it is refused."""
    fact, sample = FACTS[key], SAMPLES[key]
    prepared(session, sample, fact)
    with pytest.raises(psycopg.errors.ActiveSqlTransaction), session.transaction():
        session.execute(sample.sql)
    table = Table(session, sample.table)
    asked = None
    pid = session.info.backend_pid
    other.execute(f"LOCK TABLE ONLY {sample.table} IN SHARE UPDATE EXCLUSIVE MODE")
    runner = threading.Thread(target=session.execute, args=[sample.sql])
    runner.start()
    deadline = time.monotonic() + 60
    while asked is None and time.monotonic() < deadline:
        asked = strongest(other, pid, table.oid, False)
        time.sleep(0.01)
    other.rollback()
    runner.join(60)
    assert asked is fact.lock
    assert (table.stored() != table.file) is (fact.cost is Cost.REWRITE)


@pytest.mark.parametrize("key", ABOUT_NO_TABLE)
def test_what_is_about_no_table_locks_none(session, key):
    fact, sample = FACTS[key], ABOUT_NO_TABLE[key]
    prepared(session, sample, fact)
    with session.transaction(force_rollback=True):
        session.execute(sample.sql)
        for name in ("t", "other"):
            assert (
                strongest(session, session.info.backend_pid, Table(session, name).oid, True) is None
            )
    assert fact.lock is None


def test_the_functions_are_those_of_the_server(session):
    """One that is missing would make a harmless SELECT a finding; one too steady, a rewrite."""
    volatile = {"v": Kind.VOLATILE, "s": Kind.STEADY, "i": Kind.STEADY}
    rows = session.execute(
        "SELECT proname, max(CASE provolatile WHEN 'v' THEN 'v' ELSE 'i' END) FROM pg_proc "
        "WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind IN ('f', 'a', 'w') "
        "AND proname !~ '^(binary_upgrade|RI_FKey|plpgsql_|dsnowball)|(handler|_trigger)$' "
        "GROUP BY 1"
    ).fetchall()
    assert len(rows) > 2000
    known = {Kind.ACTING: Kind.VOLATILE}
    wrong = [(n, v) for n, v in rows if known.get(kind_of(n), kind_of(n)) is not volatile[v]]
    # What another version made volatile stays so here, the strictest wins. Until 15 one timezone(),
    # of a time of day, was volatile by mistake.
    wrong = [(n, v) for n, v in wrong if kind_of(n) is not Kind.ACTING and n != "timezone"]
    assert wrong == []
