"""A column on its way to another name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.models import Field


@dataclass(frozen=True)
class Renaming:
    """
    One field, bound to two models that differ in its column alone.

    The way back is the same way with the two exchanged.
    """

    old: Field[Any, Any]
    new: Field[Any, Any]

    @property
    def table(self) -> str:
        return self.old.model._meta.db_table

    @property
    def back(self) -> Renaming:
        return Renaming(self.new, self.old)
