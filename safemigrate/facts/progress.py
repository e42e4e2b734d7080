"""Where long work says how far it is; silent unless somebody listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, bool], None]


def _nobody(line: str, passing: bool) -> None:
    """Tests, stock executors and libraries get no output they did not ask for."""


_listener: ContextVar[Listener] = ContextVar("safemigrate_progress", default=_nobody)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Send what is said inside the block to ``listener(line, passing)``."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def say(line: str, *, passing: bool = False) -> None:
    """
    Tell the listener one line.

    ``passing``: the next line may overwrite it on a terminal (a progress line, not an event).
    """
    _listener.get()(line, passing)


def current_listener() -> Listener:
    """The listener, to be handed to a thread (context variables do not follow by themselves)."""
    return _listener.get()
