"""Somebody's word that something is safe: why, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class Assurance:
    """``until``: the last day on which it counts; None: it counts for good."""

    because: str
    until: date | None = None

    def is_over(self, today: date) -> bool:
        return self.until is not None and today > self.until


def assurance(raw: object) -> Assurance:
    """
    Read a reason, or a dict of ``because`` and ``until``.

    Raises: ValueError saying what is wrong with it.
    """
    if isinstance(raw, Mapping):
        if unknown := sorted(str(key) for key in set(raw) - {"because", "until"}):
            raise ValueError(f"{unknown[0]!r} is no part of it; there are because and until")
        return made(raw.get("because"), raw.get("until"))
    return made(raw)


def made(because: object, until: object = None) -> Assurance:
    """
    Put the two together.

    Raises: ValueError for an empty reason or no day.
    """
    if not isinstance(because, str) or not because.strip():
        raise ValueError("it needs a reason, in words: because='...'")
    return Assurance(because, day(until))


def day(raw: object) -> date | None:
    """
    A day, given as one or as ``"2027-01-31"``.

    Raises: ValueError for anything else.
    """
    if raw is None or (isinstance(raw, date) and not isinstance(raw, datetime)):
        return raw
    try:
        if isinstance(raw, str):
            return date.fromisoformat(raw)
    except ValueError:
        pass
    raise ValueError(f"until is {raw!r}; give a day, such as until='2027-01-31'")
