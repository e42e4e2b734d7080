"""Variants of a model's field: the column as it is on the way to its final form."""

from __future__ import annotations

import copy
from typing import Any

from django.db.models import Field
from django.db.models.fields import NOT_PROVIDED

_CACHED = ("_db_default_expression", "_get_default", "db_returning", "cached_col", "unique")


def variant(field: Field[Any, Any], **changes: Any) -> Field[Any, Any]:
    """
    A copy of a bound ``field`` with some attributes changed; the model keeps its own.

    ``unique=`` is spelt as in the constructor.
    """
    twin = copy.copy(field)
    for name in _CACHED:
        twin.__dict__.pop(name, None)
    for name, value in changes.items():
        setattr(twin, "_unique" if name == "unique" else name, value)
    return twin


def bare(field: Field[Any, Any], *, null: bool, database_default: Any) -> Field[Any, Any]:
    """The column alone: no Python default, index or unique; with this database default."""
    return variant(
        field,
        null=null,
        default=NOT_PROVIDED,
        db_default=database_default,
        db_index=False,
        unique=False,
    )
