"""
What runs in the nursery and in its children: ``python -m tests.born``.

The nursery has imported everything and set up nothing. For each line on stdin it forks a process
that becomes one command, or one release's web worker, of one project.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import re
import runpy
import signal
import sys
import traceback
from multiprocessing.connection import Client
from typing import Any

import safemigrate

EARLY = [
    "django.contrib.contenttypes.apps",
    "django.contrib.postgres.constraints",
    "django.contrib.postgres.indexes",
    "django.core.cache.backends.locmem",
    "django.db.backends.postgresql.base",
    "django.db.backends.postgresql.schema",
    "django.utils.translation.reloader",
    "django.views.csrf",
    "django.views.debug",
    "environ",
    "tests.stories.writer",
]
ASK_THE_SETTINGS = {
    "safemigrate.queues.framework",
    "safemigrate.queues.on_celery",
    "safemigrate.tasks",
}
BATCH_ROWS = 5


def main() -> None:
    ours = {module.name for module in pkgutil.walk_packages(safemigrate.__path__, "safemigrate.")}
    for name in [*EARLY, *sorted(ours - ASK_THE_SETTINGS)]:
        importlib.import_module(name)
    from django.conf import settings
    from django.core.management import BaseCommand

    from testproject.database import end_with_parent

    # What is compiled for the first command of a process is compiled for all of them.
    BaseCommand().create_parser("manage.py", "migrate").parse_args(["--skip-checks"])
    assert not settings.configured, "a child could not have settings of its own"
    end_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits: the kernel forgets the children
    gc.disable()  # none lives long enough to gather what would be worth a search
    gc.freeze()
    for line in sys.stdin:
        if os.fork() == 0:
            end_with_parent()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with contextlib.suppress(EOFError, OSError):
                _live(**json.loads(line))
            os._exit(0)


def _live(folder: str, env: dict[str, str], socket: str) -> None:
    """Be a process of the project in ``folder``, and do what is asked over ``socket``."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [path for path in env["PYTHONPATH"].split(os.pathsep) if path not in sys.path]
    importlib.invalidate_caches()
    asked = Client(socket, "AF_UNIX")
    while True:
        what, arguments = asked.recv()
        try:
            answer = ("done", globals()[f"do_{what}"](asked, **arguments))
        except BaseException:  # noqa: BLE001  the story is told, whatever it is
            answer = ("failed", traceback.format_exc())
        asked.send(answer)


class Developer(io.TextIOBase):
    """At the keyboard: knows what was renamed, and has written down all other answers."""

    def __init__(self, screen: io.StringIO, renamed: dict[str, str], lines: list[str]) -> None:
        self.screen, self.renamed, self.lines = screen, renamed, lines

    def readline(self, size: int | None = -1, /) -> str:
        # What is answered ends no line on a screen: the last question is meant.
        _, was, question = self.screen.getvalue().rpartition("\n")[2].rpartition("Was ")
        question = was + question
        if asked := re.match(r"Was (?:the model )?(\S+) renamed to (\S+?)\??( \(|\s*\[)", question):
            return "y\n" if (asked[1].lower(), asked[2].lower()) in self._renamed() else "n\n"
        return f"{self.lines.pop(0)}\n" if self.lines else ""

    def _renamed(self) -> set[tuple[str, str]]:
        """As Django asks: ``order.title``, ``order.headline``; ``shop.Order``, ``Purchase``."""
        pairs = set()
        for old, new in self.renamed.items():
            _, *old_names = old.lower().split(".")
            _, *new_names = new.lower().split(".")
            if len(old_names) == 1:
                pairs.add((old.lower(), new_names[0]))
            else:
                pairs.add((f"{new_names[0]}.{old_names[1]}", ".".join(new_names)))
        return pairs


def do_manage(
    asked: Any, words: list[str], renamed: dict[str, str], typed: list[str], pausing: bool
) -> tuple[int, str, str]:
    """``manage.py``, in this process, with its exit code and what it prints."""
    if pausing:
        _pause(asked)
    importlib.invalidate_caches()  # the command before may have written files
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.stdin = Developer(out, renamed, typed)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            sys.argv = ["manage.py", *words]
            runpy.run_path("manage.py", run_name="__main__")
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            if isinstance(ended.code, str):
                err.write(ended.code)
        except BaseException:  # noqa: BLE001  the story is told, whatever it is
            traceback.print_exc()
            code = 1
    return code, out.getvalue(), err.getvalue()


def _pause(asked: Any) -> None:
    """Small batches; and after each, and after each migration, the story may do something."""
    from safemigrate.backfill.pace import Pace
    from safemigrate.executor.executor import SafeExecutor

    def pause(where: str) -> None:
        asked.send(("paused", where))
        asked.recv()

    made, apply = Pace.__init__, SafeExecutor.apply_migration

    def small(self: Pace, target: Any, fixed_rows: int | None = None) -> None:
        made(self, target, fixed_rows or BATCH_ROWS)

    def apply_and_pause(self: Any, state: Any, migration: Any, *args: Any, **kwargs: Any) -> Any:
        after = apply(self, state, migration, *args, **kwargs)
        pause(f"after {migration}")
        return after

    Pace.__init__ = small  # type: ignore[method-assign]  # so that it can be killed
    Pace.finished = lambda self, took: pause("between batches")  # type: ignore[method-assign]  # the same
    SafeExecutor.apply_migration = apply_and_pause  # type: ignore[method-assign]  # the same


def do_orm(asked: Any, name: str, **arguments: Any) -> Any:
    """A function of ``writer.py``, in a process that was set up as a web worker is."""
    import django

    django.setup()
    from tests.stories import writer

    return getattr(writer, name)(**arguments)


if __name__ == "__main__":
    main()
