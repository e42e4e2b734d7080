"""
The isolation of a backfill's transactions, which is not the project's choice.

At REPEATABLE READ or SERIALIZABLE a batch fails for each row that somebody has changed since it
began, and workers for the row of the run in which all of them count. It would be begun anew,
smaller each time. READ COMMITTED waits for the row and looks at it again, which is all that a batch
needs: it asks for ``where`` in the statement that writes, or has locked what it read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def read_committed(connection: BaseDatabaseWrapper) -> Any:
    """
    Have each BEGIN from now on say so, which counts before the role's default; return what was.

    It costs no message of its own. Nothing is changed inside a transaction.
    Source:  https://www.psycopg.org/psycopg3/docs/basic/transactions.html#transaction-characteristics
    """
    from psycopg import IsolationLevel

    driver: Any = connection.connection
    before = driver.isolation_level
    leave(connection, IsolationLevel.READ_COMMITTED)
    return before


def leave(connection: BaseDatabaseWrapper, level: Any) -> None:
    """Give the connection the level that it had, unless it is gone."""
    from psycopg.pq import TransactionStatus

    driver: Any = connection.connection
    if driver is None or driver.closed or driver.isolation_level == level:
        return
    if driver.info.transaction_status == TransactionStatus.IDLE:
        driver.isolation_level = level
