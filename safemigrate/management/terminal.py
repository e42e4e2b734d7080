"""What a command prints: with colours and as wide as it is on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any, Literal

from django.core.management.base import BaseCommand
from rich.console import Console, RenderableType
from rich.text import Text

_LOG_WIDTH = 160


class Terminal:
    """
    A command's stdout; ``--no-color`` and ``--force-color`` mean what they mean to Django.

    ``width``: None if it is no terminal; then tables are wide, so that a log keeps one line a row.
    """

    def __init__(self, command: BaseCommand, options: Mapping[str, Any]) -> None:
        self.stdout = command.stdout
        self.is_one = bool(options.get("force_color") or self.stdout.isatty())
        # "auto" goes by the environment: NO_COLOR, TERM.
        self.colours: Literal["auto"] | None = None if options.get("no_color") else "auto"
        self.width = self._console(StringIO()).width if self.is_one else None

    def show(self, what: RenderableType) -> None:
        """Print a text as its lines are, or something that fits itself into the width."""
        if isinstance(what, Text) and not self.is_one:
            self.stdout.write(what.plain)
            return
        into = StringIO()
        self._console(into).print(what, soft_wrap=isinstance(what, Text))
        self.stdout.write("\n".join(line.rstrip() for line in into.getvalue().splitlines()))

    def _console(self, into: StringIO) -> Console:
        return Console(
            file=into,
            width=None if self.is_one else _LOG_WIDTH,
            force_terminal=self.is_one,
            color_system=self.colours,
            highlight=False,
        )
