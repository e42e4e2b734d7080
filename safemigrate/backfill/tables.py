"""
Tables of our own, which no migration makes: each database has them before its first one.

Source:  django/db/migrations/recorder.py:24 (5.2)
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, transaction

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Sql = tuple[str, Any]


class OwnTables:
    """The tables of some models, whose apps registry is their own."""

    def __init__(self, connection: BaseDatabaseWrapper, *models: Any) -> None:
        self.connection, self.models = connection, models

    def there(self) -> set[str]:
        """Return the names of those of them that exist."""
        with self.connection.cursor() as cursor:
            names = self.connection.introspection.table_names(cursor)
        return {model._meta.db_table for model in self.models}.intersection(names)

    def exist(self) -> bool:
        return len(self.there()) == len(self.models)

    def ensure(self) -> None:
        """
        Make the tables if they are not there, and the columns that an older version had not.

        Re-run:  two processes may do it at once: PostgreSQL lets one of them fail on the catalog.
        """
        self._complete(self.there())

    def ensure_if_any(self) -> bool:
        """Do so where at least one of them is there; else return False."""
        there = self.there()
        if there:
            self._complete(there)
        return bool(there)

    def _complete(self, there: Set[str]) -> None:
        for statement in self._lacking(there):
            self._unless_done(statement)

    def _lacking(self, there: Set[str]) -> list[Sql]:
        found = []
        for model in self.models:
            if model._meta.db_table not in there:
                found.append(self._creating(model))
                continue
            have = self._columns(model)
            fields = model._meta.concrete_fields
            found += [self._adding(model, field) for field in fields if field.column not in have]
        return found

    def _columns(self, model: Any) -> set[str]:
        with self.connection.cursor() as cursor:
            found = self.connection.introspection.get_table_description(
                cursor, model._meta.db_table
            )
        return {column.name for column in found}

    def _unless_done(self, statement: Sql) -> None:
        sql, params = statement
        try:
            with (
                transaction.atomic(using=self.connection.alias),
                self.connection.cursor() as cursor,
            ):
                cursor.execute(sql, params or None)
        except DatabaseError:
            if statement in self._lacking(self.there()):
                raise

    # The editor only words the statements. Entered, it would refuse inside a transaction on
    # SQLite, and run what is deferred in it; these tables have nothing deferred.

    def _creating(self, model: Any) -> Sql:
        editor = self.connection.SchemaEditorClass(self.connection, atomic=False)
        sql, params = editor.table_sql(model)
        return sql, params

    def _adding(self, model: Any, field: Any) -> Sql:
        """Return the statement for a column that rows of an older version lack; it may be NULL."""
        editor = self.connection.SchemaEditorClass(self.connection, atomic=False)
        quote = self.connection.ops.quote_name
        words, params = editor.column_sql(model, field)
        table = quote(model._meta.db_table)
        return f"ALTER TABLE {table} ADD COLUMN {quote(field.column)} {words}", params
