"""What kind of default a new field has: it decides how its column can be added."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import functions
from django.db.models.expressions import BaseExpression, Combinable
from django.db.models.fields import NOT_PROVIDED
from django.utils import timezone


class DefaultKind(enum.Enum):
    NONE = "no default"
    CONSTANT = "one value for all rows"
    EXPRESSION = "a value that the database computes for each row"
    CALLABLE = "a value that only Python can compute"
    DATABASE_CONSTANT = "a database default that is the same for all rows"
    DATABASE_VOLATILE = "a database default that differs from row to row"


@dataclass(frozen=True)
class Default:
    """``value`` is a Python value, an expression or a callable, as ``kind`` says."""

    kind: DefaultKind
    value: Any = None


class RandomUUID(models.Func):
    """
    ``gen_random_uuid()``: in PostgreSQL's core since 13, so without django.contrib.postgres.

    Source: https://www.postgresql.org/docs/current/functions-uuid.html
    """

    function = "GEN_RANDOM_UUID"
    template = "%(function)s()"
    arity = 0
    output_field = models.UUIDField()


_EMPTY = {dict: {}, list: [], str: "", bool: False, int: 0, float: 0.0}
_DATABASE_SAYS: dict[Any, type[BaseExpression]] = {
    uuid.uuid4: RandomUUID,
    timezone.now: functions.Now,
}
# Evaluated once by ALTER TABLE ... ADD COLUMN, and so without touching a row. Anything else
# could be volatile, which makes PostgreSQL rewrite the table.
_NEVER_VOLATILE = (
    models.Value,
    functions.Now,
    functions.Cast,
    functions.Concat,
    functions.ConcatPair,
    functions.Lower,
    functions.Upper,
    models.expressions.CombinedExpression,
    models.ExpressionWrapper,
    models.expressions.NegatedExpression,
)


def default_of(field: models.Field[Any, Any]) -> Default:
    """
    Classify the default of ``field`` as ``makemigrations`` hands it to AddField.

    Includes what Django fills in by itself: ``auto_now``, and ``""`` for a blank text field.
    """
    if field.generated:
        return Default(DefaultKind.NONE)  # blank and a text in Django's eyes
    if field.has_db_default():
        expression = field.db_default
        if not isinstance(expression, BaseExpression | Combinable) or _is_constant(expression):
            return Default(DefaultKind.DATABASE_CONSTANT, expression)
        return Default(DefaultKind.DATABASE_VOLATILE, expression)
    if field.has_default():
        return _of_python(field.default)
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return Default(DefaultKind.EXPRESSION, _now_for(field))
    if isinstance(field, models.OrderWrt):
        return Default(DefaultKind.CONSTANT, 0)  # as AlterOrderWithRespectTo says to the database
    if not field.null and field.blank and field.empty_strings_allowed:
        empty: str | bytes = b"" if isinstance(field, models.BinaryField) else ""
        return Default(DefaultKind.CONSTANT, empty)
    return Default(DefaultKind.NONE)


def _of_python(default: Any) -> Default:
    if not callable(default):
        return Default(DefaultKind.CONSTANT, default)
    if not isinstance(default, Hashable):
        return Default(DefaultKind.CALLABLE, default)
    if default in _EMPTY:
        return Default(DefaultKind.CONSTANT, _EMPTY[default])
    if says := _DATABASE_SAYS.get(default):
        return Default(DefaultKind.EXPRESSION, says())
    return Default(DefaultKind.CALLABLE, default)


def _now_for(field: models.Field[Any, Any]) -> BaseExpression:
    if isinstance(field, models.DateTimeField):
        return functions.Now()
    if isinstance(field, models.DateField):
        return functions.Cast(functions.Now(), models.DateField())
    return functions.Cast(functions.Now(), models.TimeField())


def _is_constant(expression: Any) -> bool:
    return isinstance(expression, BaseExpression) and all(
        isinstance(node, _NEVER_VOLATILE) for node in expression.flatten() if node is not None
    )


_WITH_CHECK = ("PositiveBigIntegerField", "PositiveIntegerField", "PositiveSmallIntegerField")


def comes_with_check(field: models.Field[Any, Any]) -> bool:
    """Whether Django gives the column a CHECK, which ADD COLUMN would test on every row."""
    return field.get_internal_type() in _WITH_CHECK


def standing_default(field: models.Field[Any, Any]) -> Any:
    """
    The database default that lets inserts leave ``field`` out, or NOT_PROVIDED for NULL.

    A unique field has none but a fresh value for each row: a constant would serve one row.
    """
    default = default_of(field)
    if default.kind in (DefaultKind.CONSTANT, DefaultKind.DATABASE_CONSTANT):
        return NOT_PROVIDED if field.unique or default.value is None else default.value
    if default.kind in (DefaultKind.EXPRESSION, DefaultKind.DATABASE_VOLATILE):
        return default.value
    return NOT_PROVIDED
