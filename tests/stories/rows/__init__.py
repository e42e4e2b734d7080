"""The rows of the table of model changes, a file for each area."""

from __future__ import annotations

import importlib
import pkgutil
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Models = str | Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """
    One change of models.

    Shape:   before, after: what stands in ``shop/models.py`` (``models``, ``uuid``, ``timezone``
             are imported), or ``{app: text}`` for several apps.
             renamed: ``{"Order.title": "Order.headline", "Order": "Purchase"}``, old to new. Names
             are ``Model.field`` of the app shop, or ``app.Model.field``.
             values: ``{"Order.status": "['new', 'paid'][n % 2]"}``, an expression for what is
             written, ``n`` being another number each time and ``key("Customer")`` that of a row;
             names of either release.
             converted: ``{"Order.total": (to_new, to_old)}`` for values that look otherwise in
             the other release (``5 == Decimal("5.00")`` needs none); by the new name.
             fills: ``{"Order.note": "x"}``: what new code finds where old code left NULL, or does
             not know the field; by the new name. A list: one of these. ``...``: any value.
             holes: fields that new code may find NULL in rows of old code until the contract.
             refused: words that ``makemigrations`` says when it refuses; nothing is written then.
             answers: lines typed when ``makemigrations`` asks; what ``renamed`` says is known.
             phases: of the files written, in their order, as in ``["expand", "contract"]``.
             back: words of the error if the rows of new code forbid the way back.
             old_code, new_code: run in every window where that release is alive, with ``models``,
             ``window``; ``wrote(instance)`` tells the oracle of what it saved.
             sql: run once r1 is installed; sql_after: run on what plain Django makes of the new
            models, so that it is what must come of it. check: called with the story at the end.
             apps: installed beside those with models here, as in ``["django.contrib.auth"]``.
             django, postgresql: the least version.
    """

    name: str
    before: Models
    after: Models
    renamed: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    converted: Mapping[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = field(
        default_factory=dict
    )
    fills: Mapping[str, Any] = field(default_factory=dict)
    holes: tuple[str, ...] = ()
    refused: str = ""
    answers: tuple[str, ...] = ()
    phases: list[str] | None = None
    back: str = ""
    old_code: str = ""
    new_code: str = ""
    sql: str = ""
    sql_after: str = ""
    check: Callable[[Any], None] | None = None
    apps: tuple[str, ...] = ()
    django: tuple[int, int] = (5, 2)
    postgresql: int = 14

    @property
    def slug(self) -> str:
        return re.sub(r"\W+", "_", self.name)

    def models(self, which: str) -> dict[str, str]:
        text: Models = getattr(self, which)
        by_app = {"shop": text} if isinstance(text, str) else text
        return {app: textwrap.dedent(models) for app, models in by_app.items()}


def rows() -> list[Row]:
    """All rows of all files, and no two of one name."""
    found: list[Row] = []
    for module in pkgutil.iter_modules(__path__):
        found += importlib.import_module(f"{__name__}.{module.name}").ROWS
    names = [row.slug for row in found]
    assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
    return found
