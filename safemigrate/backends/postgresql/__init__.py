"""PostgreSQL 14 to 18 by psycopg 3."""

from safemigrate.backends.postgresql.columns import Columns
from safemigrate.backends.postgresql.filling import Filling
from safemigrate.backends.postgresql.indexes import Indexes
from safemigrate.backends.postgresql.locking import Locking
from safemigrate.backends.postgresql.sessions import Sessions
from safemigrate.backends.postgresql.tables import Tables

__all__ = ["PostgresBackend"]


class PostgresBackend(Sessions, Indexes, Filling, Columns, Tables, Locking):
    """PostgreSQL behind one connection."""

    vendor = "postgresql"
