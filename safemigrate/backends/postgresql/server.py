"""A backfill on PostgreSQL, by psycopg 3."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import (
    DataError,
    Error,
    InterfaceError,
    InternalError,
    OperationalError,
    transaction,
)

from safemigrate.backends import backend_for
from safemigrate.backends.base import project_settings
from safemigrate.backends.postgresql.isolation import leave, read_committed
from safemigrate.backends.postgresql.liveness import bound_connecting, watch
from safemigrate.backends.postgresql.load import look
from safemigrate.backends.postgresql.sizes import size_of
from safemigrate.backends.postgresql.statistics import (
    analyze,
    not_analyzed,
    pages_of,
    sampled,
    shape_of,
)
from safemigrate.backends.server import Bulk, PlainServer, Shape, Size, Sql

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field, Model, QuerySet

    from safemigrate.facts.load import Load

# A batch holds the rows it has already changed while it waits for the next one, so whoever wants
# those waits as long as we do.
LOCK_WAIT = timedelta(milliseconds=200)
LOOK_LIMIT = timedelta(seconds=5)  # for a look at the load, which reads counters alone
LEARN_LIMIT = timedelta(minutes=1)  # for ANALYZE, which reads a sample
IDLE_LIMIT = timedelta(seconds=60)  # a batch whose process hangs lets its rows go

WORTH_RETRYING = {
    "55P03": "a lock was not had in time",
    "40P01": "a deadlock was resolved against this batch",
    "40001": "another transaction changed the same rows",
    "57014": "a statement was stopped at statement_timeout",
    "53200": "the server had too little memory for it",
}
READ_ONLY = "25006"
FORBIDDEN = "42501"
DUPLICATE_TABLE = "42P07"
REMEDIES = {
    READ_ONLY: "Let this role's transactions write (default_transaction_read_only = off)",
    FORBIDDEN: "GRANT this role what it lacks",
    "42P01": "See who renamed or dropped it",
    "42703": "See who renamed or dropped it",
    "42883": "See who changed the type of a column",
    "53100": "Make room on the server's disk",
    "53200": "Give the server the memory it asks for, or its other sessions less",
}
SEES_ALL = (
    "Run it by a role that no policy counts for, for one that shows all rows counts too: "
    "ALTER ROLE … BYPASSRLS, or the owner of the table where row level security is not forced on it"
)
ENDED = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}  # terminated, or idle too long
GIVEN_UP = (OperationalError, InterfaceError, InternalError)  # without SQLSTATE, by the driver


def _of_batch(statement_limit: timedelta) -> dict[str, str]:
    """The settings of a batch's transaction."""
    return {
        "lock_timeout": _ms(LOCK_WAIT),
        "statement_timeout": _ms(statement_limit),
        "idle_in_transaction_session_timeout": _ms(IDLE_LIMIT),
        # A crash of the server may lose the last batches, but with them their cursor: both are in
        # one transaction. The last transaction of a run is flushed, and everything before it with
        # it.
        "synchronous_commit": "off",
        # What batches dirty is handed on as they go: else the kernel collects it, writes all of it
        # at once, and every COMMIT of others waits behind that.
        "backend_flush_after": "512kB",
        # A batch reads its rows through the key's index, in the key's order. Then row locks are
        # taken in one order everywhere, and a table without statistics is not scanned once for
        # each batch.
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        # Until 18 a plan that cannot avoid what is off looks so dear that it is compiled.
        "jit": "off",
    }


class PostgresServer(PlainServer):
    """PostgreSQL: each batch is a transaction, and its values travel as arrays."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection, shares_transactions=False)
        self._types: dict[str, dict[str, tuple[str, bool]]] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self.connection.ensure_connection()
        level = read_committed(self.connection)
        try:
            yield
        finally:
            leave(self.connection, level)

    def only_one_starts(self, key: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])

    def may_prove(self, key: str) -> bool:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 1))", [key])
            return bool(cursor.fetchone()[0])

    def begin_batch(self, statement_limit: timedelta) -> None:
        self._set_local(_of_batch(statement_limit))

    def batch_words(self, statement_limit: timedelta) -> list[str]:
        settings = _of_batch(statement_limit)
        return [f"SET LOCAL {name} = '{value}'" for name, value in settings.items()]

    def literal(self, value: Any) -> str:
        operations: Any = self.connection.ops
        return str(operations.compose_sql("%s", [value]))

    def begin_looking(self, statement_limit: timedelta) -> None:
        self._set_local(
            {
                "lock_timeout": _ms(LOCK_WAIT),
                "statement_timeout": _ms(statement_limit),
                # A count of what is left reads the whole table, and each process that helps with
                # it takes a core from the traffic.
                "max_parallel_workers_per_gather": str(project_settings().build_workers),
            }
        )

    def _set_local(self, settings: dict[str, str]) -> None:
        if self.connection.pg_version >= 170000:  # type: ignore[attr-defined]  # PostgreSQL's alone has it
            # A role's own would end the proof in its middle, and each time it is begun again.
            settings = {"transaction_timeout": "0", **settings}
        calls = ", ".join("set_config(%s, %s, true)" for _ in settings)
        params = [word for pair in settings.items() for word in pair]
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT {calls}", params)

    def learn(self, table: str) -> None:
        """
        Run ANALYZE where it never was, or before the column: else an index for ``where`` seems as
        good as the key.

        Locks:   SHARE UPDATE EXCLUSIVE, which reads and writes do not mind; not had at once, or
                 refused to this role, it is left out.
        """
        for name in not_analyzed(self.connection, table):
            with suppress(Error), transaction.atomic(using=self.connection.alias):
                self.begin_looking(LEARN_LIMIT)
                analyze(self.connection, name)

    def estimated_rows(self, table: str) -> int | None:
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)",
                [self.connection.ops.quote_name(table)],
            )
            found = cursor.fetchone()
        # -1: never analyzed; 0: analyzed while empty.
        return int(found[0]) if found and found[0] > 0 else None

    def pages(self, table: str) -> int:
        return pages_of(self.connection, table)

    def bounds(
        self, table: str, columns: Sequence[str], where: Sql, pieces: int
    ) -> list[tuple[Any, ...]]:
        """
        Take every n-th key of a sample of the table's blocks.

        No arithmetic on keys: a sample knows gaps, and serves texts and UUIDs as well.
        """
        return sampled(self.connection, table, columns, where, self.pages(table), pieces)

    def shape_of(self, table: str, key: Sequence[str]) -> Shape:
        return shape_of(self.connection, table, key)

    def load(self, table: str, ours: Collection[int] = ()) -> Load | None:
        with transaction.atomic(using=self.connection.alias):
            self.begin_looking(LOOK_LIMIT)
            return look(self.connection, table, ours)

    def process(self) -> int | None:
        driver = self.connection.connection
        return None if driver is None or driver.closed else int(driver.info.backend_pid)

    def hides_rows(self, tables: Sequence[str]) -> tuple[str, str] | None:
        quote = self.connection.ops.quote_name
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT min(place) FROM unnest(%s::text[]) WITH ORDINALITY AS t(name, place) "
                "WHERE row_security_active(to_regclass(name))",
                [[quote(table) for table in tables]],
            )
            [place] = cursor.fetchone()
        return (tables[place - 1], SEES_ALL) if place else None

    def size_of(self, table: str) -> Size | None:
        return size_of(self.connection, table)

    def lets_go_after(self) -> timedelta | None:
        return IDLE_LIMIT

    def locked(self, rows: QuerySet[Model]) -> QuerySet[Model]:
        # NO KEY: inserting a row that refers to one of these does not wait for the batch.
        # OF takes no table in another schema, and is needed only beside a parent's table.
        of = ("self",) if rows.model._meta.parents else ()
        return rows.select_for_update(of=of, no_key=True)

    def prepared_keys(
        self, fields: Sequence[Field[Any, Any]], found: Sequence[tuple[Any, ...]]
    ) -> Sequence[tuple[Any, ...]]:
        # psycopg takes what it gave, unless the field made something else of it.
        if any(hasattr(field, "from_db_value") for field in fields):
            return super().prepared_keys(fields, found)
        return found

    def write(self, bulk: Bulk) -> int:
        """
        Write the batch in one statement, each column sent as one array.

        An array has no limit on the number of rows, as parameters do, and is parsed faster than
        VALUES. A type that cannot be an element (an array) travels as text and is cast row by row.
        """
        quote = self.connection.ops.quote_name
        types = self._column_types(bulk.table)
        table, new = quote(bulk.table), quote("safemigrate_new")
        names: list[str] = []
        arrays: list[str] = []
        params: list[Any] = []

        def sent(column: str, values: Sequence[Any]) -> str:
            """Add one array and return how the statement refers to its elements."""
            kind, as_text = types[quote(column)]
            names.append(quote(f"c{len(names)}"))
            arrays.append(f"%s::{'text' if as_text else kind}[]")
            params.append(_array(self._words(values)))
            return f"{new}.{names[-1]}" + (f"::{kind}" if as_text else "")

        match = [
            f"{table}.{quote(column)} = {sent(column, [key[place] for key in bulk.keys])}"
            for place, column in enumerate(bulk.key_columns)
        ]
        sets = [f"{quote(column)} = {sent(column, values)}" for column, values in bulk.columns]
        sets += [f"{quote(column)} = %s::{types[quote(column)][0]}" for column, _ in bulk.constants]
        sets += [sql for sql, _ in bulk.assignments]
        set_params = [value for _, value in bulk.constants]
        set_params += [param for _, own in bulk.assignments for param in own]
        condition, condition_params = bulk.condition
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET {', '.join(sets)} "
                f"FROM unnest({', '.join(arrays)}) AS {new}({', '.join(names)}) "
                f"WHERE {' AND '.join(match)} AND ({condition})",
                [*set_params, *params, *condition_params],
            )
            return int(cursor.rowcount)

    def _column_types(self, table: str) -> dict[str, tuple[str, bool]]:
        """
        Return quoted column -> (its type as SQL, whether it cannot be an array's element).

        The server's own words for the type, without the length: a cast to varchar(3) would cut
        what an assignment refuses. -1 keeps char from meaning char(1).
        Source:  https://www.postgresql.org/docs/current/functions-info.html
        """
        if table not in self._types:
            with self.connection.cursor() as cursor:
                cursor.execute(
                    """SELECT '"' || replace(a.attname, '"', '""') || '"', """
                    "format_type(a.atttypid, -1), "
                    "t.typcategory = 'A' OR t.typarray = 0 "
                    "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
                    "WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped",
                    [self.connection.ops.quote_name(table)],
                )
                self._types[table] = {name: (kind, text) for name, kind, text in cursor.fetchall()}
        return self._types[table]

    def _words(self, values: Iterable[Any]) -> Iterable[str | None]:
        """Yield each value as the text psycopg would send for it."""
        from psycopg import Error as DriversError
        from psycopg.adapt import PyFormat, Transformer

        dumper = Transformer(self.connection.connection).get_dumper
        for value in values:
            try:
                said = None if value is None else dumper(value, PyFormat.TEXT).dump(value)
            except (DriversError, ValueError) as error:  # a text with NUL, or half a character
                raise DataError(str(error)) from error
            yield None if said is None else bytes(said).decode()

    def sqlstate(self, error: BaseException) -> str:
        return str(getattr(error.__cause__, "sqlstate", None) or "")

    def retry_reason(self, error: BaseException) -> str | None:
        return WORTH_RETRYING.get(self.sqlstate(error))

    def remedy(self, error: BaseException) -> str | None:
        return REMEDIES.get(self.sqlstate(error))

    def is_forbidden(self, error: BaseException) -> bool:
        return self.sqlstate(error) == FORBIDDEN

    def is_taken(self, error: BaseException) -> bool:
        return self.sqlstate(error) == DUPLICATE_TABLE

    def is_about_rows(self, error: BaseException) -> bool:
        # Data, integrity, WITH CHECK OPTION, and what a trigger of the project raises. Without a
        # SQLSTATE it was the driver that could not send a value, or not read one: an infinite date.
        sqlstate = self.sqlstate(error)
        if not sqlstate:
            return isinstance(error, DataError)
        return sqlstate[:2] in ("22", "23", "44") or sqlstate == "P0001"

    def check_deferred(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    def session_settings(self) -> dict[str, str]:
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join("current_setting(%s)" for _ in names), names)
            found = dict(zip(names, cursor.fetchone(), strict=True))
        watch(self.connection)
        read_committed(self.connection)
        return found

    def connect_again(self, settings: dict[str, str]) -> None:
        self.connection.close()
        bound_connecting(self.connection)
        has = self.session_settings()
        with self.connection.cursor() as cursor:
            for name, value in settings.items():
                if has[name] != value:  # behind a pooler what is set here is other clients' too
                    cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
        if self._is_standby():
            raise OperationalError("the server that answers is a standby and takes no writes")

    def _is_standby(self) -> bool:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            return bool(cursor.fetchone()[0])

    def is_lost(self, error: BaseException) -> bool:
        # The connection itself is no witness: leaving atomic(), Django may have opened another.
        # A server that vanished leaves an error without any SQLSTATE; so does a pooler that hangs
        # up with two answers at once: psycopg gives the connection up with an InternalError then.
        sqlstate = self.sqlstate(error)
        if sqlstate == READ_ONLY:  # a pooler, or an address, that leads to a standby meanwhile
            with suppress(Error):
                return self._is_standby()
            return True
        ended = sqlstate.startswith("08") or sqlstate in ENDED
        return ended or (not sqlstate and isinstance(error, GIVEN_UP))

    def said(self, error: BaseException) -> str:
        # Without DETAIL, which quotes whole rows.
        diagnosis = getattr(error.__cause__, "diag", None)
        return str(getattr(diagnosis, "message_primary", None) or super().said(error))

    def worded(self, rows: QuerySet[Any]) -> str:
        sql, params = rows.query.get_compiler(using=self.connection.alias).as_sql()
        return backend_for(self.connection).composed(sql, params)

    def blockers(self, *tables: str) -> list[str]:
        quote = self.connection.ops.quote_name
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT a.pid, a.application_name, a.state, split_part(ltrim(a.query), ' ', 1), "
                "date_trunc('second', clock_timestamp() - a.xact_start)::text "
                "FROM pg_stat_activity a "
                "WHERE a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL AND EXISTS ("
                "SELECT 1 FROM pg_locks l WHERE l.pid = a.pid AND l.granted "
                "AND l.mode <> 'AccessShareLock' "
                "AND l.relation IN (SELECT to_regclass(name) FROM unnest(%s::text[]) name)) "
                "ORDER BY a.xact_start LIMIT 3",
                [[quote(table) for table in tables]],
            )
            return [
                f"process {pid} ({name or 'no application_name'}, {state or 'state hidden'}, "
                f"{verb.upper() or 'query hidden'}, transaction open for {age})"
                for pid, name, state, verb, age in cursor.fetchall()
            ]


def _ms(wait: timedelta) -> str:
    return str(max(1, round(wait / timedelta(milliseconds=1))))


def _array(words: Iterable[str | None]) -> str:
    """Return an array in the server's own notation."""
    return "{" + ",".join("NULL" if word is None else _quoted(word) for word in words) + "}"


def _quoted(word: str) -> str:
    if "\\" in word or '"' in word:
        word = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{word}"'
