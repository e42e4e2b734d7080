"""``manage.py safemigrate``: one command, with sub-commands."""

from __future__ import annotations

import io
import os
import select
import sys
from argparse import SUPPRESS
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from safemigrate.facts.errors import SafeMigrateError
from safemigrate.management.subcommands import SUBCOMMANDS


class Command(BaseCommand):
    help = "Look at migrations: what is unsafe, what is held back, what was done."
    requires_system_checks: list[str] = []  # lint and baseline are about what the checks refuse

    def add_arguments(self, parser: CommandParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
        for sub in SUBCOMMANDS:
            made = subparsers.add_parser(sub.name, help=sub.help, description=sub.help)
            _add_colours(made)
            sub.add_arguments(made)

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = next(sub for sub in SUBCOMMANDS if sub.name == options["subcommand"])
        _let_through_every_sign()
        try:
            try:
                chosen.run(self, options)
            finally:
                self.stdout.flush()
        except SafeMigrateError as error:
            raise CommandError(str(error)) from error
        except BrokenPipeError:
            if not _nobody_reads():
                raise
            # What is still buffered must go somewhere when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_PIPE_CLOSED)


_PIPE_CLOSED = 128 + 13
"""As of any program that SIGPIPE ends."""


def _nobody_reads() -> bool:
    """Whether it is our output that is closed (`| head`), and not a connection of somebody's."""
    if not hasattr(select, "poll"):
        return False
    look = select.poll()
    look.register(sys.stdout.fileno(), 0)
    return any(found & (select.POLLERR | select.POLLHUP) for _, found in look.poll(0))


def _let_through_every_sign() -> None:
    """Names and texts of a project may hold what the terminal's encoding has no sign for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _add_colours(parser: CommandParser) -> None:
    """Django knows them in front of the sub-command alone; people type them behind it."""
    for name in ("--no-color", "--force-color"):
        parser.add_argument(name, action="store_true", default=SUPPRESS, help=SUPPRESS)
