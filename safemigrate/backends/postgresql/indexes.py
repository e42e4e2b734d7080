"""Indexes, built and dropped CONCURRENTLY; what a killed build left is repaired."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, Error

from safemigrate.backends.base import IndexState, project_settings
from safemigrate.backends.fields import column_of
from safemigrate.backends.postgresql.locking import QUERY_CANCELED, sqlstate
from safemigrate.backends.postgresql.partitions import Partitions
from safemigrate.backends.postgresql.sessions import apart
from safemigrate.backends.statements import index_of, like_index_of, name_of, unique_of
from safemigrate.facts.errors import DataInTheWay, DeadlinePassed
from safemigrate.facts.locks import TableLock
from safemigrate.facts.progress import current_listener, say

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.backends.ddl_references import Statement
    from django.db.models import Field, Index, Model

UNIQUE_VIOLATION = "23505"
DUPLICATE_TABLE = "42P07"
CLEAN_UP_MS = 60_000


class Indexes(Partitions):
    """
    Locks: SHARE UPDATE EXCLUSIVE on the table, which lets reads and writes through.

    ``lock_timeout`` is lifted: a timeout inside the build would leave the index INVALID.
    Source: https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
    """

    def index_sql(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], index: Index
    ) -> Statement:
        return index.create_sql(model, editor, concurrently=True)

    def add_field_indexes(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        self._add_field_indexes(editor, model, field, ())

    def _add_field_indexes(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        field: Field[Any, Any],
        there: Collection[str],
    ) -> None:
        """``there``: the indexes that sqlmigrate must take for built."""
        if field.primary_key:
            return
        if field.unique:
            self._add_unique(editor, model, field)
        for name, statement in self._field_indexes(editor, model, field).items():
            if not (editor.collect_sql and name in there):
                self._note_made(editor, "INDEX", model._meta.db_table, name, [column_of(field)])
                self.create_index(editor, model, name, partial(_itself, statement))

    def drop_field_indexes(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        for name in self._field_indexes(editor, model, field):
            self.drop_index(editor, model, name)
        if field.unique and not field.primary_key:
            self._drop_unique_named(editor, model, name_of(unique_of(editor, model, field)))

    def _field_indexes(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> dict[str, Statement]:
        """``{name: statement}`` of the plain index and of its ``_like`` twin."""
        plain = index_of(editor, model, field, concurrently=True)
        like = like_index_of(editor, model, field)
        return {name_of(statement): statement for statement in (plain, like) if statement}

    def _add_unique(
        self, editor: BaseDatabaseSchemaEditor, model: type[Model], field: Field[Any, Any]
    ) -> None:
        table, name = model._meta.db_table, name_of(unique_of(editor, model, field))
        if not editor.collect_sql and self._constraint_is_validated(table, name) is not None:
            return
        build = (
            f"CREATE UNIQUE INDEX CONCURRENTLY {self._quote(name)} "
            f"ON {self._quote(table)} ({self._quote(column_of(field))})"
        )
        self._note_made(editor, "INDEX", table, name, [column_of(field)])
        if self._is_partitioned(table):
            self._add_unique_in_parts(editor, table, name, build)
            return
        self.create_index(editor, model, name, lambda: build)
        self._locked(editor, [TableLock(table)], lambda: self._use_index(editor, table, name, name))

    def _use_index(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        constraint: str,
        index: str,
        deferrable: str = "",
    ) -> None:
        """A unique index that is ready becomes the constraint, and takes its name."""
        if self._is_partitioned(table):
            # There it was made as a constraint at once: it cannot become one.
            self._rename_constraint(editor, table, index, constraint)
            return
        editor.execute(
            f"ALTER TABLE {self._quote(table)} ADD CONSTRAINT {self._quote(constraint)} "
            f"UNIQUE USING INDEX {self._quote(index)}{deferrable}",
            params=None,
        )

    def _drop_unique_named(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        name: str,
        backed: bool = True,
    ) -> None:
        """
        Drop a unique constraint, or the index that it has not become or never was.

        ``backed``: what ``sqlmigrate`` shall say where there is neither of them.
        """
        table = model._meta.db_table
        is_constraint = self._constraint_is_validated(table, name) is not None
        if editor.collect_sql and self.index_state(table, name) is IndexState.ABSENT:
            is_constraint = is_constraint or backed
        if not is_constraint:
            self.drop_index(editor, model, name)
            return
        drop = f"ALTER TABLE {self._quote(table)} DROP CONSTRAINT {self._quote(name)}"
        self._locked(editor, [TableLock(table)], lambda: editor.execute(drop, params=None))

    def create_index(
        self,
        editor: BaseDatabaseSchemaEditor,
        model: type[Model],
        name: str,
        build: Callable[[], Statement | str],
    ) -> None:
        table = model._meta.db_table
        if self._is_partitioned(table):
            self._create_index_in_parts(editor, table, name, str(build()))
        else:
            self._create_index_on(editor, table, name, build)

    def _create_index_on(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        name: str,
        build: Callable[[], Statement | str],
    ) -> None:
        """On a table that is not partitioned, or on one partition."""
        if editor.collect_sql:
            words = str(build())
            if not self._is_printed(editor, words):
                editor.execute(words, params=None)
            return
        self._wait_for_builder(table, name)
        state = self.index_state(table, name)
        if state is IndexState.VALID:
            return
        if state is IndexState.INVALID:
            say(f"{name} was left INVALID by a build that did not end; it is built anew")
            self._drop_index_on(editor, table, name)
        try:
            with self.unhurried(), self._progress_shown(table, name):
                editor.execute(build(), params=None)
        except DatabaseError as error:
            if not self.connection.is_usable():
                raise
            if sqlstate(error) == DUPLICATE_TABLE:
                # Not ours to drop: a build that began since we looked, or another table's index.
                if self.index_state(table, name) is IndexState.ABSENT:
                    raise
                self._create_index_on(editor, table, name, build)
                return
            raise self._build_failed(editor, table, error, name) or error from error

    def drop_index(self, editor: BaseDatabaseSchemaEditor, model: type[Model], name: str) -> None:
        table = model._meta.db_table
        if self._is_partitioned(table):
            self._drop_index_in_parts(editor, table, name)
        else:
            self._drop_index_on(editor, table, name)

    def _drop_index_on(self, editor: BaseDatabaseSchemaEditor, table: str, name: str) -> None:
        if not editor.collect_sql and self.index_state(table, name) is IndexState.ABSENT:
            return
        where = self._beside(editor, table, name)
        with self.unhurried() if not editor.collect_sql else _as_is():
            editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {where}", params=None)

    def _build_failed(
        self,
        editor: BaseDatabaseSchemaEditor,
        table: str,
        error: DatabaseError,
        name: str,
    ) -> Exception | None:
        duplicates = self._duplicates(table, name) if sqlstate(error) == UNIQUE_VIOLATION else ""
        changed = self._clean_up(editor, table, name)
        if sqlstate(error) == QUERY_CANCELED:
            return DeadlinePassed(
                f"Building {name} on {table} was stopped after "
                f"{project_settings().build_deadline} or by an administrator.",
                changed=changed,
                do='Run migrate again; raise SAFEMIGRATE["BUILD_DEADLINE"] if the table is large.',
            )
        if sqlstate(error) == UNIQUE_VIOLATION:
            return DataInTheWay(
                f"The unique index {name} on {table} cannot be built: there are duplicates.",
                changed=changed,
                do=f"Remove them ({duplicates}), then run migrate again.",
            )
        return None

    def _clean_up(self, editor: BaseDatabaseSchemaEditor, table: str, name: str) -> str:
        """
        Drop what a failed build left: an INVALID unique index still refuses rows.

        The drop waits for old transactions like the build did, but not as long; what cannot be
        dropped now is dropped by the next run. Returns what to say about it.
        """
        where = self._beside(editor, table, name)
        try:
            with self._session_settings(lock_timeout=0, statement_timeout=CLEAN_UP_MS):
                editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {where}", params=None)
        except DatabaseError:
            return "The unfinished index is left INVALID; the next run drops it."
        return "The unfinished index was dropped."

    def _duplicates(self, table: str, name: str) -> str:
        """The query that finds them, from the definition of the index that is INVALID now."""
        rows = self._ask(
            """
            SELECT pg_get_indexdef(i.indexrelid, k, true),
                   coalesce(a.attnotnull, false)
                       OR coalesce((to_jsonb(i)->>'indnullsnotdistinct')::bool, false),
                   pg_get_expr(i.indpred, i.indrelid, true)
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            CROSS JOIN generate_series(1, i.indnkeyatts) k
            LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k - 1]
            WHERE i.indrelid = to_regclass(%s) AND c.relname = %s ORDER BY k
            """,
            [self._regclass(table), self._bare(name)],
        )
        if not rows:
            return "GROUP BY the index's columns HAVING count(*) > 1"
        nullable = [key for key, counts_once, _ in rows if not counts_once]
        return self._duplicates_query(table, [row[0] for row in rows], nullable, rows[0][2])

    def _duplicates_query(
        self, table: str, keys: Sequence[str], nullable: Sequence[str], condition: str | None
    ) -> str:
        """``nullable``: the keys of which a NULL is no duplicate of another NULL."""
        conditions = [
            f"({key}) IS NOT NULL" if "(" in key else f"{key} IS NOT NULL" for key in nullable
        ]
        if condition:
            conditions.insert(0, f"({condition})" if nullable else condition)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        columns = ", ".join(keys)
        return (
            f"SELECT {columns}, count(*) FROM {self._quote(table)}{where} "
            f"GROUP BY {columns} HAVING count(*) > 1"
        )

    def _wait_for_builder(self, table: str, name: str) -> None:
        """A killed client's server process builds on; its index may yet become valid."""
        started = time.monotonic()
        deadline = project_settings().build_deadline.total_seconds()
        while time.monotonic() - started < deadline:
            rows = self._ask(
                """
                SELECT p.pid FROM pg_stat_progress_create_index p
                JOIN pg_class c ON c.oid = p.index_relid
                WHERE p.relid = to_regclass(%s) AND c.relname = %s
                  AND p.pid <> pg_backend_pid()
                """,
                [self._regclass(table), self._bare(name)],
            )
            if not rows:
                return
            say(f"{name} is being built by process {rows[0][0]}; waiting for it", passing=True)
            time.sleep(0.2)
        raise DeadlinePassed(
            f"Another process is still building {name} on {table}.",
            do="Wait until it is done, or end that process, then run migrate again.",
        )

    @contextmanager
    def _progress_shown(self, table: str, name: str) -> Iterator[None]:
        """While the build blocks this connection, another one watches it."""
        done = threading.Event()
        listener = current_listener()
        pid = self._ask("SELECT pg_backend_pid()", [])[0][0]
        watcher = threading.Thread(
            target=_watch,
            args=(self.connection, pid, name, listener, done),
            name=f"progress of {name}",
            daemon=True,
        )
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join(timeout=5)


WATCH_EVERY_S = 1.0


def _watch(
    watched: BaseDatabaseWrapper,
    pid: int,
    name: str,
    listener: Callable[[str, bool], None],
    done: threading.Event,
) -> None:
    """Until ``done``, say which phase the build is in and how much of it is done."""
    if done.wait(WATCH_EVERY_S):
        return
    connection = apart(watched)
    try:
        while not done.is_set():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT phase, blocks_total, blocks_done, tuples_total, tuples_done "
                    "FROM pg_stat_progress_create_index WHERE pid = %s",
                    [pid],
                )
                row = cursor.fetchone()
            if row:
                listener(f"building {name}: {build_progress(*row)}", True)
            done.wait(WATCH_EVERY_S)
    except Error:
        # Progress is a courtesy: a build must not fail because nobody could watch it.
        return
    finally:
        connection.close()


def build_progress(phase: str, blocks: int, blocks_done: int, tuples: int, tuples_done: int) -> str:
    """``building index: scanning table, 41 %`` from a row of pg_stat_progress_create_index."""
    total, part = (blocks, blocks_done) if blocks else (tuples, tuples_done)
    return f"{phase}, {100 * part // total} %" if total else phase


def _itself(statement: Statement) -> Statement:
    return statement


@contextmanager
def _as_is() -> Iterator[None]:
    yield
