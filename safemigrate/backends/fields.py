"""What a bound field is in the database, and the column as it is on the way to its final form."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db.models.fields import NOT_PROVIDED
from django.db.models.fields.related import ForeignObject, ManyToManyField

if TYPE_CHECKING:
    from django.db.models import BaseConstraint, Field, Index, Model

_CACHED = ("_db_default_expression", "_get_default", "db_returning", "cached_col", "unique")


def column_of(field: Field[Any, Any]) -> str:
    """The column of a field that has one."""
    if field.column is None:
        raise TypeError(f"{field} has no column of its own.")
    return field.column


def columns_of(model: type[Model], names: Iterable[str]) -> list[str]:
    """The columns of the fields that are called so."""
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    return [column_of(field) for field in fields]


def has_index(field: Field[Any, Any]) -> bool:
    """Whether the field was declared with ``db_index``; a unique field may be as well."""
    return bool(getattr(field, "db_index", False))


def through_of(field: Field[Any, Any]) -> type[Model] | None:
    """The table that Django made for a many-to-many field; None for one with a model."""
    if not isinstance(field, ManyToManyField):
        return None
    through: Any = field.remote_field.through
    made: type[Model] | None = through if through._meta.auto_created else None
    return made


def parent_of(field: Field[Any, Any]) -> type[Model] | None:
    """The model that a foreign key in the database refers to, or None if there is none."""
    if not isinstance(field, ForeignObject) or not getattr(field, "db_constraint", False):
        return None
    parent: type[Model] = field.remote_field.model
    return parent


def deletes_itself(field: Any) -> str:
    """What the server does to rows whose parent is deleted; from Django 6.1 a field can say it."""
    rule: Any = field.remote_field.on_delete if parent_of(field) else None
    return str(rule.operation) if hasattr(rule, "on_delete_sql") else ""


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
    """The column alone: no Python default, index, unique or foreign key; this database default."""
    return variant(
        field,
        null=null,
        default=NOT_PROVIDED,
        db_default=database_default,
        db_index=False,
        unique=False,
        # Checked while the column is added, it would read every row under ACCESS EXCLUSIVE.
        db_constraint=False,
        # With these Django gives the new column the moment of the migration as its default.
        auto_now=False,
        auto_now_add=False,
    )


def named(thing: BaseConstraint | Index, name: str) -> BaseConstraint | Index:
    """A copy of an index or a constraint under another name."""
    twin = thing.clone()
    twin.name = name
    return twin
