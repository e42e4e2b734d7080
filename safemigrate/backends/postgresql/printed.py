"""What ``sqlmigrate`` has named and made, over what the catalogue still says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor


@dataclass(frozen=True)
class Part:
    """An index, a constraint or a sequence; ``table``: the one to alter for a constraint."""

    kind: str
    schema: str
    table: str
    name: str
    columns: list[str]
    target: str | None
    target_columns: list[str] | None
    of_another: bool


@dataclass
class Printed:
    """
    What one editor has collected; empty where statements are sent.

    Shape:   tables: name in the catalogue -> name by now. columns: the same behind the table's
             name in the catalogue. names: of indexes, constraints and sequences. made: what came in
             the file, with the table's and the target's names in the catalogue.
    """

    tables: dict[str, str] = field(default_factory=dict)
    columns: dict[tuple[str, str], str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    made: list[Part] = field(default_factory=list)

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

    def make(
        self,
        kind: str,
        table: str,
        name: str,
        columns: Sequence[str],
        target: tuple[str, str] | None = None,
    ) -> None:
        """``target``: the table and the column that a foreign key refers to."""
        refers_to = self.catalogued(target[0]) if target else None
        others = [target[1]] if target else None
        there = self.catalogued(table)
        self.made.append(Part(kind, "", there, name, [*columns], refers_to, others, False))

    def made_of(self, table: str, schema: str) -> Iterator[Part]:
        """What hangs on it by now and not in the catalogue. ``table``: its name there."""
        for part in self.made:
            if table in (part.table, part.target):
                yield replace(part, schema=schema, of_another=part.table != table)

    def table(self, name: str) -> str:
        return self.tables.get(name, name)

    def column(self, table: str, name: str) -> str:
        """``table``: its name in the catalogue."""
        return self.columns.get((table, name), name)

    def name(self, name: str) -> str:
        return self.names.get(name, name)


def _before(names: dict[str, str], name: str) -> str:
    return next((was for was, now in names.items() if now == name), name)
