"""Operations of ``django.contrib.postgres``, told by name: to import them needs psycopg."""

from __future__ import annotations

_CONTRIB = "django.contrib.postgres."


def is_contrib(thing: object, *names: str) -> bool:
    """Whether it is of one of these classes, or of a subclass."""
    return any(
        cls.__module__.startswith(_CONTRIB) and cls.__name__ in names for cls in type(thing).__mro__
    )


def is_not_valid(operation: object) -> bool:
    return is_contrib(operation, "AddConstraintNotValid")


def is_validation(operation: object) -> bool:
    return is_contrib(operation, "ValidateConstraint")
