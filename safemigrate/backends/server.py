"""What a backfill needs of a server: to bound a batch, to write it, to know what went wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from django.db import DataError, IntegrityError

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field, Model, QuerySet

    from safemigrate.facts.load import Load

Sql = tuple[str, list[Any]]


@dataclass(frozen=True)
class Size:
    """
    A table, about.

    Shape:   indexes: how many it has. Units: whole_bytes: with what is stored beside the rows.
    """

    rows: int
    table_bytes: int
    indexes: int
    whole_bytes: int = 0


@dataclass
class Bulk:
    """
    New values of many rows, in names of columns and values as the database takes them.

    Shape:   columns: a value for each of ``keys``, in the same order. constants: one value for
             all. assignments: "column = expression". condition: what a row must still match.
    """

    table: str
    key_columns: Sequence[str]
    keys: Sequence[tuple[Any, ...]]
    columns: Sequence[tuple[str, Sequence[Any]]]
    condition: Sql
    constants: Sequence[tuple[str, Any]] = ()
    assignments: Sequence[Sql] = ()


class Places(Protocol):
    """Where the rows of a table without a usable index lie, in the server's words."""

    name: str

    def after(self, column_of: str) -> str:
        """Return the condition for rows of the table behind one parameter."""
        ...

    def upto(self, column_of: str) -> str:
        """Return the condition for rows of the table up to one parameter."""
        ...

    def last(self, table: str) -> str | None:
        """Return the end of the table as it is now, None if it is empty."""
        ...

    def end_of_batch(self, table: str, where: str) -> str:
        """Return a statement for the last of the next rows; its last parameter is how many."""
        ...


@dataclass(frozen=True)
class Shape:
    """
    What a table can be walked along: its key, unless something else is said here.

    Shape:   parts: its partitions, if each can be addressed by its bare name, is an ordinary
             table, and is ours to read and write. places: of a table whose key has no index.
    """

    parts: tuple[str, ...] = ()
    places: Places | None = None


class PlainServer:
    """
    A server that needs no more than Django says: SQLite, which one process writes at a time.

    ``shares_transactions``: a backfill may run inside the caller's transaction unasked.
    """

    def __init__(self, connection: BaseDatabaseWrapper, *, shares_transactions: bool) -> None:
        self.connection = connection
        self.shares_transactions = shares_transactions

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have the transactions inside see what others commit meanwhile, whatever was set."""
        yield

    def only_one_starts(self, key: str) -> None:
        """Let one process at a time begin the run of ``key``, until the transaction ends."""

    def may_prove(self, key: str) -> bool:
        """Whether nobody else looks for what the run of ``key`` has left; until the same end."""
        return True

    def begin_batch(self, statement_limit: timedelta) -> None:
        """Bound the waits of the transaction that has just begun."""

    def begin_looking(self, statement_limit: timedelta) -> None:
        """Bound the reading transaction that has just begun."""

    def learn(self, table: str) -> None:
        """Let the planner know the table before the first batch, if it knows nothing."""

    def estimated_rows(self, table: str) -> int | None:
        """Return about how many rows the table has, None if the server does not know."""
        return None

    def pages(self, table: str) -> int:
        """Return how large the table is, 0 where several workers are no use."""
        return 0

    def bounds(
        self, table: str, columns: Sequence[str], where: Sql, pieces: int
    ) -> list[tuple[Any, ...]]:
        """Return the last keys of about equal pieces of what matches, but for the last piece."""
        return []

    def shape_of(self, table: str, key: Sequence[str]) -> Shape:
        """Return what the table can be walked along."""
        return Shape()

    def load(self, table: str, ours: Collection[int] = ()) -> Load | None:
        """
        Return how busy the server is, None if it has nothing to tell.

        Shape:   ours: the server's processes that work on the same run, which are no company.
        """
        return None

    def process(self) -> int | None:
        """
        Return the server's process at the other end, as the driver has been told; asks nobody.

        A pooler tells a number of its own, which is nobody's: then its clients count as company.
        """
        return None

    def hides_rows(self, tables: Sequence[str]) -> tuple[str, str] | None:
        """Return the first of the tables that may show this role some rows only, and what helps."""
        return None

    def size_of(self, table: str) -> Size | None:
        """Return about how large the table is; None if it is not there, or nobody knows."""
        return None

    def lets_go_after(self) -> timedelta | None:
        """Return how long a batch may leave the server without a word; None is for ever."""
        return None

    def locked(self, rows: QuerySet[Model]) -> QuerySet[Model]:
        """Return ``rows`` so that reading them keeps others from changing them."""
        return rows.select_for_update()

    def prepared_keys(
        self, fields: Sequence[Field[Any, Any]], found: Sequence[tuple[Any, ...]]
    ) -> Sequence[tuple[Any, ...]]:
        """Return keys that the ORM read as the database takes them."""
        return [
            tuple(
                field.get_db_prep_save(value, self.connection)
                for field, value in zip(fields, key, strict=True)
            )
            for key in found
        ]

    def literal(self, value: Any) -> str:
        """Return a parameter of a statement as SQL, to be read."""
        with self.connection.cursor() as cursor:
            return str(self.connection.ops.last_executed_query(cursor, "%s", (value,)))

    def batch_words(self, statement_limit: timedelta) -> list[str]:
        """Return what ``begin_batch`` says, as statements to be read."""
        return []

    def write(self, bulk: Bulk) -> int:
        """Write the values and return how many rows were changed."""
        quote = self.connection.ops.quote_name
        sets = [f"{quote(name)} = %s" for name, _ in [*bulk.columns, *bulk.constants]]
        sets += [sql for sql, _ in bulk.assignments]
        match = [f"{quote(name)} = %s" for name in bulk.key_columns]
        fixed = [value for _, value in bulk.constants]
        fixed += [param for _, params in bulk.assignments for param in params]
        condition, condition_params = bulk.condition
        sql = (
            f"UPDATE {quote(bulk.table)} SET {', '.join(sets)} "
            f"WHERE {' AND '.join(match)} AND ({condition})"
        )
        changed = 0
        with self.connection.cursor() as cursor:
            for number, key in enumerate(bulk.keys):
                own = [values[number] for _, values in bulk.columns]
                cursor.execute(sql, [*own, *fixed, *key, *condition_params])
                changed += cursor.rowcount
        return changed

    def sqlstate(self, error: BaseException) -> str:
        return ""

    def retry_reason(self, error: BaseException) -> str | None:
        """Return why the same batch may succeed when tried again, None if it may not."""
        return None

    def remedy(self, error: BaseException) -> str | None:
        """Return what helps against an error that is not about values, where that is known."""
        return None

    def is_forbidden(self, error: BaseException) -> bool:
        """Whether the server refused it because of who asked."""
        return False

    def is_taken(self, error: BaseException) -> bool:
        """Whether what was to be created is there already: a table, or what shares its names."""
        return False

    def is_about_rows(self, error: BaseException) -> bool:
        """Whether single rows are the reason, so that others can be written."""
        return isinstance(error, (DataError, IntegrityError))

    def check_deferred(self) -> None:
        """Have the constraints checked now that the server would check at COMMIT."""

    def session_settings(self) -> dict[str, str]:
        """Return what a new connection has to be told, to go on as this one; watch this one."""
        return {}

    def connect_again(self, settings: dict[str, str]) -> None:
        """
        Open a new connection to the server, with what ``session_settings`` returned.

        Raises:  Error: it does not answer yet, or does not take writes yet.
        """

    def is_lost(self, error: BaseException) -> bool:
        """Whether the connection ended, so that nobody knows if the last COMMIT arrived."""
        return False

    def said(self, error: BaseException) -> str:
        """Return the server's message in one line."""
        return str(error).partition("\n")[0]

    def worded(self, rows: QuerySet[Any]) -> str:
        """Return the query as somebody can paste it."""
        return str(rows.query)

    def blockers(self, *tables: str) -> list[str]:
        """Return who holds locks on the tables, the oldest first."""
        return []
