"""How the rows of one batch get their values: by the server alone, or through Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from django.core.exceptions import EmptyResultSet, ValidationError
from django.db import Error
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.sql import UpdateQuery

from safemigrate.backfill.bounded import Bounded, Hangs
from safemigrate.backfill.checking import fillable, rows_function
from safemigrate.backfill.ranges import Statement, narrowed
from safemigrate.backfill.work import is_called_per_row, is_expression
from safemigrate.backfill.writing import Writing
from safemigrate.facts.errors import WrongOperation
from safemigrate.facts.progress import say

if TYPE_CHECKING:
    from django.db.models import Field, Model, QuerySet

    from safemigrate.backends import PlainServer
    from safemigrate.backfill.ranges import Key, Keys, Span
    from safemigrate.backfill.work import Backfill


class RowsRefused(Exception):
    """The project's own code gave something that cannot be written; the text says what."""


class RowRefused(RowsRefused):
    """The same, for reasons in the row: the other rows of the batch may be filled."""


@dataclass(frozen=True)
class Filled:
    """
    How many rows of the batch matched ``where``, and how many of them were changed.

    Shape:   failed: set aside, in neither of the two.
    """

    matched: int
    changed: int
    failed: int = 0


class Filler(Protocol):
    def fill(self, span: Span) -> Filled:
        """
        Fill the rows of one range, inside the batch's transaction.

        Raises:  RowsRefused, and what the database raises.
        """
        ...


def filler_for(backfill: Backfill, keys: Keys, server: PlainServer, *, own: bool = True) -> Filler:
    """Shape: own: a batch is a transaction of ours, which may be ended for code that hangs."""
    limit = server.lets_go_after if own else lambda: None
    bounded = Bounded(keys.connection, limit, lambda line: say(f"{backfill.table}: {line}"))
    if backfill.function is not None:
        return ByFunction(backfill, keys, server, bounded)
    values = {name: _wrapped(value) for name, value in (backfill.values or {}).items()}
    if any(is_called_per_row(value) for value in values.values()):
        return ByCallables(backfill, values, keys, server, bounded)
    return ByServer(backfill, values, keys)


def worded(span: Span, values: Mapping[str, Any], where: Q | None) -> Statement:
    """
    Return the UPDATE of a range, with slots for its bounds.

    Raises:  EmptyResultSet: Django can tell that no row matches.
    """
    query: Any = narrowed(span.template, where).query.chain(UpdateQuery)
    query.add_update_values({name: _wrapped(value) for name, value in values.items()})
    return Statement(*query.get_compiler(connection=span.keys.connection).as_sql())


class ByServer:
    """One UPDATE of the range, worded once for all batches; no row travels."""

    def __init__(self, backfill: Backfill, values: Mapping[str, Any], keys: Keys) -> None:
        self.where, self.values, self.connection = backfill.where, values, keys.connection
        self._statements: dict[tuple[str, bool], Statement] = {}

    def fill(self, span: Span) -> Filled:
        first = span.keys.table, span.after is None
        try:
            if first not in self._statements:
                self._statements[first] = self._worded(span)
        except EmptyResultSet:
            return Filled(0, 0)
        statement = self._statements[first]
        with self.connection.cursor() as cursor:
            cursor.execute(statement.sql, statement.filled_in(span))
            changed = cursor.rowcount
        return Filled(changed, changed)

    def _worded(self, span: Span) -> Statement:
        return worded(span, self.values, self.where)


class ByCallables:
    """
    Only the keys travel here; each row's values go back with its key.

    Nothing is computed from the row, so it need not be locked in between: the statement that
    writes asks ``where`` again.
    """

    def __init__(
        self,
        backfill: Backfill,
        values: Mapping[str, Any],
        keys: Keys,
        server: PlainServer,
        bounded: Bounded,
    ) -> None:
        self.where, self.keys, self.server, self.bounded = backfill.where, keys, server, bounded
        self.called: list[tuple[Field[Any, Any], Callable[[], Any]]] = []
        self.expressions: list[tuple[Field[Any, Any], Any]] = []
        self.constants: list[tuple[Field[Any, Any], Any]] = []
        for name, value in values.items():
            field = fillable(backfill.model, name)
            if is_called_per_row(value):
                self.called.append((field, value))
            elif is_expression(value):
                self.expressions.append((field, value))
            else:
                self.constants.append((field, prepared(field, value, keys)))

    def fill(self, span: Span) -> Filled:
        target = narrowed(span.rows, self.where)
        found = list(target.order_by("pk").values_list(*self.keys.names))
        if not found:
            return Filled(0, 0)
        writing = Writing(
            target,
            self.server.prepared_keys(self.keys.fields, found),
            self.keys.fields,
            [(field, self._values(field, call, found)) for field, call in self.called],
            self.constants,
            self.expressions,
        )
        changed = _written(writing, self.server)
        # A row that somebody else filled in between is not ours and no longer matches.
        return Filled(changed, changed)

    def _values(
        self, field: Field[Any, Any], call: Callable[[], Any], found: Sequence[Key]
    ) -> list[Any]:
        def each() -> list[Any]:
            return [call() for _ in found]

        try:
            values = self.bounded.call(f"the callable for {field.name}", each)
        except (Error, Hangs):
            raise  # the database's own: it may be worth another try
        except Exception as error:
            raise RowRefused(
                f"The callable for {field.name} raised {type(error).__name__}: {error}."
            ) from error
        return [prepared(field, value, self.keys) for value in values]


class ByFunction:
    """
    Whole rows travel to the project's function, its answers go back with their keys.

    Locks:   the rows, FOR NO KEY UPDATE in the key's order, so that what is written was computed
             from what stands there.
    """

    def __init__(
        self, backfill: Backfill, keys: Keys, server: PlainServer, bounded: Bounded
    ) -> None:
        self.model, self.where, self.path = backfill.model, backfill.where, str(backfill.function)
        self.function = rows_function(backfill)
        self.keys, self.server, self.bounded = keys, server, bounded
        self._fields: dict[str, Field[Any, Any]] = {}

    def fill(self, span: Span) -> Filled:
        target = narrowed(span.rows, self.where)
        rows = list(self.server.locked(target).order_by("pk"))
        if not rows:
            return Filled(0, 0)
        found = [self.keys.of(row) for row in rows]  # before the function may change a row
        # Mostly one shape: all entries name the same fields. Each shape is one statement.
        shapes: dict[tuple[str, ...], list[tuple[Key, Mapping[str, Any]]]] = {}
        for key, entry in zip(found, self._answers(rows), strict=True):
            if entry:
                shapes.setdefault(tuple(sorted(entry)), []).append((key, entry))
        changed = sum(self._write(target, names, part) for names, part in shapes.items())
        return Filled(len(rows), changed)

    def _answers(self, rows: list[Model]) -> Sequence[Mapping[str, Any] | None]:
        count = len(rows)  # the list is the function's own from here on
        try:
            answers = self.bounded.call(self.path, lambda: self.function(rows))
        except (Error, Hangs):
            raise  # the database's own: it may be worth another try
        except Exception as error:
            raise RowRefused(f"{self.path} raised {type(error).__name__}: {error}.") from error
        if not isinstance(answers, (list, tuple)):
            raise RowsRefused(
                f"{self.path} returned a {type(answers).__name__}; it must return a list with one "
                "entry for each row."
            )
        if len(answers) != count:
            raise RowsRefused(
                f"{self.path} returned {len(answers):,} entries for {count:,} rows; it must "
                "return one for each row, in order, None for a row to leave alone."
            )
        for entry in answers:
            self._check_entry(entry)
        return cast("Sequence[Mapping[str, Any] | None]", answers)

    def _check_entry(self, entry: object) -> None:
        if entry is None:
            return
        if not isinstance(entry, Mapping):
            raise RowsRefused(
                f"{self.path} returned an entry that is a {type(entry).__name__}; each must be a "
                "mapping of field name to new value, or None."
            )
        for name in entry:
            if name not in self._fields:
                try:
                    self._fields[name] = fillable(self.model, name)
                except WrongOperation as wrong:
                    raise RowsRefused(
                        f"{self.path} returned {name!r}. {wrong.what} {wrong.do}"
                    ) from wrong

    def _write(
        self,
        target: QuerySet[Model],
        names: Sequence[str],
        part: Sequence[tuple[Key, Mapping[str, Any]]],
    ) -> int:
        columns = [
            (field, [prepared(field, entry[name], self.keys) for _, entry in part])
            for name, field in ((name, self._fields[name]) for name in names)
        ]
        found = self.server.prepared_keys(self.keys.fields, [key for key, _ in part])
        return _written(Writing(target, found, self.keys.fields, columns), self.server)


def _written(writing: Writing, server: PlainServer) -> int:
    """Return how many rows were changed."""
    bulk = writing.bulk(server.connection)
    return 0 if bulk is None else server.write(bulk)


def prepared(field: Field[Any, Any], value: Any, keys: Keys) -> Any:
    """
    Return the value as the database takes it.

    Raises:  RowsRefused.
    """
    if is_expression(value):
        raise RowsRefused(
            f"The value for {field.name} is the expression {value!r}; one row's value must be "
            "a plain value."
        )
    try:
        if hasattr(value, "prepare_database_save"):
            value = value.prepare_database_save(field)
        return field.get_db_prep_save(value, keys.connection)
    except (TypeError, ValueError, ArithmeticError, ValidationError) as error:
        raise RowRefused(
            f"A {type(value).__name__} does not fit {field.name}, a {type(field).__name__}: {error}"
        ) from error


def _wrapped(value: Any) -> Any:
    """Return a condition as a boolean value; everything else as it is."""
    return ExpressionWrapper(value, output_field=BooleanField()) if isinstance(value, Q) else value
