"""What the server refuses and a person can change, told in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.db import DatabaseError

from safemigrate.backends import PlainServer, server_for
from safemigrate.facts.errors import NOTHING_CHANGED, NotAllowed, SafeMigrateError, sentence

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.migration import Migration

UNREAD = "What is applied cannot be read"
UNWRITTEN = "What is applied cannot be recorded"

Method = TypeVar("Method", bound=Callable[..., Any])
Tell = Callable[[PlainServer, DatabaseError], SafeMigrateError | None]


@contextmanager
def explained(connection: BaseDatabaseWrapper, tell: Tell) -> Iterator[None]:
    """
    Say what the server has refused; every other error passes as it is.

    Raises: what ``tell`` makes of the server's own error, in place of that.
    """
    try:
        yield
    except DatabaseError as error:
        told = tell(server_for(connection), error)
        if told is None:
            raise
        raise told from error


def said(server: PlainServer, error: DatabaseError, what: str) -> str:
    """``what``: what could not be done."""
    return f"{what} on the database {server.connection.alias!r}: {sentence(server.said(error))}"


def lacking_rights(
    server: PlainServer, error: DatabaseError, what: str, changed: str
) -> NotAllowed | None:
    """What a role lacks; None if that is not the reason. ``changed``: what is left of ``what``."""
    if not server.is_forbidden(error):
        return None
    return NotAllowed(
        said(server, error, what),
        changed=changed,
        do="Run this as the role that owns the tables (USER in DATABASES), or GRANT this role "
        "what it lacks; then run it again.",
    )


def rights_explained(
    connection: BaseDatabaseWrapper, what: str, *, changed: str = NOTHING_CHANGED
) -> AbstractContextManager[None]:
    """Say what a role lacks, and nothing of other errors."""
    return explained(connection, lambda server, error: lacking_rights(server, error, what, changed))


def explaining_rights(what: str) -> Callable[[Method], Method]:
    """Decorate a method, of something with a ``connection``, that changes nothing if it fails."""

    def around(method: Method) -> Method:
        @wraps(method)
        def explained(self: Any, *args: Any, **kwargs: Any) -> Any:
            with rights_explained(self.connection, what):
                return method(self, *args, **kwargs)

        return cast("Method", explained)

    return around


def left_of(migration: Migration) -> str:
    """What there is of one that failed."""
    if migration.atomic:
        return "All of it was rolled back; what was applied before it stays."
    return "What it had done by then stays, and it goes on there."
