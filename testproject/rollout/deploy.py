"""One flavour's rollout, step by step, while its traffic runs."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from testproject import releases
from testproject.rollout import final, trees
from testproject.rollout.manage import RolloutError, environment, manage
from testproject.rollout.seed import Host
from testproject.rollout.traffic import PROCESSES, THREADS, Traffic
from testproject.rollout.windows import Command, Fill, Run, Window

FLAVOURS = {"plain": "plain Django", "safemigrate": "safemigrate"}

PLAIN_FILL = re.compile(r"Filled (\d+) rows in ([\d.]+) s")
SAFE_FILL = re.compile(
    r"Backfilled \S+: ([\d,]+) rows in [\d.]+ s "
    r"\(([\d,]+) rows/s, ([\d,]+) batch(?:es)?, median ([\d.]+) ms\)"
)


@dataclass(frozen=True)
class Plan:
    """What the user asked for."""

    orders: int
    seconds: float
    rate: float
    hold_seconds: float

    @property
    def quiet_seconds(self) -> float:
        """Return how long to watch at first: all quiet windows last as long as that migrate."""
        later = 2 * self.seconds
        return max(self.seconds, self.hold_seconds + 5 + self.orders / 30_000 - later)


@dataclass
class Rollout:
    """Deploys r1, r2 and r3 of the shop in one flavour, and measures."""

    host: Host
    flavour: str
    plan: Plan
    folder: Path  # work copies and records of this flavour
    say: Callable[[str], None]
    run: Run = field(init=False)
    traffic: dict[str, Traffic] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.run = Run(FLAVOURS[self.flavour])
        self.database = f"shop_{self.flavour}"

    def __call__(self, seed: str) -> Run:
        self.host.create(self.database, template=seed)
        self._write_sources()
        self.manage("r1", "migrate")
        self.host.settle(self.database)
        for number, release in enumerate(releases.NAMES):
            self.traffic[release] = Traffic(
                release,
                self.environment(release),
                self.folder / "records",
                orders=self.plan.orders,
                rate=self.plan.rate,
                first_slot=number * PROCESSES * THREADS,
            )
        try:
            for traffic in self.traffic.values():
                traffic.prepare()
            self._deploy()
        finally:
            for traffic in self.traffic.values():
                traffic.stop_all()
        self.run.requests = [r for traffic in self.traffic.values() for r in traffic.requests()]
        with self.host.connect(self.database) as connection:
            self.run.remarks = final.remarks(connection)
        return self.run

    def _deploy(self) -> None:
        for _ in range(PROCESSES):
            self.traffic["r1"].go()
        with self.window("r1, no migration", "r1"):
            time.sleep(self.plan.quiet_seconds)
        for old, new in (("r1", "r2"), ("r2", "r3")):
            with self.window(f"migrate to {new}", old, migrating=new):
                command = self._migrate(new)
            self.run.windows[-1].fill = fill_of(command.output)
            with self.window(f"{old} and {new}", old, new):
                self._replace_one(old, new)
                time.sleep(self.plan.seconds)
                self._replace_one(old, new)
            with self.window(f"{new} alone", new):
                time.sleep(self.plan.seconds)

    @contextlib.contextmanager
    def window(self, name: str, *running: str, migrating: str = "") -> Iterator[None]:
        self.say(name)
        began = time.monotonic()
        yield
        window = Window(name, running, began, time.monotonic(), migrating)
        self.run.windows.append(window)

    def _replace_one(self, old: str, new: str) -> None:
        """Start a process of the new release, then end one of the old: the load stays the same."""
        self.traffic[new].go()
        self.traffic[old].stop()

    def _migrate(self, release: str) -> Command:
        """Run migrate as a deploy does; a reader's transaction may be open meanwhile."""
        with contextlib.ExitStack() as reader:
            hold_until = time.monotonic() + self.plan.hold_seconds
            if self.plan.hold_seconds:
                # Somebody looks at orders and goes to lunch. With no name, safemigrate would take
                # the session for old code of the shop and hold the contract back.
                connection = self.host.connect(self.database, autocommit=False, application="psql")
                reader.callback(connection.close)
                connection.execute("SELECT count(*) FROM shop_order WHERE id < 100")

            def end_reader() -> None:
                if hold_until <= time.monotonic():
                    reader.close()

            command = self.manage(release, "migrate", meanwhile=end_reader)
            time.sleep(max(0.0, hold_until - time.monotonic()))
        return command

    def environment(self, release: str) -> dict[str, str]:
        url, safe = self.host.url(self.database), self.flavour == "safemigrate"
        return environment(release, self.tree(release), url, safemigrate=safe)

    def tree(self, release: str) -> Path:
        return self.folder / release

    def manage(
        self, release: str, *words: str, meanwhile: Callable[[], object] = lambda: None
    ) -> Command:
        log = self.folder / f"{release}-{words[0]}.log"
        command = manage(words, self.environment(release), log, meanwhile)
        self.run.commands.append(command)
        if command.exit_code:
            self.say(f"{command.name} ended with {command.exit_code}")
        return command

    def _write_sources(self) -> None:
        """Do what the developers did before the deploy: each release's code and migrations."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for release in releases.NAMES:
            releases.copy(release, self.tree(release))
        self._need(self.manage("r2", "makemigrations", "shop", "--noinput"))
        edit = trees.edit_safemigrate if self.flavour == "safemigrate" else trees.edit_plain
        self.say(edit(self.tree("r2")))
        trees.carry_over(self.tree("r2"), self.tree("r3"))
        self._need(self.manage("r3", "makemigrations", "--check"))

    def _need(self, command: Command) -> None:
        if command.exit_code:
            raise RolloutError(f"{command.name} failed:\n{command.output}")


def fill_of(output: str) -> Fill | None:
    """Read from the output of a migrate how many rows it filled, and how fast."""
    if found := PLAIN_FILL.search(output):
        return Fill(int(found[1]), float(found[2]))
    if found := SAFE_FILL.search(output):
        rows, rate, batches, median_ms = (float(word.replace(",", "")) for word in found.groups())
        # Seconds are printed to a tenth only, the rate is finer.
        return Fill(int(rows), rows / rate if rate else 0.0, int(batches), median_ms)
    return None
