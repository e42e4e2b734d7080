"""The processes of one release, as the parent sees them: prepared, sending, stopped."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from testproject.rollout.manage import REPOSITORY, RolloutError
from testproject.rollout.windows import Request

READY_SECONDS = 120
STOP_SECONDS = 90

PROCESSES = 2  # per release
THREADS = 8  # per process: as many requests may hang at once before others queue behind them


@dataclass
class Traffic:
    """
    A release's web processes.

    They are imported before the measuring begins and connect only on ``go``: in production they
    start on machines of their own, here they would take the CPU from those that are measured.
    """

    release: str
    environment: dict[str, str]
    folder: Path
    orders: int
    rate: float
    first_slot: int = 0
    _waiting: list[subprocess.Popen[str]] = field(default_factory=list)
    _sending: list[subprocess.Popen[str]] = field(default_factory=list)

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in range(PROCESSES):
            words = [sys.executable, "-m", "testproject.rollout.worker"]
            words += ["--record", str(self._record(number)), "--orders", str(self.orders)]
            words += ["--rate", str(self.rate / PROCESSES), "--threads", str(THREADS)]
            words += ["--slot", str(self.first_slot + number * THREADS)]
            self._waiting.append(
                subprocess.Popen(
                    words,
                    cwd=REPOSITORY,
                    env=os.environ | self.environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        for process in self._waiting:
            self._expect("imported", process)

    def go(self) -> None:
        """Let the next process connect, warm up and send; return when it does."""
        process = self._waiting.pop(0)
        self._sending.append(process)
        process.stdin.write("go\n")
        process.stdin.flush()
        self._expect("ready", process)

    def stop(self) -> None:
        """Let the requests of the oldest process end, then the process."""
        _end(self._sending.pop(0))

    def stop_all(self) -> None:
        """End what is left, whether it sends or waits."""
        left = self._sending + self._waiting
        for process in left:  # all at once, then each in turn
            process.stdin.close()
        for process in left:
            _end(process)
        self._sending, self._waiting = [], []

    def requests(self) -> list[Request]:
        """Return what was recorded, in the order it was due."""
        found: list[Request] = []
        for number in range(PROCESSES):
            record = self._record(number)
            if record.exists():
                lines = record.read_text().splitlines()
                found += [Request.read(self.release, line) for line in lines]
        return sorted(found, key=lambda request: request.due)

    def _record(self, number: int) -> Path:
        return self.folder / f"{self.release}-{number}.tsv"

    def _expect(self, word: str, process: subprocess.Popen[str]) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            answered = selector.select(READY_SECONDS)
        said = process.stdout.readline().strip() if answered else "nothing"
        if said != word:
            raise RolloutError(
                f"A process of {self.release} should have said {word!r} within "
                f"{READY_SECONDS} s and said {said!r}. Its error output is above."
            )


def _end(process: subprocess.Popen[str]) -> None:
    process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
