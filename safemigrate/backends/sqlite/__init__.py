"""SQLite: one process, one writer, no old code."""

from safemigrate.backends.sqlite.tables import Tables

__all__ = ["SQLiteBackend"]


class SQLiteBackend(Tables):
    """SQLite behind one connection."""

    vendor = "sqlite"
