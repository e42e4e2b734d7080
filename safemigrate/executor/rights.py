"""A role that may not do what was asked, told in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.db import DatabaseError

from safemigrate.backends import server_for
from safemigrate.facts.errors import NOTHING_CHANGED, NotAllowed, sentence

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.migrations.migration import Migration

UNREAD = "What is applied cannot be read"
UNWRITTEN = "What is applied cannot be recorded"

Method = TypeVar("Method", bound=Callable[..., Any])


@contextmanager
def rights_explained(
    connection: BaseDatabaseWrapper, what: str, *, changed: str = NOTHING_CHANGED
) -> Iterator[None]:
    """
    Say what a role lacks; every other error passes as it is.

    ``what``: what could not be done. ``changed``: what is left of it.

    Raises: NotAllowed in place of the server's own error.
    """
    try:
        yield
    except DatabaseError as error:
        server = server_for(connection)
        if not server.is_forbidden(error):
            raise
        raise NotAllowed(
            f"{what} on the database {connection.alias!r}: {sentence(server.said(error))}",
            changed=changed,
            do="Run this as the role that owns the tables (USER in DATABASES), or GRANT this role "
            "what it lacks; then run it again.",
        ) from error


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
