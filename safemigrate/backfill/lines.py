"""Other lines than the primary key to walk a table along: its partitions, and its physical rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import BooleanField, Expression
from django.db.models.sql.datastructures import BaseTable

from safemigrate.backfill.ranges import Key, Keys, Span, Statement
from safemigrate.backfill.writing import condition_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model, QuerySet

    from safemigrate.backends.server import Places, PlainServer


class Part(Keys):
    """The primary key of one partition: its rows are read and written by its own name."""

    def __init__(self, model: type[Model], connection: BaseDatabaseWrapper, table: str) -> None:
        super().__init__(model, connection)
        self.table = table

    def all(self) -> QuerySet[Model]:
        rows = super().all()
        # Django takes the first table of a query for the model's own.
        rows.query.join(BaseTable(self.table, None))
        return rows


def _order(name: str) -> list[str | int]:
    """Sort p2 before p10: the newest partition, where rows are inserted, comes mostly last."""
    return [int(word) if word.isdecimal() else word for word in re.split(r"(\d+)", name)]


class Parts(Keys):
    """
    A partitioned table, one partition after the other, each along its own key.

    Along the key of the whole, every batch would look into the index of every partition. Those
    that are empty are passed over; one that is detached meanwhile is left, with its cursor behind.

    Shape:   a Key begins with the partition's name.
    """

    def __init__(
        self, model: type[Model], connection: BaseDatabaseWrapper, tables: Sequence[str]
    ) -> None:
        super().__init__(model, connection)
        self.parts = {name: Part(model, connection, name) for name in sorted(tables, key=_order)}
        self._lasts: dict[str, Key | None] = {}

    @property
    def tables(self) -> list[str]:
        return [self.table, *self.parts]

    @property
    def of_rows(self) -> Keys:
        return Keys(self.model, self.connection)

    def last(self) -> Key | None:
        """Return the last key of the last partition that has rows, as it is now."""
        self._lasts = {}
        for name in reversed(self.parts):
            if (found := self._last_of(name)) is not None:
                return (name, *found)
        return None

    def _last_of(self, name: str) -> Key | None:
        # Kept for one lap: a partition that others append to has an end then.
        if name not in self._lasts:
            self._lasts[name] = self.parts[name].last()
        return self._lasts[name]

    def first(self, after: Key | None) -> Key | None:
        for name, inside in self._from(after):
            if (found := self.parts[name].first(inside)) is not None:
                return (name, *found)
        return None

    def end_of_batch(self, after: Key | None, upto: Key, rows: int) -> Key | None:
        for name, inside in self._from(after):
            if _order(name) > _order(upto[0]):
                return None
            end = upto[1:] if name == upto[0] else self._last_of(name)
            if end is None:
                continue
            if (found := self.parts[name].end_of_batch(inside, end, rows)) is not None:
                return (name, *found)
        return None

    def span(self, after: Key | None, upto: Key | None) -> Span:
        """Return the rows of the one partition that a batch is in."""
        if upto is None:
            return super().span(None, None)
        inside = after[1:] if after is not None and after[0] == upto[0] else None
        return self.parts[upto[0]].span(inside, upto[1:])

    def ends(self, after: Key | None, upto: Key) -> list[Key]:
        """Return the last key of each partition between the two that has rows."""
        found = []
        for name, _ in self._from(after):
            if _order(name) < _order(upto[0]) and (end := self._last_of(name)) is not None:
                found.append((name, *end))
        return found

    def _from(self, after: Key | None) -> Iterator[tuple[str, Key | None]]:
        for name in self.parts:
            if after is None or _order(name) >= _order(after[0]):
                yield name, after[1:] if after is not None and name == after[0] else None

    def dump(self, key: Key) -> str:
        return json.dumps([key[0], super().dump(key[1:])])

    def load(self, text: str) -> Key:
        name, inside = json.loads(text)
        return (name, *super().load(inside))

    def say(self, key: Key | None) -> str:
        return super().say(key) if key is None else f"{key[0]} {super().say(key[1:])}"


class _BetweenPlaces(Expression):
    """``after`` < place <= ``upto``: a range that the server reads block by block."""

    conditional = True

    def __init__(
        self, line: ByPlace, after: Sequence[Any] | None, upto: Sequence[Any] | None
    ) -> None:
        super().__init__(output_field=BooleanField())
        both = ((line.places.after, after), (line.places.upto, upto))
        self.bounds = [(word(line.table), key[0]) for word, key in both if key]

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:  # type: ignore[override]  # the stub of 6.1 wants a tuple
        sql = " AND ".join(words for words, _ in self.bounds)
        return sql or "1 = 1", [value for _, value in self.bounds]


class ByPlace(Keys):
    """
    A table whose key has no index, along the places of its rows in its file.

    A row that is changed moves to another place, maybe to one that is still to come: a ``where``
    must say that it is done.

    Shape:   a Key is a place, in the server's words.
    """

    needs_where = True

    def __init__(self, model: type[Model], connection: BaseDatabaseWrapper, places: Places) -> None:
        super().__init__(model, connection)
        self.places = places

    @property
    def of_rows(self) -> Keys:
        return Keys(self.model, self.connection)

    def rows(self, after: Sequence[Any] | None, upto: Sequence[Any] | None) -> QuerySet[Model]:
        return self.all().filter(_BetweenPlaces(self, after, upto))

    def prepared(self, key: Key | None) -> Sequence[Any] | None:
        return key

    def first(self, after: Key | None) -> Key | None:
        return after

    def last(self) -> Key | None:
        """Return the end of the file as it is now."""
        found = self.places.last(self.table)
        return None if found is None else (found,)

    def _end_of(self, span: Span) -> Statement:
        where, params = condition_of(span.template, self.connection)
        return Statement(self.places.end_of_batch(self.table, where), params)

    def converted(self, found: Sequence[Any]) -> Key:
        return tuple(found)

    def dump(self, key: Key) -> str:
        return json.dumps(list(key))

    def load(self, text: str) -> Key:
        return tuple(json.loads(text))

    def say(self, key: Key | None) -> str:
        return super().say(key) if key is None else f"{self.places.name} {key[0]}"


def line_of(model: type[Model], connection: BaseDatabaseWrapper, server: PlainServer) -> Keys:
    """Return what the table is walked along."""
    keys = Keys(model, connection)
    found = server.shape_of(keys.table, keys.columns)
    if found.places is not None:
        return ByPlace(model, connection, found.places)
    return Parts(model, connection, found.parts) if found.parts else keys


def inner_bounds(span: Span, server: PlainServer, pieces: int) -> list[Key]:
    """Return the last keys of about equal pieces of the span, but for the last piece."""
    keys = span.keys
    if keys.needs_where:
        return []
    where = condition_of(span.rows, keys.connection)
    found = server.bounds(keys.table, keys.columns, where, pieces)
    return [keys.converted(row) for row in found]
