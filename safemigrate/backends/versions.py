"""Which version of its server a project's migrations are judged for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safemigrate.facts import settings
from safemigrate.facts.errors import WrongSettings

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

Version = tuple[int, ...]


def judged_version(connection: BaseDatabaseWrapper) -> Version | None:
    """
    What ``SERVER_VERSION`` says, else an open connection; None if nobody has said it.

    The setting comes first: what runs in production may be older than what a developer has.
    Opens no connection.
    """
    if connection.vendor != "postgresql":
        return None
    try:
        said = settings.current().server_version
    except WrongSettings:
        said = 0  # E302 says so
    if said:
        return (said,)
    if connection.connection is None:
        return None
    return tuple(connection.get_database_version())
