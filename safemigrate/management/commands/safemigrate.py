"""``manage.py safemigrate``: one command, with sub-commands."""

from __future__ import annotations

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
        try:
            chosen.run(self, options)
        except SafeMigrateError as error:
            raise CommandError(str(error)) from error


def _add_colours(parser: CommandParser) -> None:
    """Django knows them in front of the sub-command alone; people type them behind it."""
    for name in ("--no-color", "--force-color"):
        parser.add_argument(name, action="store_true", default=SUPPRESS, help=SUPPRESS)
