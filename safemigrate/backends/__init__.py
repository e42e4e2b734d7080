"""Floor 1: what one server can do, and how to say it to that server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safemigrate.backends.base import Backend, IndexState, Session
from safemigrate.facts.errors import UnsupportedDatabase

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["Backend", "IndexState", "Session", "backend_for"]


def backend_for(connection: BaseDatabaseWrapper) -> Backend:
    """
    The backend for an open or unopened connection; asks the database nothing.

    Raises: UnsupportedDatabase for a server that safemigrate cannot protect yet.
    """
    if connection.vendor == "postgresql":
        from safemigrate.backends.postgresql import PostgresBackend

        return PostgresBackend(connection)
    if connection.vendor == "sqlite":
        from safemigrate.backends.sqlite import SQLiteBackend

        return SQLiteBackend(connection)
    raise UnsupportedDatabase(
        f"safemigrate cannot protect the database {connection.alias!r}: "
        f"it has no backend for {connection.display_name} yet.",
        do="Use PostgreSQL or SQLite for this alias, or migrate it from a settings module "
        'without "safemigrate" in INSTALLED_APPS.',
    )
