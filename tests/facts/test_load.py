"""What is too much for a server, in numbers."""

import pytest

from safemigrate.facts.load import MIB, Limits, Load, segments_behind, too_much

QUIET = Load(replicas={"db2": MIB}, slots={"old": 900 * MIB}, live_rows=1_000_000)


def test_a_quiet_server_holds_nothing_back():
    assert too_much(QUIET, QUIET, Limits()) is None


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (Load(replicas={"a": MIB, "db2": 17 * MIB}), "replica db2 is 17 MB behind (limit 16 MB)"),
        (
            Load(slots={"old": 900 * MIB, "cdc": 1_100 * MIB}),
            "slot cdc holds 1,100 MB of WAL, 1,100 MB more than at the start",
        ),
        (Load(slots={"old": 2_000 * MIB}), "slot old holds 2,000 MB of WAL, 1,100 MB more than"),
        (Load(archive=1_040 * MIB), "1,040 MB of WAL wait to be archived, 1,040 MB more than"),
        (
            Load(archive=None, written=1_100 * MIB),
            "the archive has taken no WAL yet, and 1,100 MB were written meanwhile",
        ),
        (Load(lock_waiters=4), "4 sessions wait for locks (limit 4)"),
        (
            Load(dead_rows=1_600_000, live_rows=1_000_000),
            "1,600,000 dead rows wait for VACUUM beside 1,000,000 live ones (limit 150 %)",
        ),
    ],
)
def test_each_reason_is_said_with_its_numbers(load, why):
    assert (too_much(load, QUIET, Limits()) or "").startswith(why)


@pytest.mark.parametrize(
    "load",
    [
        Load(replicas={"delayed": 10**12}),
        Load(slots={"old": 1_900 * MIB}),
        Load(archive=None, written=1_024 * MIB),
        Load(written=10**12),
        Load(lock_waiters=3),
        Load(dead_rows=99_999, live_rows=1),
        Load(dead_rows=1_600_000, live_rows=0),
    ],
)
def test_what_is_ignored_or_was_there_before_does_not_count(load):
    assert too_much(load, QUIET, Limits(ignore_replicas=("delayed",))) is None


def test_zero_is_no_limit():
    load = Load({"a": 10**12}, {"b": 10**12}, 10**12, 1_000, 10**9, 1)
    assert too_much(load, QUIET, Limits(0, 0, 0, 0)) is None
    assert too_much(Load(archive=None, written=10**12), QUIET, Limits(0, 0, 0, 0)) is None


def test_an_archive_whose_first_segment_came_late_is_judged_by_what_waits():
    """It began to work while the backfill ran: what it has still to take is known from then on."""
    first = Load(archive=None, written=MIB)
    assert too_much(Load(archive=900 * MIB, written=9_000 * MIB), first, Limits()) is None
    assert too_much(Load(archive=9_000 * MIB, written=900 * MIB), first, Limits()) is None
    why = too_much(Load(archive=1_100 * MIB, written=9_000 * MIB), first, Limits()) or ""
    assert why.startswith("1,100 MB of WAL wait to be archived, 1,100 MB more than")


@pytest.mark.parametrize(
    ("archived", "current", "segments"),
    [
        ("000000010000000000000003", "000000010000000000000004", 0),
        ("000000010000000000000003", "000000010000000000000007", 3),
        ("0000000100000000000000FF", "000000020000000100000002", 2),
        ("000000010000000000000003.00000028.backup", "000000010000000000000007", 3),
        ("00000002.history", "000000010000000000000007", 0),
    ],
)
def test_what_is_not_archived_is_counted_in_whole_segments(archived, current, segments):
    assert segments_behind(archived, current, 16 * MIB) == segments * 16 * MIB
