"""A sub-command: its arguments and what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from safemigrate.facts.errors import sentence


@dataclass(frozen=True)
class Subcommand:
    """``run(command, options)`` prints to ``command.stdout`` and raises CommandError."""

    name: str
    help: str
    add_arguments: Callable[[CommandParser], None]
    run: Callable[[BaseCommand, dict[str, Any]], None]


def add_database(parser: CommandParser) -> None:
    parser.add_argument("--database", metavar="ALIAS", help='The database; "default" if left out.')


def connection_of(options: dict[str, Any]) -> BaseDatabaseWrapper | None:
    """The named connection, unopened, or None if none was named."""
    alias = options.get("database")
    if alias is None:
        return None
    if alias not in connections:
        raise CommandError(
            f"There is no database {alias!r} in DATABASES; there are {', '.join(connections)}."
        )
    return connections[alias]


def unanswered(connection: BaseDatabaseWrapper, error: DatabaseError) -> CommandError:
    """What to say where a database gave an error for an answer."""
    from safemigrate.backends import server_for

    known = server_for(connection).remedy(error)
    return CommandError(
        f"The database {connection.alias!r} cannot be asked: {sentence(error)} Nothing was "
        f"changed. {known or 'Check that it is running, and DATABASES in the settings'}."
    )
