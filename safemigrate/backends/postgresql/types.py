"""A column's value in another type, or NULL where it does not fit."""

from __future__ import annotations

from safemigrate.facts.types import FLOATS, INTEGERS, Type, holds, is_known, parsed


def unlike(one: str, other: str, kind: str) -> str:
    """
    SQL for whether two values of one type are not the same, letter by letter.

    For a collation that knows no case, and for ``citext``, "Ann" is "ann"; of two collations the
    server would not know which to ask; and not every type has an equality.
    """
    if parsed(kind).is_text:
        return f'{one} COLLATE "C" IS DISTINCT FROM {other}'
    if is_known(kind):
        return f"{one} IS DISTINCT FROM {other}"
    return f'CAST({one} AS text) COLLATE "C" IS DISTINCT FROM CAST({other} AS text)'


def cast(value: str, was: str, becomes: str) -> str:
    """
    SQL for ``value``, a column of type ``was``, as ``becomes``; NULL where it does not fit.

    It never raises: it runs in a trigger, and running code must go on writing. Decimal places
    that the new type has not are no fit: rounded, they would be lost unnoticed.
    """
    if parsed(was) == parsed(becomes):
        return value
    fits = fitting(value, was, becomes)
    plain = f"CAST({value} AS {becomes})"
    return f"CASE WHEN {fits} THEN {plain} END" if fits else plain


def fitting(value: str, was: str, becomes: str) -> str:
    """The condition under which the cast neither fails nor cuts; ``""`` if it never does."""
    old, new = parsed(was), parsed(becomes)
    if holds(old, new):
        return ""
    if old.dimensions:
        return _fitting_array(value, old, new, becomes)
    number = value if old.name in (*INTEGERS, "numeric") else f"CAST({value} AS numeric)"
    if new.name in INTEGERS:
        bounds = f"{number} BETWEEN {-INTEGERS[new.name]} AND {INTEGERS[new.name] - 1}"
        return bounds if old.name in INTEGERS else f"{bounds} AND {number} = trunc({number})"
    if new.name == "numeric" and new.whole_digits is not None:
        bounds = f"abs({number}) < 1e{new.whole_digits}"
        whole = old.name in INTEGERS or ((old.scale or 0) <= (new.scale or 0) and old.size)
        return bounds if whole else f"{bounds} AND {number} = round({number}, {new.scale})"
    if new.name in FLOATS and old.name in INTEGERS:
        most = 1 << FLOATS[new.name]  # up to here each is kept exactly
        return f"{value} BETWEEN {-most} AND {most}"
    if new.name == "real" and old.name == "double precision":
        finite = "abs({0}) <= 3.4028234e38 OR {0} IN ('Infinity', '-Infinity', 'NaN')"
        return f"({finite.format(value)})"
    return f"length({value}) <= {new.size}" if new.is_text and new.size is not None else ""


def _fitting_array(value: str, old: Type, new: Type, becomes: str) -> str:
    """Without a query over the elements, which the WHEN of a trigger may not have."""
    if new.name in INTEGERS:
        least, most = -INTEGERS[new.name], INTEGERS[new.name] - 1
        return f"({most} < ANY ({value})) IS NOT TRUE AND ({least} > ANY ({value})) IS NOT TRUE"
    return f"CAST(CAST({value} AS {becomes}) AS text[]) = CAST({value} AS text[])"
