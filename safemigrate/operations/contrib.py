"""Operations of ``django.contrib.postgres``, told by name: to import them needs psycopg."""

from __future__ import annotations

from functools import cache
from typing import Any

_CONTRIB = "django.contrib.postgres."


def is_contrib(thing: object, *names: str) -> bool:
    """Whether it is of one of these classes, or of a subclass."""
    kind: Any = type(thing)
    return _is_one(kind, names)


@cache
def _is_one(kind: Any, names: tuple[str, ...]) -> bool:
    return any(
        cls.__module__.startswith(_CONTRIB) and cls.__name__ in names for cls in kind.__mro__
    )


def is_not_valid(operation: object) -> bool:
    return is_contrib(operation, "AddConstraintNotValid")


def is_validation(operation: object) -> bool:
    return is_contrib(operation, "ValidateConstraint")
