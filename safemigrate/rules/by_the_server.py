"""Foreign keys by which the server deletes or changes rows, of Django 6.1; release by release."""

from __future__ import annotations

from typing import Any

from safemigrate.backends.fields import deletes_itself

NO_MIXTURE = (
    "Django takes no mixture in one model (models.E050) nor along a chain of models "
    "(fields.E323): where other foreign keys have such a rule, change them together."
)


def let_down(table: str) -> str:
    """Why one release alone cannot have it done."""
    return (
        f"Code of one release leaves it to the server what becomes of rows of {table} when their "
        "parent is deleted. While both releases run it would not be done, or done for the other "
        "one too: rows stay behind, or go that should not."
    )


def by_code_first(field: Any, which: str) -> str:
    """The release before; ``which``: how the field is called."""
    was = deletes_itself(field)
    return f"On {which}, on_delete={word(was)} in place of {word(was, 'DB_')}."


def word(deletes: str, of_server: str = "") -> str:
    return f"models.{of_server}{deletes.replace(' ', '_')}"
