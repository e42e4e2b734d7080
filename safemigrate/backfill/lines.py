"""Other lines than the primary key to walk a table along: its partitions, and its physical rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import BooleanField, Expression
from django.db.models.sql.datastructures import BaseTable

from safemigrate.backfill.ranges import Key, Keys, Span, Statement

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Model, QuerySet


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


class _Placed(Expression):
    """``after`` < ctid <= ``upto``: a range that the server reads block by block."""

    conditional = True

    def __init__(self, table: str, after: Sequence[Any] | None, upto: Sequence[Any] | None) -> None:
        super().__init__(output_field=BooleanField())
        self.table = table
        self.bounds = [(sign, key[0]) for sign, key in ((">", after), ("<=", upto)) if key]

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:  # type: ignore[override]  # the stub of 6.1 wants a tuple
        column = f"{connection.ops.quote_name(self.table)}.ctid"
        bounds = [f"{column} {sign} %s::tid" for sign, _ in self.bounds]
        return " AND ".join(bounds) or "1 = 1", [value for _, value in self.bounds]


class Ctids(Keys):
    """
    A table whose key has no index, along the places of its rows in its file.

    A row that is changed moves to another place, maybe to one that is still to come: a ``where``
    must say that it is done.

    Shape:   a Key is a place, "(block,number)".
    """

    needs_where = True

    @property
    def of_rows(self) -> Keys:
        return Keys(self.model, self.connection)

    def rows(self, after: Sequence[Any] | None, upto: Sequence[Any] | None) -> QuerySet[Model]:
        return self.all().filter(_Placed(self.table, after, upto))

    def prepared(self, key: Key | None) -> Sequence[Any] | None:
        return key

    def first(self, after: Key | None) -> Key | None:
        return after

    def last(self) -> Key | None:
        """Return the end of the file as it is now."""
        quote = self.connection.ops.quote_name
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_relation_size(to_regclass(%s)) / current_setting('block_size')::int",
                [quote(self.table)],
            )
            blocks = cursor.fetchone()[0]
        return (f"({blocks},0)",) if blocks else None

    def _end_of(self, span: Span) -> Statement:
        keys = span.template.order_by().only(*self.names)
        compiler = keys.query.get_compiler(connection=self.connection)
        compiler.setup_query()
        where, params = compiler.compile(compiler.query.where)
        table = self.connection.ops.quote_name(self.table)
        # In the order of the file by itself; to sort would read all that is left of it.
        sql = (
            f"SELECT place::text FROM (SELECT ctid AS place FROM {table} WHERE {where} LIMIT %s) "  # noqa: S608  (quoted)
            "AS batch ORDER BY place DESC LIMIT 1"
        )
        return Statement(sql, list(params))

    def converted(self, found: Sequence[Any]) -> Key:
        return tuple(found)

    def dump(self, key: Key) -> str:
        return json.dumps(list(key))

    def load(self, text: str) -> Key:
        return tuple(json.loads(text))

    def say(self, key: Key | None) -> str:
        return super().say(key) if key is None else f"ctid {key[0]}"
