"""What a busy database looks like, and when that is too much for work that can wait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 2**20

_SEGMENT = re.compile(r"[0-9A-F]{24}")


@dataclass(frozen=True)
class Load:
    """
    One look at a server.

    Shape:   replicas: name -> bytes of the log that it has not applied. slots: name -> bytes of
             the log kept for it. hidden: there are replicas whose position this role may not see.
             archive: bytes of the log that are not archived, 0 without an archive, None as long as
             the archive has taken nothing, so that nobody knows since when.
    Units:   written: bytes of the log, ever.
             lock_waiters: sessions that have waited for a lock for longer than a moment.
             others: sessions of this database that do something, or did a moment ago, and do not
             work on the same run.
    """

    replicas: Mapping[str, int] = field(default_factory=dict)
    slots: Mapping[str, int] = field(default_factory=dict)
    archive: int | None = 0
    lock_waiters: int = 0
    dead_rows: int = 0
    live_rows: int = 0
    hidden: bool = False
    others: int = 1
    written: int = 0


@dataclass(frozen=True)
class Limits:
    """What work that can wait leaves to others; 0 is no limit."""

    replica_lag: int = 16 * MIB
    wal_behind: int = 1024 * MIB
    lock_waiters: int = 4
    dead_rows_percent: int = 150
    ignore_replicas: tuple[str, ...] = ()


def too_much(now: Load, first: Load, limits: Limits) -> str | None:
    """
    Return what is too much, None if nothing is.

    Shape:   first: the look before the work began. What a forgotten slot has kept for weeks is
             not this work's doing, and waiting would not end it: only what came since counts.
    """
    found = (
        _replicas(now, limits),
        _kept(now, first, limits),
        _archive(now, first, limits),
        _waiters(now, limits),
        _dead(now, limits),
    )
    return next((why for why in found if why), None)


def _replicas(now: Load, limits: Limits) -> str | None:
    behind = {name: lag for name, lag in now.replicas.items() if name not in limits.ignore_replicas}
    if not behind or not limits.replica_lag:
        return None
    name, lag = max(behind.items(), key=lambda pair: pair[1])
    if lag <= limits.replica_lag:
        return None
    return f"replica {name} is {_mib(lag)} behind (limit {_mib(limits.replica_lag)})"


def _kept(now: Load, first: Load, limits: Limits) -> str | None:
    for name, kept in now.slots.items():
        grown = kept - first.slots.get(name, 0)
        if limits.wal_behind and grown > limits.wal_behind:
            return f"slot {name} holds {_mib(kept)} of WAL, {_mib(grown)} more than at the start"
    return None


def _archive(now: Load, first: Load, limits: Limits) -> str | None:
    if not limits.wal_behind:
        return None
    grown = now.written - first.written
    if now.archive is None:
        # It may never have worked. What was written since the start waits for it in any case.
        if grown > limits.wal_behind:
            return f"the archive has taken no WAL yet, and {_mib(grown)} were written meanwhile"
        return None
    grown = min(now.archive, grown) if first.archive is None else now.archive - first.archive
    if grown > limits.wal_behind:
        return (
            f"{_mib(now.archive)} of WAL wait to be archived, {_mib(grown)} more than at the start"
        )
    return None


def _waiters(now: Load, limits: Limits) -> str | None:
    if not limits.lock_waiters or now.lock_waiters < limits.lock_waiters:
        return None
    return f"{now.lock_waiters} sessions wait for locks (limit {limits.lock_waiters})"


def _dead(now: Load, limits: Limits) -> str | None:
    # Few rows are vacuumed in an instant, and their counts are mostly out of date.
    # Where nobody has counted the live ones, there is nothing to compare with.
    if not limits.dead_rows_percent or now.dead_rows < 100_000 or not now.live_rows:
        return None
    if now.dead_rows * 100 <= limits.dead_rows_percent * now.live_rows:
        return None
    return (
        f"{now.dead_rows:,} dead rows wait for VACUUM beside {now.live_rows:,} live ones "
        f"(limit {limits.dead_rows_percent} %)"
    )


def segments_behind(archived: str, current: str, segment_bytes: int) -> int:
    """
    Return the bytes of whole log segments between two segment names.

    Shape:   names of 24 hexadecimal digits, timeline first; a suffix is left out. 0 for others.
    Source:  https://www.postgresql.org/docs/current/wal-internals.html
    """
    numbers = []
    for name in (archived, current):
        found = _SEGMENT.match(name)
        if found is None:
            return 0
        per_log = 2**32 // segment_bytes
        numbers.append(int(name[8:16], 16) * per_log + int(name[16:24], 16))
    return max(0, numbers[1] - numbers[0] - 1) * segment_bytes


def _mib(size: int) -> str:
    return f"{size / MIB:,.0f} MB"
