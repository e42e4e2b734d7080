"""Show which migrations wait, since when and why, and what was done last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections
from django.utils import timezone
from rich.table import Table

from safemigrate.facts import settings
from safemigrate.management.subcommands.base import add_database, connection_of, unanswered
from safemigrate.management.terminal import Terminal


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--limit", type=int, default=10, metavar="ROWS", help="How much of the ledger. Default: 10."
    )
    add_database(parser)


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    from safemigrate.executor import status

    if options["limit"] < 0:
        raise CommandError(f"--limit is {options['limit']}; give a number of rows, 0 or more.")
    connection = connection_of(options) or connections["default"]
    try:
        waiting = status.waiting(connection)
        rows = status.history(connection, options["limit"]) if options["limit"] else []
    except DatabaseError as error:
        raise unanswered(connection, error) from error
    if waiting.held:
        Terminal(command, options).show(_held_table(waiting.held))
    else:
        command.stdout.write("Nothing is held back.")
    if early := waiting.too_early:
        command.stdout.write(command.style.WARNING("Too early: migrate would refuse this release."))
        for line in (*early.what.splitlines(), *early.do.splitlines()):
            command.stdout.write(f"  {line}")
    if rows:
        Terminal(command, options).show(_ledger_table(rows))
    else:
        command.stdout.write("The ledger has no rows to show.")


def _held_table(held: Sequence[Any]) -> Table:
    table = Table(title="Held back", title_justify="left")
    for head in ("migration", "for", "because"):
        table.add_column(head, overflow="fold")
    limit = settings.current().held_too_long
    for one in held:
        age = _age(one.since)
        style = "yellow" if age is not None and age > limit else None
        told = _short(age) if age is not None else "not begun"
        table.add_row(".".join(one.key), told, one.reason, style=style)
    return table


def _ledger_table(rows: Sequence[Any]) -> Table:
    table = Table(title="Done last", title_justify="left")
    for head in ("started", "what", "phase", "release", "took", "by", "outcome"):
        table.add_column(head, overflow="fold")
    for row in rows:
        what = f"{row.action} {row.app}.{row.name}" if row.name else row.action
        took = "" if row.duration_ms is None else f"{row.duration_ms / 1000:.2f} s"
        outcome = f"{row.outcome} {row.error}".strip()
        by = f"{row.who}@{row.host}"
        started = _local(row.started).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(started, what, row.phase, row.release, took, by, outcome)
    return table


def _local(moment: datetime) -> datetime:
    aware = timezone.make_aware(moment) if timezone.is_naive(moment) else moment
    return timezone.localtime(aware)


def _age(since: datetime | None) -> timedelta | None:
    return None if since is None else timezone.now() - _local(since)


def _short(age: timedelta) -> str:
    if age.days:
        return f"{age.days} d {age.seconds // 3600} h"
    return f"{age.seconds // 3600} h {age.seconds % 3600 // 60} min"
