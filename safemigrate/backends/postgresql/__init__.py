"""PostgreSQL 14 to 18 by psycopg 3."""

from safemigrate.backends.postgresql.columns import Columns
from safemigrate.backends.postgresql.indexes import Indexes
from safemigrate.backends.postgresql.sessions import Sessions
from safemigrate.backends.postgresql.syncing import Syncing

__all__ = ["PostgresBackend"]


class PostgresBackend(Columns, Indexes, Syncing, Sessions):
    """PostgreSQL behind one connection; each base is one subject, in a file of its own."""

    vendor = "postgresql"
