"""A table cut into ranges of its primary key, found by the index."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from django.db.models import BooleanField, Expression, F, QuerySet

from safemigrate.backfill.writing import column_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field, Model, Q

Key = tuple[Any, ...]


class Between(Expression):
    """
    ``after`` < key <= ``upto``, compared as rows, so that one index serves a composite key too.

    Shape:   the values as the database takes them; None is no bound.
    """

    conditional = True

    def __init__(
        self, names: Sequence[str], after: Sequence[Any] | None, upto: Sequence[Any] | None
    ) -> None:
        super().__init__(output_field=BooleanField())
        self.columns: list[Any] = [F(name) for name in names]
        self.bounds = [(sign, tuple(key)) for sign, key in ((">", after), ("<=", upto)) if key]

    def get_source_expressions(self) -> list[Any]:
        return self.columns

    def set_source_expressions(self, exprs: Sequence[Any]) -> None:
        self.columns = list(exprs)

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:  # type: ignore[override]  # the stub of 6.1 wants a tuple
        columns = _row([compiler.compile(column)[0] for column in self.columns])
        bounds = [f"{columns} {sign} {_row(['%s'] * len(key))}" for sign, key in self.bounds]
        return " AND ".join(bounds) or "1 = 1", [value for _, key in self.bounds for value in key]


def _row(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"({', '.join(words)})"


AFTER, UPTO = "after", "upto"


@dataclass(frozen=True)
class Slot:
    """The place of one value of a key in a statement that is worded once for all batches."""

    bound: str
    number: int


@dataclass(frozen=True)
class Statement:
    """SQL for every range that has, or has not, a beginning; its parameters hold slots."""

    sql: str
    params: Sequence[Any]

    def filled_in(self, span: Span) -> list[Any]:
        keys = {AFTER: span.prepared(span.after), UPTO: span.prepared(span.upto)}
        return [
            (keys[param.bound] or ())[param.number] if isinstance(param, Slot) else param
            for param in self.params
        ]


@dataclass(frozen=True)
class Span:
    """The rows with ``after`` < key <= ``upto``; None is no bound."""

    keys: Keys
    after: Key | None
    upto: Key | None

    @property
    def rows(self) -> QuerySet[Model]:
        return self.keys.rows(self.prepared(self.after), self.prepared(self.upto))

    @property
    def template(self) -> QuerySet[Model]:
        """The same with slots instead of values: what is compiled from it serves every batch."""
        return self.keys.rows(self._slots(AFTER, self.after), self._slots(UPTO, self.upto))

    def _slots(self, bound: str, key: Key | None) -> list[Slot] | None:
        return [Slot(bound, number) for number in range(len(key))] if key else None

    def prepared(self, key: Key | None) -> Sequence[Any] | None:
        return self.keys.prepared(key)


class Keys:
    """
    The primary key of a model as a line with points on it.

    Every comparison is made by the database, so that any type with an index has its own order:
    text by its collation, a composite key by comparing rows.

    Shape:   a Key is a tuple of the values of the key's columns, one for an ordinary key.
    """

    needs_where = False
    """Whether rows may be met twice, so that a condition must say which are done."""

    def __init__(self, model: type[Model], connection: BaseDatabaseWrapper) -> None:
        self.model = model
        self.connection = connection
        self.fields = cast("tuple[Field[Any, Any], ...]", tuple(model._meta.pk_fields))
        self.names = [field.attname for field in self.fields]
        self.columns = [column_of(field) for field in self.fields]
        self.table = model._meta.db_table
        self._ends: dict[str, Statement] = {}

    @property
    def tables(self) -> list[str]:
        """The tables that its statements name."""
        return [self.table]

    @property
    def of_rows(self) -> Keys:
        """The primary key itself, for what is kept of single rows."""
        return self

    def prepared(self, key: Key | None) -> Sequence[Any] | None:
        """Return the key as the database takes it."""
        if key is None:
            return None
        return [
            field.get_db_prep_value(value, self.connection)
            for field, value in zip(self.fields, key, strict=True)
        ]

    def all(self) -> QuerySet[Model]:
        # By no manager of the model's own, which may hide rows; and not in the order of Meta, which
        # may name a field by a name that it has only later.
        return QuerySet(self.model, using=self.connection.alias).order_by()

    def rows(self, after: Sequence[Any] | None, upto: Sequence[Any] | None) -> QuerySet[Model]:
        """Return the rows between two keys, given as the database takes them."""
        return self.all().filter(Between(self.names, after, upto))

    def span(self, after: Key | None, upto: Key | None) -> Span:
        return Span(self, after, upto)

    def first(self, after: Key | None) -> Key | None:
        """Return the first key after ``after``."""
        return self.span(after, None).rows.order_by("pk").values_list(*self.names).first()

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
        span = self.span(after, upto)
        name = AFTER if after else UPTO
        if name not in self._ends:
            self._ends[name] = self._end_of(span)
        statement = self._ends[name]
        with self.connection.cursor() as cursor:
            cursor.execute(statement.sql, [*statement.filled_in(span), rows])
            found = cursor.fetchone()
        return None if found is None else self.converted(found)

    def converted(self, found: Sequence[Any]) -> Key:
        """Return a key that the database gave as the ORM would have given it."""
        # Not raw(): until 6.0 it refuses composite keys.
        compiler, converters = self._converters
        return tuple(*compiler.apply_converters([found], converters))

    def _end_of(self, span: Span) -> Statement:
        """Word the statement; its last parameter is the number of rows."""
        # only(), not values(): that one renames columns in the SELECT.
        keys = span.template.order_by("pk").only(*self.names)
        inside, params = keys.query.get_compiler(connection=self.connection).as_sql()
        quote = self.connection.ops.quote_name
        columns = [quote(column) for column in self.columns]
        sql = (
            f"SELECT {', '.join(columns)} FROM ({inside} LIMIT %s) AS {quote('batch')} "  # noqa: S608  (quoted)
            f"ORDER BY {', '.join(f'{column} DESC' for column in columns)} LIMIT 1"
        )
        return Statement(sql, params)

    @cached_property
    def _converters(self) -> tuple[Any, Any]:
        compiler = self.all().query.get_compiler(connection=self.connection)
        table = self.model._meta.db_table
        return compiler, compiler.get_converters([field.get_col(table) for field in self.fields])

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


def _own(field: Field[Any, Any]) -> Any:
    """Return the field that knows the type: a key that is a relation has its target's."""
    while field.remote_field is not None:
        field = cast("Any", field).target_field
    return field
