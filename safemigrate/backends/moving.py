"""A table that gets other names, told apart from how a server does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safemigrate.backends.fields import column_of
from safemigrate.backends.names import own_name

if TYPE_CHECKING:
    from django.db.models import Model


@dataclass(frozen=True)
class Move:
    """
    One table before and after. ``columns``: old name -> new name, of those that change;
    ``known``: the old names of all columns that the models know; ``unknown``: columns that came
    with the new name, which old code has never known.

    Old code goes on by the old names, through a view that stands in for the table.
    """

    old_table: str
    new_table: str
    columns: Mapping[str, str] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @classmethod
    def between(cls, old: type[Model], new: type[Model], new_fields: Sequence[str] = ()) -> Move:
        unknown = [column_of(f) for f in new._meta.local_concrete_fields if f.name in new_fields]
        names = [names for names in _pairs(old, new) if names[1] not in unknown]
        return cls(
            old._meta.db_table,
            new._meta.db_table,
            {before: after for before, after in names if before != after},
            tuple(before for before, _ in names),
            tuple(unknown),
        )

    @property
    def is_needed(self) -> bool:
        return self.old_table != self.new_table or bool(self.columns)

    @property
    def keeps_table(self) -> bool:
        """Only columns change: the view has the table's name, and old and new columns."""
        return self.old_table == self.new_table

    @property
    def aside(self) -> str:
        """What the table is called while both sets of names work."""
        return own_name("aside", self.old_table) if self.keeps_table else self.new_table

    @property
    def back(self) -> Move:
        columns = {new: old for old, new in self.columns.items()}
        known = tuple(self.columns.get(name, name) for name in self.known)
        return Move(self.new_table, self.old_table, columns, known)


def _pairs(old: type[Model], new: type[Model]) -> Iterator[tuple[str, str]]:
    """The column of each field before and after; fields of other names in their order."""
    after = {now.name: now for now in new._meta.local_concrete_fields}
    kept = {was.name for was in old._meta.local_concrete_fields} & set(after)
    renamed = (now for name, now in after.items() if name not in kept)
    for was in old._meta.local_concrete_fields:
        yield column_of(was), column_of(after[was.name] if was.name in kept else next(renamed))
