"""What a sample is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db.migrations.operations.base import Operation

from safemigrate import operations as ops


def nobody() -> list[Operation]:
    return []


@dataclass(frozen=True)
class Sample:
    """
    ``prepare``: what was applied before it. ``comes_back``: whether unapplying it leaves the
    schema as it was. ``says``: words of the SQL that ``sqlmigrate`` must show.
    """

    what: str
    make: Callable[[], ops.SafeOperation]
    prepare: Callable[[], list[Operation]] = nobody
    missing: Sequence[Callable[[], Operation]] = field(default=())
    comes_back: bool = True
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{type(self.make()).__name__}-{self.what}"


def unknown(operation: type[Operation], name: str, *rest: object) -> list[Callable[[], Operation]]:
    """The same about a name that is not there, and about a model that is not."""
    return [
        lambda: operation("order", "nothing", *rest),
        lambda: operation("nothing", name, *rest),
    ]
