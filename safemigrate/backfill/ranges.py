"""A table cut into ranges of its primary key, found by the index."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from safemigrate.backfill.writing import column_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field, Model, Q, QuerySet

Key = tuple[Any, ...]


class Keys:
    """
    The primary key of a model as a line with points on it.

    Every comparison is made by the database, so that any type with an index has its own order:
    text by its collation, a composite key by comparing rows.

    Shape:   a Key is a tuple of the values of the key's columns, one for an ordinary key.
    """

    def __init__(self, model: type[Model], connection: BaseDatabaseWrapper) -> None:
        self.model = model
        self.connection = connection
        self.fields = cast("tuple[Field[Any, Any], ...]", tuple(model._meta.pk_fields))
        self.names = [field.attname for field in self.fields]

    def all(self) -> QuerySet[Model]:
        return self.model._base_manager.using(self.connection.alias)

    def span(self, after: Key | None, upto: Key | None) -> QuerySet[Model]:
        """Return the rows with ``after`` < key <= ``upto``; None is no bound."""
        rows = self.all()
        if after is not None:
            rows = rows.filter(pk__gt=self._one(after))
        if upto is not None:
            rows = rows.filter(pk__lte=self._one(upto))
        return rows

    def first(self, after: Key | None) -> Key | None:
        """Return the first key after ``after``."""
        return self.span(after, None).order_by("pk").values_list(*self.names).first()

    def last(self) -> Key | None:
        """Return the last key of the table, None if it is empty."""
        return self.all().order_by("-pk").values_list(*self.names).first()

    def end_of_batch(self, after: Key | None, upto: Key, rows: int) -> Key | None:
        """
        Return the last of the next ``rows`` keys after ``after``, None if there are none.

        The keys stay in the server: it reads ``rows`` entries of the index and hands out one.
        No OFFSET, which some plans pay for with the heap; no max(), which UUIDs lack before
        PostgreSQL 18 and composite keys have not.
        """
        # only(), not values(): that one renames columns in the SELECT.
        keys = self.span(after, upto).order_by("pk").only(*self.names)[:rows]
        compiler = keys.query.get_compiler(connection=self.connection)
        inside, params = compiler.as_sql()
        quote = self.connection.ops.quote_name
        columns = [quote(column_of(field)) for field in self.fields]
        sql = (
            f"SELECT {', '.join(columns)} FROM ({inside}) AS {quote('batch')} "  # noqa: S608  (quoted)
            f"ORDER BY {', '.join(f'{column} DESC' for column in columns)} LIMIT 1"
        )
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            found = cursor.fetchone()
        if found is None:
            return None
        # Not raw(): until 6.0 it refuses composite keys.
        table = self.model._meta.db_table
        converters = compiler.get_converters([field.get_col(table) for field in self.fields])
        return tuple(*compiler.apply_converters([found], converters))

    def of(self, row: Model) -> Key:
        return tuple(getattr(row, name) for name in self.names)

    # Written down ----------------------------------------------------------------------------

    def dump(self, key: Key) -> str:
        """Return the key as JSON text, each value as Django's own serializers write it."""
        return json.dumps(
            [
                _own(field).value_to_string(
                    cast("Model", SimpleNamespace(**{_own(field).attname: value}))
                )
                for field, value in zip(self.fields, key, strict=True)
            ]
        )

    def load(self, text: str) -> Key:
        words = json.loads(text)
        return tuple(
            _own(field).to_python(word) for field, word in zip(self.fields, words, strict=True)
        )

    def say(self, key: Key | None) -> str:
        """Return the key as it stands in a message."""
        if key is None:
            return "the first"
        words = [str(value) for value in key]
        return words[0] if len(words) == 1 else f"({', '.join(words)})"

    def _one(self, key: Key) -> Any:
        return key[0] if len(key) == 1 else key


def narrowed(rows: QuerySet[Model], where: Q | None) -> QuerySet[Model]:
    """
    Return those of ``rows`` that match ``where``, filtered in one table.

    A condition that joins moves into ``pk IN (SELECT …)``: an UPDATE has no joins, FOR UPDATE
    must not lock the other table, and a row must not come twice.
    """
    if where is None:
        return rows
    matching = rows.filter(where)
    if matching.query.count_active_tables() > 1:
        return rows.filter(pk__in=matching.values("pk"))
    return matching


def _written(field: Any, value: Any) -> str:
    return str(field.value_to_string(SimpleNamespace(**{field.attname: value})))


def _own(field: Field[Any, Any]) -> Any:
    """Return the field that knows the type: a key that is a relation has its target's."""
    while field.remote_field is not None:
        field = cast("Any", field).target_field
    return field
