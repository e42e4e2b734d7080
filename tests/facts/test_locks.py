"""The eight table locks, as the manual has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safemigrate.facts.locks import LockMode, TableLock, canonical

# https://www.postgresql.org/docs/current/explicit-locking.html, Table 13.2: one row for the mode
# asked for, one column for the mode held, both weakest first; X means they conflict.
MANUAL = """
ACCESS SHARE            .......X
ROW SHARE               ......XX
ROW EXCLUSIVE           ....XXXX
SHARE UPDATE EXCLUSIVE  ...XXXXX
SHARE                   ..XX.XXX
SHARE ROW EXCLUSIVE     ..XXXXXX
EXCLUSIVE               .XXXXXXX
ACCESS EXCLUSIVE        XXXXXXXX
"""
ROWS = {LockMode(line[:24].strip()): line[24:].strip() for line in MANUAL.strip().splitlines()}
modes = st.sampled_from(LockMode)


@pytest.mark.parametrize("mode", LockMode)
def test_the_conflicts_are_those_of_the_manual(mode):
    """A blocker that is not found is not named."""
    expected = {other for other, mark in zip(LockMode, ROWS[mode], strict=True) if mark == "X"}
    assert mode.conflicts() == expected


@given(modes, modes)
def test_conflicts_are_mutual(one, other):
    """Who waits for whom depends on who came first only."""
    assert (one in other.conflicts()) == (other in one.conflicts())


def test_the_server_calls_them_so(pg):
    """``pg_locks.mode`` is compared with these names."""
    with pg.cursor() as cursor:
        cursor.execute("CREATE TABLE t ()")
        for mode in LockMode:
            cursor.execute("BEGIN")
            cursor.execute(f"LOCK TABLE t IN {mode.value} MODE")
            cursor.execute(
                "SELECT mode FROM pg_locks "
                "WHERE relation = 't'::regclass AND pid = pg_backend_pid()"
            )
            assert cursor.fetchall() == [(mode.pg_locks_name,)]
            cursor.execute("ROLLBACK")


locks = st.lists(st.builds(TableLock, st.sampled_from("abcd"), modes))


@given(locks)
def test_the_canonical_order_is_the_same_whoever_asks(wanted):
    """Two runners that lock the same tables in two orders wait for each other."""
    ordered = canonical(wanted)
    assert ordered == canonical(reversed(wanted)) == canonical(ordered)
    assert [lock.table for lock in ordered] == sorted({lock.table for lock in wanted})


@given(locks)
def test_each_table_is_locked_in_the_strongest_mode_asked_for(wanted):
    """To lock it weakly first and strongly later is how two upgrades deadlock."""
    for lock in canonical(wanted):
        asked = [other.mode for other in wanted if other.table == lock.table]
        assert all(lock.mode.conflicts() >= mode.conflicts() for mode in asked)
        assert lock.mode is asked[0] or len(set(asked)) > 1


def test_of_two_modes_that_neither_covers_a_third_is_taken():
    """SHARE lets other SHARE through, ROW EXCLUSIVE lets other writers through."""
    both = [TableLock("t", LockMode.SHARE), TableLock("t", LockMode.ROW_EXCLUSIVE)]
    assert canonical(both) == [TableLock("t", LockMode.SHARE_ROW_EXCLUSIVE)]
