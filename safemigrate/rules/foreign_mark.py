"""W408."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from django.db.migrations.migration import Migration

from safemigrate.facts.phases import Phase
from safemigrate.operations.phases import phases_of
from safemigrate.rules.base import Finding, Placed, rule
from safemigrate.rules.known import is_foreign_mark

_ATTRIBUTES = (
    ("safe", "django_safemigrate", "django-safemigrate"),
    ("stage", "syzygy", "django-syzygy"),
)


@rule("W408", "foreign-mark", about=Placed)
def foreign_mark(placed: Placed) -> Iterator[Finding]:
    """A mark for another tool says something that is not so here."""
    migration = placed.migration
    if any(is_foreign_mark(operation) for operation in migration.operations):
        yield Finding(
            what="IgnoreMigration is for django-migration-linter, and excuses nothing here.",
            why=(
                "It stands for the whole migration, whatever is added to it later. Every "
                "operation on a table in use is judged as if the mark were not there."
            ),
            steps=(
                'Wrap what is safe: Assured(<the operation>, because="..."), and take the mark '
                "out unless the other tool still runs.",
            ),
        )
    for name, package, tool in _ATTRIBUTES:
        yield from _of_attribute(migration, name, package, tool)


def _of_attribute(migration: Migration, name: str, package: str, tool: str) -> Iterator[Finding]:
    mark: Any = getattr(migration, name, None)
    module = getattr(mark, "__module__", None) or type(mark).__module__
    if mark is None or str(module).split(".")[0] != package:
        return
    said = _when(mark)
    runs = _runs(migration)
    if runs is None or said in (None, runs):
        return
    in_order = sorted(phases_of(migration), key=attrgetter("order"))
    phases = " and ".join(str(phase) for phase in in_order)
    yield Finding(
        what=f"The mark {name!r} of {tool} says {said} the rollout; here it is {runs}.",
        why=(
            f"The phase of a migration follows from its operations ({phases}), and migrate goes "
            "by that alone. Whoever reads the mark expects that the table changes at another time."
        ),
        steps=(
            "If the operations are right, take the mark out.",
            "If the mark is right, use the operations of that phase; makemigrations writes them.",
        ),
    )


def _when(mark: Any) -> str | None:
    """What the mark says; None for one that leaves it open, or that nobody knows."""
    text = f"{getattr(mark, 'when', '')} {getattr(mark, 'name', '')} {mark!r}".lower()
    if "always" in text:
        return None
    if "after" in text or "post" in text:
        return "after"
    return "before" if "before" in text or "pre_" in text else None


def _runs(migration: Migration) -> str | None:
    phases = phases_of(migration)
    if not phases:
        return None
    return "after" if phases == {Phase.CONTRACT} else "before"
