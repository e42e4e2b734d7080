"""The same words for the same work, in every process: what a resumed run is compared by."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import hashlib
import json
import types
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from django.db.models import Field, Model, QuerySet
from django.db.models.sql import Query
from django.utils.functional import cached_property

if TYPE_CHECKING:
    from safemigrate.backfill.work import Backfill

_PRINTED = (
    decimal.Decimal,
    uuid.UUID,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    float,
    complex,
    range,
)


def fingerprint(backfill: Backfill) -> str:
    """
    Return the sha256 of what is to be done: model, values or function, where.

    How fast it is done (batch_rows, batch_target) is no part of it: a run may be resumed with
    other ones. Nothing in it depends on the process: no address, no hash seed, no database.
    """
    work = [backfill.model, backfill.values, backfill.function, backfill.where]
    words = json.dumps(_plain(work, ()), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(words.encode()).hexdigest()


def _plain(value: Any, within: tuple[int, ...]) -> Any:
    """
    Return ``value`` as lists and strings.

    Shape:   within: ids of the objects this one is inside of. Querysets refer back to themselves,
             and a reference to an outer object is said by how far out it is.
    """
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, enum.Enum)):
        return value
    if id(value) in within:
        return ["outer", len(within) - within.index(id(value))]
    within = (*within, id(value))
    said = _printed(value)
    return said if said is not None else _opened(value, lambda part: _plain(part, within))


def _printed(value: Any) -> list[Any] | None:
    """Return what says itself in one word, None for what has to be opened."""
    if isinstance(value, enum.Enum):
        return ["enum", _path(type(value)), value.name]
    if isinstance(value, _PRINTED):
        return [_path(type(value)), repr(value)]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, type):
        # A historical model is a class made anew by each process: only its label is its name.
        meta = getattr(value, "_meta", None)
        return ["model", meta.label] if meta is not None else ["class", _path(value)]
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType)):
        return ["function", _path(value)]
    return None


def _opened(value: Any, plain: Callable[[Any], Any]) -> list[Any]:
    if isinstance(value, Mapping):
        pairs = [[plain(key), plain(part)] for key, part in value.items()]
        return ["mapping", sorted(pairs, key=json.dumps)]
    if isinstance(value, (set, frozenset)):
        return ["set", sorted((plain(part) for part in value), key=json.dumps)]
    if isinstance(value, (list, tuple)):
        return ["list", [plain(part) for part in value]]
    if isinstance(value, functools.partial):
        return ["partial", plain(value.func), plain(value.args), plain(value.keywords)]
    if isinstance(value, types.MethodType):
        return ["method", value.__func__.__qualname__, plain(value.__self__)]
    if isinstance(value, Model):
        return ["instance", value._meta.label, plain(value.pk)]
    if isinstance(value, QuerySet):
        return ["queryset", plain(value.query)]
    if isinstance(value, Field) and hasattr(value, "model"):
        return ["field", value.model._meta.label, value.name]
    return _object(value, plain)


def _object(value: Any, plain: Callable[[Any], Any]) -> list[Any]:
    if hasattr(value, "deconstruct"):
        try:
            return ["built", plain(value.deconstruct())]
        except ValueError:
            pass  # a class that cannot be imported by name: its contents tell it apart
    # What a cached property keeps depends on who asked before; so does a subquery's table_map,
    # which is relabelled in place when the query around it is compiled.
    held = {
        name: plain(part)
        for name, part in getattr(value, "__dict__", {}).items()
        if not isinstance(getattr(type(value), name, None), cached_property)
        and not (name == "table_map" and isinstance(value, Query))
    }
    return ["object", _path(type(value)), sorted(held.items())]


def _path(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
