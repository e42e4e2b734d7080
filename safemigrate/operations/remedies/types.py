"""A field that gets another type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.db import migrations
from django.db.models import CheckConstraint, UniqueConstraint

from safemigrate.facts.types import TypeChange, change
from safemigrate.operations.reading import Asked, db_type, is_counted, is_in_index_together
from safemigrate.operations.remedies.base import Chain
from safemigrate.operations.remedies.facets import ARRIVES, Facets
from safemigrate.operations.shadows import (
    AddShadowField,
    CopyShadowField,
    DropShadowField,
    SwapShadowField,
)

if TYPE_CHECKING:
    pass


def chain(asked: Asked, changed: Facets) -> Chain | None:
    """A column beside the old one, which takes its place; None where no release could share it."""
    operation: migrations.AlterField = asked.operation
    if not can_be_shadowed(asked, changed):
        return None
    narrowed = narrows(asked, changed)
    if changed.old.primary_key and narrowed:
        return None  # what refers to it would have to fit as well
    return through_shadow(operation.model_name, operation.name, changed, narrowed=narrowed)


def through_shadow(model_name: str, name: str, changed: Facets, *, narrowed: bool) -> Chain:
    """``narrowed``: the new type cannot hold all values, so older code has to be gone first."""
    old, new = changed.old, changed.new
    add, copy = (step(model_name, name, new) for step in (AddShadowField, CopyShadowField))
    swap = SwapShadowField(model_name, name, new, after_rollout=narrowed)
    drop = DropShadowField(model_name, name, old)
    if narrowed:
        return Chain(expand=[add], backfill=[copy], contract=[swap, drop])
    return Chain(expand=[add], backfill=[copy, swap], contract=[drop])


def type_change(asked: Asked, changed: Facets) -> TypeChange:
    """What the other type means for the rows and for running code, its CHECK included."""
    name = asked.operation.name
    was, becomes = db_type(asked, changed.old, name), db_type(asked, changed.new, name)
    if was is None or becomes is None:
        return TypeChange.IMPOSSIBLE
    found = change(was, becomes)
    if found in (TypeChange.FREE, TypeChange.SHARED) and changed.check in ARRIVES:
        return TypeChange.NARROWED
    return found


def narrows(asked: Asked, changed: Facets) -> bool:
    return type_change(asked, changed) is TypeChange.NARROWED


def can_be_shadowed(asked: Asked, changed: Facets) -> bool:
    """Whether all that hangs on the column can be carried over to another one."""
    return (
        type_change(asked, changed) is not TypeChange.IMPOSSIBLE
        and not changed.foreign_key
        and is_counted(changed.old) == is_counted(changed.new)
        and not is_bound(asked)
        and not is_in_index_together(asked, asked.operation.name)
    )


def is_bound(asked: Asked) -> bool:
    """Whether a generated column or an exclusion constraint uses the field."""
    names = re.compile(rf"\b{re.escape(asked.operation.name)}\b")
    known = (CheckConstraint, UniqueConstraint)
    bound: list[Any] = [
        c for c in asked.model.options.get("constraints", []) if type(c) not in known
    ]
    bound += [getattr(field, "expression", None) for field in asked.model.fields.values()]
    return any(names.search(repr(one)) for one in bound)
