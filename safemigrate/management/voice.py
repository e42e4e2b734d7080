"""Progress in a deploy's log: overwritten on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import time
from typing import Any

PLAIN_LINE_EVERY_S = 5.0


class Voice:
    """
    Listens to ``facts.progress`` and writes below Django's ``Applying shop.0002...``.

    Shape: ``stream`` is a command's stdout.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.on_terminal = bool(getattr(stream, "isatty", lambda: False)())
        self.spoke = False
        self._mid_line = False
        self._last_plain = 0.0

    def started_line(self) -> None:
        """Django has begun a line and will end it with OK."""
        self._mid_line, self.spoke = True, False

    def __call__(self, line: str, passing: bool) -> None:
        if passing and not self.on_terminal:
            if time.monotonic() - self._last_plain < PLAIN_LINE_EVERY_S:
                return
            self._last_plain = time.monotonic()
        if self._mid_line:
            self.stream.write("")
            self._mid_line = False
        self.spoke = True
        if self.on_terminal:
            self.stream.write(f"\r\033[K    {line}", ending="" if passing else "\n")
        else:
            self.stream.write(f"    {line}")
        self.stream.flush()

    def end_line(self) -> None:
        """What Django has begun was not ended: its migration failed."""
        if self._mid_line:
            self.stream.write("")
        self._mid_line = False

    def ending_line(self, what: str) -> None:
        """Begin again the line that Django is about to end."""
        if self.spoke:
            clear = "\r\033[K" if self.on_terminal else ""
            self.stream.write(f"{clear}  {what}...", ending="")
        self._mid_line = self.spoke = False
