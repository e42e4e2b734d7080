"""PostgreSQL's column types: which change to which, and what that means for running code."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace


class TypeChange(enum.Enum):
    """What another type means for the rows, and for the release that is still running."""

    FREE = "changed in the catalogue alone, without a look at a row"
    SHARED = "every value fits, and the code of either release can use it"
    NARROWED = "some values may not fit; the code of either release can use those that do"
    IMPOSSIBLE = "the code of one release could not use the other's values"


INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
"""The first number that does not fit."""
_ALIASES = {
    "character varying": "varchar",
    "decimal": "numeric",
    "float4": "real",
    "float8": "double precision",
    "serial": "integer",
    "bigserial": "bigint",
    "smallserial": "smallint",
    "time": "time without time zone",
    "bool": "boolean",
}
_KNOWN = {
    *INTEGERS,
    "varchar",
    "text",
    "numeric",
    "real",
    "double precision",
    "boolean",
    "date",
    "time without time zone",
    "timestamp with time zone",
    "interval",
    "uuid",
    "jsonb",
    "bytea",
    "inet",
}
_SPELT = re.compile(r"([a-z][a-z0-9_ ]*?)\s*(?:\((\d+)(?:,\s*(-?\d+))?\))?((?:\[\d*\])*)")
FLOATS = {"real": 24, "double precision": 53}
"""Integers below two to this power are kept exactly."""
_KINDS = {
    **dict.fromkeys((*INTEGERS, "numeric", *FLOATS), "number"),
    **dict.fromkeys(("varchar", "text", "char", "citext"), "text"),
    **dict.fromkeys(("date", "timestamp with time zone"), "moment"),
}


@dataclass(frozen=True)
class Type:
    """``varchar(20)[]`` as ``("varchar", 20, None, 1)``; ``size`` None is without a limit."""

    name: str
    size: int | None = None
    scale: int | None = None
    dimensions: int = 0

    @property
    def is_text(self) -> bool:
        return self.name in ("varchar", "text")

    @property
    def whole_digits(self) -> int | None:
        """Digits before the point for which there is room; None without a limit."""
        return None if self.size is None else self.size - (self.scale or 0)


def parsed(kind: str) -> Type:
    """A type as ``db_type()`` or the server spells it; one that cannot be read is only a name."""
    found = _SPELT.fullmatch(kind.strip().lower())
    if found is None:
        return Type(kind)
    name, size, scale, brackets = found.groups()
    name = _ALIASES.get(name, name)
    if name == "numeric" and size:
        return Type(name, int(size), int(scale or 0), brackets.count("["))
    return Type(
        name, int(size) if size else None, int(scale) if scale else None, brackets.count("[")
    )


def differ(found: str, wanted: str) -> bool:
    """
    Whether a column of the type ``found``, as the server spells it, is of another one.

    Only where both are known: the spellings of an extension's types are its own. Of an array the
    server does not say how many dimensions it was declared with, for it does not care.
    """
    one, other = (replace(t, dimensions=min(t.dimensions, 1)) for t in map(parsed, (found, wanted)))
    return one != other and {one.name, other.name} <= _KNOWN


def is_known(kind: str) -> bool:
    """Whether it is one of PostgreSQL's own that Django uses, or an array of them."""
    return parsed(kind).name in _KNOWN


def change(was: str, becomes: str) -> TypeChange:
    """
    Judge a change of a column that is in use.

    Of one Python type are those that code written for the other can read, compare and add to.
    """
    if is_free(was, becomes):
        return TypeChange.FREE
    old, new = parsed(was), parsed(becomes)
    if old.dimensions != new.dimensions or not _same_python(old, new):
        return TypeChange.IMPOSSIBLE
    if old.dimensions and not (old.is_text or {old.name, new.name} <= set(INTEGERS)):
        return TypeChange.IMPOSSIBLE  # no condition tells which of them an older column can hold
    if holds(old, new):
        return TypeChange.SHARED
    # An array would have to be looked at value by value.
    return TypeChange.IMPOSSIBLE if old.dimensions else TypeChange.NARROWED


def akin(was: str, becomes: str) -> bool:
    """Whether values of both are of one kind, so that somebody may mean one by the other."""
    old, new = parsed(was), parsed(becomes)
    kinds = [_KINDS.get(one.name, one.name) for one in (old, new)]
    return old.dimensions == new.dimensions and kinds[0] == kinds[1]


def is_free(was: str, becomes: str) -> bool:
    """
    Whether PostgreSQL changes the type in its catalogue alone, without looking at a row.

    Source: https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """
    old, new = parsed(was), parsed(becomes)
    if old == new:
        return True
    if old.dimensions or new.dimensions:
        return False
    if old.is_text and new.is_text:
        return _room(old.size) <= _room(new.size)
    if old.name == new.name == "numeric":
        same_scale = old.size is not None and old.scale == new.scale
        return new.size is None or (same_scale and _room(old.size) <= _room(new.size))
    return False


def _room(size: int | None) -> float:
    return float("inf") if size is None else size


def _same_python(old: Type, new: Type) -> bool:
    if old.is_text and new.is_text:
        return True
    if old.name in INTEGERS:
        # An int is as good as a Decimal or a float to add to; the other way it is not.
        return new.name in (*INTEGERS, "numeric", *FLOATS)
    return old.name == new.name == "numeric" or (old.name in FLOATS and new.name in FLOATS)


def holds(old: Type, new: Type) -> bool:
    """Whether every value of ``old`` is the same in ``new``."""
    if old.is_text and new.is_text:
        return _room(old.size) <= _room(new.size)
    if old.name in INTEGERS and new.name in INTEGERS:
        return INTEGERS[old.name] <= INTEGERS[new.name]
    if old.name in INTEGERS and new.name in FLOATS:
        return INTEGERS[old.name] <= 1 << FLOATS[new.name]
    if old.name in FLOATS and new.name in FLOATS:
        return FLOATS[old.name] <= FLOATS[new.name]
    if new.name == "numeric" and old.name in INTEGERS:
        return new.size is None or len(str(INTEGERS[old.name])) <= (new.whole_digits or 0)
    if new.name == "numeric" and old.name == "numeric":
        if new.size is None:
            return True
        enough = _room(old.whole_digits) <= _room(new.whole_digits)
        return old.size is not None and enough and (old.scale or 0) <= (new.scale or 0)
    return False
