"""The new names that ``sqlmigrate`` has printed, over what the catalogue still says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor


@dataclass
class Printed:
    """
    What one editor has collected; empty where statements are sent.

    Shape:   tables: name in the catalogue -> name by now. columns: the same behind the table's
             name in the catalogue. names: of indexes, constraints and sequences.
    """

    tables: dict[str, str] = field(default_factory=dict)
    columns: dict[tuple[str, str], str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def by(cls, editor: BaseDatabaseSchemaEditor) -> Printed:
        """Kept with the editor, since each operation of a file has a backend of its own."""
        kept: dict[str, Any] = editor.__dict__
        printed: Printed = kept.setdefault("safemigrate_printed", cls())
        return printed

    def catalogued(self, table: str) -> str:
        """What the catalogue calls the table that has this name by now."""
        return _before(self.tables, table)

    def catalogued_name(self, name: str) -> str:
        return _before(self.names, name)

    def rename_table(self, old: str, new: str) -> None:
        self.tables[self.catalogued(old)] = new

    def rename_column(self, table: str, old: str, new: str) -> None:
        there = self.catalogued(table)
        was = (c for (t, c), now in self.columns.items() if t == there and now == old)
        self.columns[there, next(was, old)] = new

    def rename(self, old: str, new: str) -> None:
        self.names[self.catalogued_name(old)] = new

    def table(self, name: str) -> str:
        return self.tables.get(name, name)

    def column(self, table: str, name: str) -> str:
        """``table``: its name in the catalogue."""
        return self.columns.get((table, name), name)

    def name(self, name: str) -> str:
        return self.names.get(name, name)


def _before(names: dict[str, str], name: str) -> str:
    return next((was for was, now in names.items() if now == name), name)
