"""PostgreSQL's types: what a column's value becomes in another one, or that it does not fit."""

from __future__ import annotations

import re
from dataclasses import dataclass

_INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_ALIASES = {"character varying": "varchar", "decimal": "numeric", "float8": "double precision"}
_PARTS = re.compile(r"([a-z][a-z0-9_ ]*?)\s*(?:\((\d+)(?:,\s*(-?\d+))?\))?")


@dataclass(frozen=True)
class Type:
    """``varchar(20)`` as ``("varchar", 20, None)``; ``numeric(8, 2)`` as ``("numeric", 8, 2)``."""

    name: str
    size: int | None = None
    scale: int | None = None

    @property
    def is_integer(self) -> bool:
        return self.name in _INTEGERS

    @property
    def is_text(self) -> bool:
        return self.name in ("varchar", "text")

    @property
    def digits(self) -> int | None:
        """Digits before the point that every value of a numeric fits in; None without a bound."""
        return None if self.size is None else self.size - (self.scale or 0)


def parsed(kind: str) -> Type:
    found = _PARTS.fullmatch(kind.strip().lower())
    if found is None:
        return Type(kind)
    name, size, scale = found.groups()
    name = _ALIASES.get(name, name)
    if name == "numeric" and size:
        return Type(name, int(size), int(scale or 0))
    return Type(name, int(size) if size else None, int(scale) if scale else None)


def cast(value: str, was: str, becomes: str) -> str:
    """
    SQL for ``value``, a column of type ``was``, as ``becomes``; NULL where it does not fit.

    It never raises: it runs in a trigger, and running code must go on writing. Decimal places
    that the new type has not are rounded, as PostgreSQL's own cast does.
    """
    if parsed(was) == parsed(becomes):
        return value
    fits = fitting(value, was, becomes)
    plain = f"CAST({value} AS {becomes})"
    return f"CASE WHEN {fits} THEN {plain} END" if fits else plain


def fitting(value: str, was: str, becomes: str) -> str:
    """The condition under which the cast does not fail or cut; ``""`` if it never does."""
    old, new = parsed(was), parsed(becomes)
    if new.is_integer:
        limit = _INTEGERS[new.name]
        if old.is_integer and _INTEGERS[old.name] <= limit:
            return ""
        whole = value if old.is_integer else f"round({value})"
        return f"{whole} BETWEEN {-limit} AND {limit - 1}"
    if new.name == "numeric" and new.digits is not None:
        if old.is_integer and len(str(_INTEGERS[old.name])) <= new.digits:
            return ""
        if old.name == "numeric" and _holds(old, new):
            return ""
        number = value if old.name == "numeric" else f"CAST({value} AS numeric)"
        return f"abs(round({number}, {new.scale})) < 1e{new.digits}"
    if new.is_text and new.size is not None:
        if old.is_text and old.size is not None and old.size <= new.size:
            return ""
        return f"length({value}) <= {new.size}"
    return ""


def _holds(old: Type, new: Type) -> bool:
    """Whether no numeric of ``old`` has too many digits before the point, rounded or not."""
    if old.digits is None or new.digits is None:
        return new.digits is None
    rounds = (new.scale or 0) < (old.scale or 0)
    return old.digits + rounds <= new.digits
