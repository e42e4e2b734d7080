"""What an index or a constraint says: which fields it names, and the same with other names."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ProjectState
from django.db.models import BaseConstraint, F, Index, Q, Value
from django.db.models.constants import LOOKUP_SEP


def fields_read(*things: Any) -> set[str]:
    """The fields of the model that conditions and expressions name, in lower case."""
    names: set[str] = set()
    for thing in things:
        if isinstance(thing, Q):
            for child in thing.children:
                if isinstance(child, tuple):
                    names |= {_head(child[0])} | fields_read(child[1])
                else:
                    names |= fields_read(child)
        elif isinstance(thing, F):
            names.add(_head(thing.deconstruct()[1][0]))
        elif hasattr(thing, "get_source_expressions"):
            names |= fields_read(*thing.get_source_expressions())
    return names


def _head(path: Any) -> str:
    return str(path).partition(LOOKUP_SEP)[0].lower()


def fields_of(thing: Any) -> set[str]:
    """The fields that an index or a constraint rests on; empty if that cannot be told."""
    plain = [*(getattr(thing, "fields", None) or ()), *(getattr(thing, "include", None) or ())]
    expressions = list(getattr(thing, "expressions", None) or ())
    if _is_exclusion(thing):
        expressions = [expression for expression, _ in thing.expressions]
        expressions = [F(e) if isinstance(e, str) else e for e in expressions]
    read = fields_read(getattr(thing, "condition", None), *expressions)
    return {str(name).lstrip("-").lower() for name in plain} | read


def _is_exclusion(thing: Any) -> bool:
    return type(thing).__name__ == "ExclusionConstraint"


def renamed(thing: Any, names: Mapping[str, str]) -> Any:
    """
    A copy of an index or a constraint in which fields have other names; its own name stays.

    Shape: ``names``: {old field: new field}.
    """
    _, args, kwargs = thing.deconstruct()
    changed = {key: _changed(key, value, names) for key, value in kwargs.items()}
    return type(thing)(*(_in_expression(arg, names) for arg in args), **changed)


def computes_the_same(old: Any, new: Any, names: Mapping[str, str]) -> bool:
    """
    Whether two generated fields are one column, whatever Python alone sees of them.

    Shape: ``names``: {old field: new field} of those renamed in between that kept their columns.
    """
    return bool(_computed(old, names) == _computed(new, {}))


def _computed(field: Any, names: Mapping[str, str]) -> Any:
    _, path, args, kwargs = field.deconstruct()
    seen = {key: value for key, value in kwargs.items() if key not in field.non_db_attrs}
    seen["expression"] = _in_expression(kwargs["expression"], names)
    detector: Any = MigrationAutodetector(ProjectState(), ProjectState())
    return path, detector.deep_deconstruct(args), detector.deep_deconstruct(seen)


def _changed(key: str, value: Any, names: Mapping[str, str]) -> Any:
    if key in ("fields", "include"):
        return type(value)(_in_order(name, names) for name in value)
    if key == "expressions":  # of an exclusion constraint: pairs with an operator
        return [
            (
                names.get(expression, expression)
                if isinstance(expression, str)
                else _in_expression(expression, names),
                operator,
            )
            for expression, operator in value
        ]
    return _in_expression(value, names) if key == "condition" else value


def _in_order(name: str, names: Mapping[str, str]) -> str:
    """``-total`` as in the fields of an index."""
    bare = name.lstrip("-")
    return name[: len(name) - len(bare)] + names.get(bare, bare)


def _in_path(path: str, names: Mapping[str, str]) -> str:
    head, *rest = path.split(LOOKUP_SEP)
    return LOOKUP_SEP.join([names.get(head, head), *rest])


def _in_expression(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Q):
        twin = copy.copy(value)
        twin.children = [
            (_in_path(child[0], names), _in_expression(child[1], names))
            if isinstance(child, tuple)
            else _in_expression(child, names)
            for child in value.children
        ]
        return twin
    if isinstance(value, F):
        return F(_in_path(value.deconstruct()[1][0], names))
    if isinstance(value, Value) or not hasattr(value, "get_source_expressions"):
        return value
    _, args, kwargs = value.deconstruct()
    again = {key: _in_expression(arg, names) for key, arg in kwargs.items()}
    return type(value)(*(_argument(arg, names) for arg in args), **again)


def _argument(value: Any, names: Mapping[str, str]) -> Any:
    """What a function was given; a plain string there is the name of a field."""
    return _in_path(value, names) if isinstance(value, str) else _in_expression(value, names)


def definition(thing: BaseConstraint | Index) -> tuple[Any, ...]:
    """What the database is told, without the name: equal ones are the same under two names."""
    path, args, kwargs = thing.deconstruct()
    hidden = {"name", *getattr(thing, "non_db_attrs", ())}
    return path, tuple(args), {k: _frozen(v) for k, v in kwargs.items() if k not in hidden}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value
