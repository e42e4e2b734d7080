"""Processes of releases, forked from one that has imported Django already: 40 ms, not 600."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from tests.projects import DEADLINE_S, ROOT, Project, Ran

Pause = Callable[[str], None]


class Process:
    """A process of one release: a command, or a web worker with its connection open."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def ask(self, what: str, pause: Pause | None = None, **arguments: Any) -> Any:
        self.connection.send((what, arguments))
        while True:
            assert self.connection.poll(DEADLINE_S), f"{what} {arguments} did not end"
            state, answer = self.connection.recv()
            if state == "paused":
                assert pause is not None
                pause(answer)
                self.connection.send("go on")
            elif state == "failed":
                raise AssertionError(f"{what} {arguments} failed:\n{answer}")
            else:
                return answer

    def orm(self, name: str, **arguments: Any) -> Any:
        return self.ask("orm", name=name, **arguments)

    def manage(
        self,
        *words: str,
        renamed: Mapping[str, str] | None = None,
        typed: Sequence[str] = (),
        pause: Pause | None = None,
    ) -> Ran:
        """A command, see ``Nursery.manage``; another one may follow in the same process."""
        asked = {"words": [*words], "renamed": dict(renamed or {}), "typed": [*typed]}
        return Ran(*self.ask("manage", pause, pausing=pause is not None, **asked))

    def end(self) -> None:
        self.connection.close()


@dataclass
class Nursery:
    folder: Path
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    described: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        env = {name: v for name, v in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        env |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::Warning:safemigrate"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.born"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            text=True,
        )

    def process_of(self, project: Project, **env: str) -> Process:
        socket = str(self.folder / str(next(self.numbers)))
        env = project.env(DJANGO_SETTINGS_MODULE="config", **env)
        asked = {"folder": str(project.folder), "env": env, "socket": socket}
        assert self.process.stdin is not None
        with Listener(socket, "AF_UNIX") as listener:
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
            return Process(listener.accept())

    def manage(
        self,
        project: Project,
        *words: str,
        renamed: Mapping[str, str] | None = None,
        typed: Sequence[str] = (),
        pause: Pause | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Ran:
        """
        One command, as a process of its own; ``pause`` is called where it can be interrupted.

        Shape:   renamed: ``app.Model`` or ``app.Model.field``, old to new: what is answered when
                 Django asks. typed: lines for all other questions.
        """
        command = self.process_of(project, **(env or {}))
        try:
            return command.manage(*words, renamed=renamed, typed=typed, pause=pause)
        finally:
            command.end()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)
