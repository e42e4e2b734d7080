"""Operations of ``django.contrib.postgres``, told by name: to import them needs psycopg."""

from __future__ import annotations

_CONTRIB = "django.contrib.postgres."


def is_contrib(thing: object, *names: str) -> bool:
    """Whether it is of one of these classes of contrib's, or of a subclass."""
    return any(
        cls.__module__.startswith(_CONTRIB) and cls.__name__ in names for cls in type(thing).__mro__
    )
