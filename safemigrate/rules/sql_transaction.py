"""E148."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import migrations

from safemigrate.operations.reading import short
from safemigrate.rules.base import Finding, Step, rule
from safemigrate.rules.sql import Effect, Item, Setting, Transaction, is_atomic, quoted, read, said

_LIST = "Give RunSQL a list with one statement in each string: migrations.RunSQL([..., ...])."
_OWN = "Set atomic = False on the Migration class, and keep it in a migration of its own."


@rule("E148", "sql-transaction", operation=migrations.RunSQL)
def sql_transaction(step: Step) -> Iterator[Finding]:
    """SQL that needs a transaction of its own, or none, or the one it would end."""
    atomic = is_atomic(step)
    items = read(step)
    for item in items:
        if isinstance(item, Effect) and item.fact.alone:
            yield from _alone(item, atomic)
        elif isinstance(item, Setting) and item.local and atomic is False and item.alone:
            yield Finding(
                what=f"{said(item)}: SET LOCAL does nothing outside of a transaction.",
                why=f"{quoted(item)} ends with its own statement, because atomic is False.",
                steps=("Use SET, and RESET at the end.", "Or leave the migration atomic."),
            )
        elif isinstance(item, Transaction) and (atomic or not _balanced(items)):
            yield Finding(
                what=f"{said(item)} begins or ends a transaction by itself.",
                why=(
                    f"{quoted(item)}: the migration's own transaction ends there. What comes "
                    "after is done even if the migration fails, and is not done again right."
                ),
                steps=(_OWN, "Or leave out BEGIN and COMMIT; an atomic migration has both."),
            )


def _alone(item: Effect, atomic: bool | None) -> Iterator[Finding]:
    words = short(item.fact.words, 32)
    if atomic:
        yield Finding(
            what=f"{said(item)}: {words} cannot run in a transaction.",
            why=f"PostgreSQL refuses {quoted(item)} there, and the migration is one: it fails.",
            steps=(_OWN,),
        )
    elif not item.alone:
        yield Finding(
            what=f"{said(item)}: {words} shares a text with others.",
            why=(
                "PostgreSQL runs the statements of one text as one transaction, and refuses "
                f"{quoted(item)} in it. It would fail."
            ),
            steps=(_LIST,),
        )


def _balanced(items: tuple[Item, ...]) -> bool:
    """Whether each BEGIN has its end in the same text, as it may be outside of a transaction."""
    open_units: list[int] = []
    for item in items:
        if not isinstance(item, Transaction):
            continue
        if item.kind == "begin":
            open_units.append(item.unit)
        elif item.kind == "commit inside":
            if not item.alone:
                return False
        elif not open_units or open_units.pop() != item.unit:
            return False
    return not open_units
