"""Expand, backfill, contract: the three phases and their order."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Phase(enum.Enum):
    """When an operation may run, seen from a deploy."""

    EXPAND = "expand"
    BACKFILL = "backfill"
    CONTRACT = "contract"

    @property
    def order(self) -> int:
        return _ORDER[self]

    def __str__(self) -> str:
        return self.value


_ORDER = {phase: number for number, phase in enumerate(Phase)}


@dataclass(frozen=True)
class IRREVERSIBLE:
    """An operation's way back when there is none, with the reason a user is shown."""

    because: str
