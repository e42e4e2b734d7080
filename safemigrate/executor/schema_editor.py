"""Django's schema editor for one ``migrate``: bounded waits, no leaked transaction."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

from safemigrate.backends import backend_for

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor

    _Editor = BaseDatabaseSchemaEditor
else:
    _Editor = object


class SafeSchemaEditorMixin(_Editor):
    """
    Composes with whatever schema editor the connection's engine brings.

    ``before_first``: SQL that goes out in one journey with the first statement.
    """

    before_first = ""

    def execute(self, sql: Any, params: Any = ()) -> None:
        """
        Outside a transaction a statement is tried again until its lock is free.

        Each try waits no longer than the executor has set for the session. Inside a
        transaction a refusal ends it, and the executor tries the whole migration again.
        """
        connection = self.connection
        send = super().execute
        if self.before_first:
            words, self.before_first = self.before_first, ""
            own = backend_for(connection).composed(str(sql), params)
            send(f"{words}; {own}", None)
            return
        if self.collect_sql or connection.in_atomic_block:
            send(sql, params)
            return
        backend = backend_for(connection)
        if backend.takes_its_time(sql):
            with backend.unhurried():
                send(sql, params)
            return
        backend.retrying([], lambda _: send(sql, params))

    def run_deferred_sql(self) -> None:
        """What Django puts off to the end; sent before the migration is recorded."""
        statements, self.deferred_sql = self.deferred_sql, []
        for statement in statements:
            self.execute(statement, None)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Django runs the deferred statements before it leaves the transaction, without a
        # finally: if one fails, the connection stays inside a transaction for good.
        if exc_type is None:
            try:
                self.run_deferred_sql()
            except BaseException:
                self.deferred_sql = []
                super().__exit__(*sys.exc_info())
                raise
        self.deferred_sql = []
        super().__exit__(exc_type, exc_value, traceback)


@cache
def _composed(base: type) -> type:
    return type("SafeSchemaEditor", (SafeSchemaEditorMixin, base), {})


@contextmanager
def safe_schema_editor(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Inside, ``connection.schema_editor()`` is ours; on this connection object alone."""
    connection.SchemaEditorClass = _composed(connection.SchemaEditorClass)
    try:
        yield
    finally:
        del connection.SchemaEditorClass
