"""PostgreSQL 14 to 18 by psycopg 3."""

from safemigrate.backends.postgresql.altering import Altering
from safemigrate.backends.postgresql.constraints import Constraints
from safemigrate.backends.postgresql.merging import Merging
from safemigrate.backends.postgresql.renaming import ColumnNames
from safemigrate.backends.postgresql.sessions import Sessions
from safemigrate.backends.postgresql.ties import Ties
from safemigrate.backends.postgresql.views import Views

__all__ = ["PostgresBackend"]


class PostgresBackend(Altering, Constraints, ColumnNames, Views, Ties, Merging, Sessions):
    """PostgreSQL behind one connection; each base is one subject, in a file of its own."""

    vendor = "postgresql"
