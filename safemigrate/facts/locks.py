"""PostgreSQL's table locks: names, conflicts, and an order in which nobody deadlocks."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class LockMode(enum.Enum):
    """
    The eight table-level lock modes, weakest first.

    Source: https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
    """

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @property
    def strength(self) -> int:
        return list(LockMode).index(self)

    @property
    def pg_locks_name(self) -> str:
        """As ``pg_locks.mode`` spells it: ``AccessExclusiveLock``."""
        return self.value.title().replace(" ", "") + "Lock"

    def conflicts(self) -> frozenset[LockMode]:
        """The modes that wait for this one."""
        return _CONFLICTS[self]


_M = LockMode
_CONFLICTS = {
    _M.ACCESS_SHARE: frozenset({_M.ACCESS_EXCLUSIVE}),
    _M.ROW_SHARE: frozenset({_M.EXCLUSIVE, _M.ACCESS_EXCLUSIVE}),
    _M.ROW_EXCLUSIVE: frozenset(
        {_M.SHARE, _M.SHARE_ROW_EXCLUSIVE, _M.EXCLUSIVE, _M.ACCESS_EXCLUSIVE}
    ),
    _M.SHARE_UPDATE_EXCLUSIVE: frozenset(
        {
            _M.SHARE_UPDATE_EXCLUSIVE,
            _M.SHARE,
            _M.SHARE_ROW_EXCLUSIVE,
            _M.EXCLUSIVE,
            _M.ACCESS_EXCLUSIVE,
        }
    ),
    _M.SHARE: frozenset(set(_M) - {_M.ACCESS_SHARE, _M.ROW_SHARE, _M.SHARE}),
    _M.SHARE_ROW_EXCLUSIVE: frozenset(set(_M) - {_M.ACCESS_SHARE, _M.ROW_SHARE}),
    _M.EXCLUSIVE: frozenset(set(_M) - {_M.ACCESS_SHARE}),
    _M.ACCESS_EXCLUSIVE: frozenset(_M),
}


@dataclass(frozen=True, order=True)
class TableLock:
    """One table (its name as in ``Meta.db_table``, unquoted) and the mode it is needed in."""

    table: str
    mode: LockMode = LockMode.ACCESS_EXCLUSIVE


def canonical(locks: Iterable[TableLock]) -> list[TableLock]:
    """
    Each table once, by name, so that two runners never wait in a circle.

    The mode is the weakest that is as good as all that were asked for: of SHARE and ROW
    EXCLUSIVE that is neither, but SHARE ROW EXCLUSIVE.
    """
    asked: dict[str, frozenset[LockMode]] = {}
    for lock in locks:
        asked[lock.table] = asked.get(lock.table, frozenset()) | lock.mode.conflicts()
    return [TableLock(table, _weakest(asked[table])) for table in sorted(asked)]


def _weakest(conflicts: frozenset[LockMode]) -> LockMode:
    return next(mode for mode in LockMode if mode.conflicts() >= conflicts)
