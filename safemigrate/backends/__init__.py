"""Floor 1: what one server can do, and how to say it to that server."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from safemigrate.backends.base import Backend, IndexState, Session
from safemigrate.backends.server import PlainServer
from safemigrate.facts.errors import UnsupportedDatabase

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = [
    "Backend",
    "IndexState",
    "PlainServer",
    "Session",
    "backend_for",
    "refuse_missing_driver",
    "server_for",
]


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


def server_for(connection: BaseDatabaseWrapper) -> PlainServer:
    """Return what a backfill asks for on this connection; asks the database nothing."""
    if connection.vendor == "postgresql":
        from safemigrate.backends.postgresql.server import PostgresServer

        return PostgresServer(connection)
    return PlainServer(connection, shares_transactions=connection.vendor == "sqlite")


def refuse_missing_driver(databases: Mapping[str, Mapping[str, Any]]) -> None:
    """
    Say which driver is missing before Django fails over it in the middle of an import.

    Raises: UnsupportedDatabase.
    """
    for alias, database in databases.items():
        engine = str(database.get("ENGINE", ""))
        if "postg" not in engine.lower() or _can_import("psycopg") or _can_import("psycopg2"):
            continue
        raise UnsupportedDatabase(
            f"The database {alias!r} is PostgreSQL ({engine}), and its driver psycopg is not "
            "installed.",
            do="pip install 'safemigrate[postgresql]'",
        )


def _can_import(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True
