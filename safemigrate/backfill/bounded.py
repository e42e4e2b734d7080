"""
The project's own code, called so that whoever waits for it can stop waiting.

Python cannot end a thread. So the call is made in a thread of its own, which is left behind when
its time is over; its connection is closed, so that the server lets the rows go, and whatever it
asks the database for later fails.
"""

from __future__ import annotations

import contextvars
import copy
import queue
import sys
import sysconfig
import threading
import traceback
import weakref
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.db import InterfaceError, connections

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")

TELL_AFTER = timedelta(seconds=10)
_STDLIB = sysconfig.get_path("stdlib")
_OURS = str(Path(__file__).parents[1])


class Hangs(Exception):
    """A call did not return in time."""

    def __init__(self, what: str, limit: timedelta, at: str) -> None:
        super().__init__(f"{what} did not return within {limit / timedelta(seconds=1):g} s ({at})")


class _Call(Generic[T]):
    def __init__(self, work: Callable[[], T], lent: BaseDatabaseWrapper) -> None:
        self.work, self.lent = work, lent
        self.context = contextvars.copy_context()
        self.done = threading.Event()
        self.answer: list[T] = []
        self.error: BaseException | None = None

    def make(self) -> None:
        """The connection is this thread's for the call, in the middle of its transaction."""
        connections[self.lent.alias] = self.lent
        try:
            self.answer.append(self.context.run(self.work))
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            self.error = error
        finally:
            del connections[self.lent.alias]
            self.done.set()


class Bounded:
    """
    Calls in one other thread, which keeps what the code keeps for each thread.

    Shape:   limit: asked before each call, None is no bound: then it is called right here.
             tell: called once in a call that takes long, with where it stands.
    """

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        limit: Callable[[], timedelta | None],
        tell: Callable[[str], None],
    ) -> None:
        self.connection, self.limit, self.tell = connection, limit, tell
        self._calls: queue.SimpleQueue[_Call[Any] | None] | None = None
        self._thread: threading.Thread | None = None

    def call(self, what: str, work: Callable[[], T]) -> T:
        """
        Raises:  Hangs, with the connection closed; what ``work`` raises.
        """
        limit = self.limit()
        if limit is None:
            return work()
        self.connection.inc_thread_sharing()
        made = _Call(work, _copied(self.connection))
        try:
            self._asked(made)
            self._watch(made, limit, what)
        except BaseException:
            self._leave_behind(made.lent)  # also when somebody presses Ctrl-C
            raise
        finally:
            self.connection.dec_thread_sharing()
        self._take_back(made.lent)
        error, made.error = made.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # through its traceback it would keep this frame, and the rows, alive
        return made.answer[0]

    def _asked(self, made: _Call[Any]) -> None:
        if self._calls is None:
            self._calls = queue.SimpleQueue()
            self._thread = threading.Thread(
                target=_serve, args=(self._calls,), name="backfill-function", daemon=True
            )
            self._thread.start()
            weakref.finalize(self, self._calls.put, None)
        self._calls.put(made)

    def _watch(self, made: _Call[Any], limit: timedelta, what: str) -> None:
        first = min(TELL_AFTER, limit)
        if made.done.wait(first / timedelta(seconds=1)):
            return
        if first < limit:
            self.tell(f"{what} has not returned for {first.seconds} s ({self._at()})")
        if not made.done.wait((limit - first) / timedelta(seconds=1)):
            raise Hangs(what, limit, self._at())

    def _at(self) -> str:
        """Return where the thread is now, in the words of a traceback."""
        ident = self._thread.ident if self._thread else None
        frame = sys._current_frames().get(ident or 0)
        stack = traceback.extract_stack(frame)
        own = [place for place in stack if not _is_a_library(place.filename)]
        found = (own or stack)[-1]
        return f"it is at {found.filename}:{found.lineno} in {found.name}"

    def _take_back(self, lent: BaseDatabaseWrapper) -> None:
        """Know of the transaction what the call has done to it."""
        for name in ("needs_rollback", "savepoint_state", "run_on_commit", "closed_in_transaction"):
            setattr(self.connection, name, getattr(lent, name))
        self.connection.connection = lent.connection

    def _leave_behind(self, lent: BaseDatabaseWrapper) -> None:
        """The next call gets a new thread; this one ends with its call, if that ever ends."""
        lent.connect = _given_up  # type: ignore[method-assign]  # leaving a block, Django connects
        if self._calls is not None:
            self._calls.put(None)
        self._calls = self._thread = None
        driver = self.connection.connection
        if driver is not None:
            driver.close()  # not given back to a pool, from where others would get it
        self.connection.close()


def _given_up() -> None:
    raise InterfaceError("The call that this connection was for has been given up.")


def _copied(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """
    Return a copy, so that one that wakes up too late finds a closed connection and no new one.

    Its lists are its own: a call that is left behind in the middle of a block never left that.
    """
    copied = copy.copy(connection)
    for name in ("savepoint_ids", "atomic_blocks", "run_on_commit", "execute_wrappers"):
        setattr(copied, name, list(getattr(connection, name)))
    return copied


def _is_a_library(filename: str) -> bool:
    """Whose author is not the one to mend it."""
    return "site-packages" in filename or filename.startswith((_STDLIB, _OURS, "<"))


def _serve(calls: queue.SimpleQueue[_Call[Any] | None]) -> None:
    while (made := calls.get()) is not None:
        made.make()
        del made  # with the rows in it
    connections.close_all()  # those that the code has opened itself
