"""Refuse a backfill that cannot work, before any database is asked."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.db.models import Field, Model, Q
from django.db.models.sql import Query
from django.utils.module_loading import import_string

from safemigrate.backfill.work import Backfill, is_called_per_row, is_expression
from safemigrate.facts.errors import WrongOperation

if TYPE_CHECKING:
    from collections.abc import Sequence

    RowsFunction = Callable[[list[Model]], Sequence[Any]]


MOST_ASIDE = 1_000  # their keys stand in the query that proves the end


def check(backfill: Backfill) -> None:
    """
    Refuse what cannot be filled.

    Raises:  WrongOperation.
    """
    _check_pace(backfill)
    if (backfill.values is None) == (backfill.function is None):
        have = "neither values nor function" if backfill.values is None else "values and function"
        raise _wrong(backfill, f"has {have}", "Give it exactly one of values= and function=.")
    if backfill.where is not None:
        _check_where(backfill, backfill.where)
    if backfill.function is not None:
        rows_function(backfill)
    if backfill.values is not None:
        if not backfill.values:
            raise _wrong(backfill, "has empty values", "Name at least one field in values=.")
        for name, value in backfill.values.items():
            field = fillable(backfill.model, name)
            _check_value(backfill, field, value)


def fillable(model: type[Model], name: object) -> Field[Any, Any]:
    """
    Return the field that may be filled under this name.

    Raises:  WrongOperation: unknown, part of the primary key, without a column of its own in the
             model's table, or computed by the database.
    """
    meta = model._meta
    label = meta.label
    if name == "pk":
        raise WrongOperation(
            f"A backfill of {label} fills pk, its primary key.",
            do="Leave it out: rows are found by it while they are filled.",
        )
    try:
        field = meta.get_field(cast("str", name))
    except FieldDoesNotExist:
        known = [part.name for part in meta.concrete_fields]
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(known)}."
        raise WrongOperation(
            f"A backfill of {label} fills {name!r}, but {label} has no such field.", do=hint
        ) from None
    if not isinstance(field, Field) or not field.concrete or field.many_to_many:
        raise WrongOperation(
            f"A backfill of {label} fills {name!r}, which has no column in {meta.db_table}.",
            do="Fill a column of the table; for a relation, backfill the model that holds it.",
        )
    if field in meta.pk_fields:
        raise WrongOperation(
            f"A backfill of {label} fills {name!r}, part of its primary key.",
            do="Leave it out: rows are found by it while they are filled.",
        )
    if field.generated:
        raise WrongOperation(
            f"A backfill of {label} fills {name!r}, which the database computes.",
            do="Leave it out: a generated column cannot be written.",
        )
    holder = field.model._meta
    if holder.concrete_model is not meta.concrete_model:
        raise WrongOperation(
            f"A backfill of {label} fills {name!r}, a column of its parent's table "
            f"{holder.db_table}.",
            do=f"Backfill {holder.label} instead: a batch writes one table.",
        )
    return field


def rows_function(backfill: Backfill) -> RowsFunction:
    """
    Import ``backfill.function``.

    Raises:  WrongOperation.
    """
    path = backfill.function
    try:
        function = import_string(cast("str", path))
    except (ImportError, AttributeError, TypeError) as error:
        raise _wrong(
            backfill,
            f"names the function {path!r}, which cannot be imported ({error})",
            'Give the dotted path of a function, like function="shop.backfills.total".',
        ) from error
    if not callable(function):
        raise _wrong(
            backfill,
            f"names {path!r}, which is a {type(function).__name__} and no function",
            'Give the dotted path of a function, like function="shop.backfills.total".',
        )
    return cast("RowsFunction", function)


def _check_pace(backfill: Backfill) -> None:
    rows = backfill.batch_rows
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
        raise _wrong(
            backfill,
            f"has batch_rows={rows!r}",
            "Give a whole number of at least 1, or None to adapt to batch_target.",
        )
    for name in ("rate", "workers"):
        number = getattr(backfill, name)
        if number is not None and (
            isinstance(number, bool) or not isinstance(number, int) or number < 1
        ):
            raise _wrong(
                backfill,
                f"has {name}={number!r}",
                "Give a whole number of at least 1, or None for what SAFEMIGRATE says.",
            )
    budget = backfill.error_budget
    if isinstance(budget, bool) or not isinstance(budget, int) or not 0 <= budget <= MOST_ASIDE:
        raise _wrong(
            backfill,
            f"has error_budget={budget!r}",
            f"Give a whole number from 0, which stops at the first row, to {MOST_ASIDE:,}.",
        )
    target = backfill.batch_target
    if not isinstance(target, timedelta) or target <= timedelta(0):
        raise _wrong(
            backfill,
            f"has batch_target={target!r}",
            "Give a positive timedelta, like timedelta(milliseconds=100).",
        )


def _check_where(backfill: Backfill, where: object) -> None:
    if not isinstance(where, Q):
        raise _wrong(
            backfill,
            f"has a where that is a {type(where).__name__}",
            "Give a django.db.models.Q.",
        )
    try:
        Query(backfill.model).add_q(where)
    except (FieldError, TypeError, ValueError, ValidationError) as error:
        raise _wrong(
            backfill, f"has a where that does not fit the model ({error})", "Correct where=."
        ) from error


def _check_value(backfill: Backfill, field: Field[Any, Any], value: Any) -> None:
    name = field.name
    if isinstance(value, type) and is_expression(value):
        raise _wrong(
            backfill,
            f"gives {name!r} the class {value.__name__}",
            f"Give an instance: {value.__name__}().",
        )
    if is_called_per_row(value):
        _check_callable(backfill, name, value)
    elif is_expression(value):
        _check_expression(backfill, name, value)
    elif not hasattr(value, "prepare_database_save"):  # a model instance is told by its key
        try:
            field.get_prep_value(value)
        except (TypeError, ValueError, ValidationError) as error:
            raise _wrong(
                backfill,
                f"gives {name!r}, a {type(field).__name__}, a value it cannot hold ({error})",
                "Correct the value.",
            ) from error


def _check_callable(backfill: Backfill, name: str, value: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return  # some built-ins do not tell
    try:
        signature.bind()
    except TypeError as error:
        raise _wrong(
            backfill,
            f"gives {name!r} a callable that cannot be called without arguments ({error})",
            "Use function= for a value that depends on the row.",
        ) from error


def _check_expression(backfill: Backfill, name: str, value: Any) -> None:
    query = Query(backfill.model)
    try:
        resolved = value.resolve_expression(query, allow_joins=False, for_save=True)
    except (FieldError, TypeError, ValueError) as error:
        raise _wrong(
            backfill,
            f"gives {name!r} an expression that does not fit the model ({error})",
            "Use columns of this table; for another one, a Subquery, or function=.",
        ) from error
    for what in ("aggregate", "over_clause"):
        if getattr(resolved, f"contains_{what}", False):
            raise _wrong(
                backfill,
                f"gives {name!r} an expression with an {what.replace('_', ' ')}",
                "An UPDATE cannot compute it: put it into a Subquery.",
            )


def _wrong(backfill: Backfill, what: str, do: str) -> WrongOperation:
    return WrongOperation(f"A backfill of {backfill.model._meta.label} {what}.", do=do)
