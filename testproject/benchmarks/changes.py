"""
Everyday model changes on a large table under traffic: what visitors feel, and what a copy costs.

    python -m testproject.benchmarks.changes [--orders 1000000] [--hold-transaction 10] [CHANGE ...]

For each change an edit of the shop's models is deployed as a developer and a deploy script would:
makemigrations, migrate as r2 while r1's code runs, the code of r2 in its place, migrate as r3. The
traffic reads back what it writes. The worst wait while a migrate ran is compared with the worst
of the same traffic without one, and a copy with one big UPDATE of the same column under the same
traffic, on a copy of the same database.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from testproject import releases
from testproject.benchmarks.edits import CHANGES, edit
from testproject.rollout.deploy import fill_of
from testproject.rollout.manage import REPOSITORY, RolloutError, environment, manage
from testproject.rollout.report import milliseconds
from testproject.rollout.seed import Host, seeded
from testproject.rollout.traffic import PROCESSES, THREADS, Traffic
from testproject.rollout.windows import Run, Window, percentile

DATA = Path(__file__).resolve().parents[1] / ".data" / "changes"
COPY = 0.6  # of the speed of one big UPDATE
NOISE = 2.0


@dataclass(frozen=True)
class Plan:
    orders: int
    seconds: float
    rate: float
    hold_seconds: float


@dataclass
class Deployment:
    """Brings one change to production and measures what its visitors felt."""

    host: Host
    name: str
    plan: Plan
    folder: Path
    run: Run = field(init=False)
    one_update: float | None = None  # rows per second

    def __post_init__(self) -> None:
        self.change = CHANGES[self.name]
        self.run = Run(self.name)
        self.database = "changes_shop"

    def __call__(self) -> None:
        self._write_sources()
        seed = seeded(self.host, self.plan.orders, self.folder, self._tree("r1"))
        if self.change.copied:
            self.one_update = self._one_update(seed)
        self._fresh(seed)
        self._need("r2", "makemigrations", "shop", answers=self.change.answers)
        self._need("r2", "makemigrations", "--check")
        traffic = {name: self._traffic(number) for number, name in enumerate(("r1", "r2"))}
        try:
            for each in traffic.values():
                each.prepare()
            self._deploy(traffic)
        finally:
            for each in traffic.values():
                each.stop_all()
        self.run.requests = [r for each in traffic.values() for r in each.requests()]

    def _deploy(self, traffic: dict[str, Traffic]) -> None:
        for _ in range(PROCESSES):
            traffic["r1"].go()
        with self._window("r1", "r1"):
            time.sleep(self.plan.seconds + self.plan.hold_seconds)
        with self._window("migrate to r2", "r1", migrating="r2"):
            self._migrate("r2")
        for _ in range(PROCESSES):
            traffic["r2"].go()
            traffic["r1"].stop()
        with self._window("r2", "r2"):
            time.sleep(self.plan.seconds)
        with self._window("migrate to r3", "r2", migrating="r3"):
            self._migrate("r3")
        with self._window("r2 on its own", "r2"):
            time.sleep(self.plan.seconds / 2)

    def _migrate(self, release: str) -> None:
        """Migrate while a reader's transaction may be open."""
        until = time.monotonic() + self.plan.hold_seconds
        with contextlib.ExitStack() as reader:
            if self.plan.hold_seconds:
                connection = self.host.connect(self.database, autocommit=False, application="psql")
                reader.callback(connection.close)
                connection.execute("SELECT count(*) FROM shop_order WHERE id < 100")

            def end_reader() -> None:
                if until <= time.monotonic():
                    reader.close()

            log = self.folder / f"{release}-migrate.log"
            command = manage(("migrate",), self._environment(release), log, end_reader)
        self.run.commands.append(command)

    @contextlib.contextmanager
    def _window(self, name: str, *running: str, migrating: str = "") -> Iterator[None]:
        began = time.monotonic()
        yield
        self.run.windows.append(Window(name, running, began, time.monotonic(), migrating))

    def _traffic(self, number: int) -> Traffic:
        release = ("r1", "r2")[number]
        return Traffic(
            release,
            self._environment(release),
            self.folder / "records",
            orders=self.plan.orders,
            rate=self.plan.rate,
            first_slot=number * PROCESSES * THREADS,
        )

    def _one_update(self, seed: str) -> float:
        """Return the rows per second of one UPDATE of all rows, under r1's traffic."""
        self._fresh(seed)
        table, column, kind = self.change.copied
        traffic = self._traffic(0)
        try:
            traffic.prepare()
            with self.host.connect(self.database) as connection:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN twin {kind}")
                for _ in range(PROCESSES):
                    traffic.go()
                began = time.monotonic()
                rows = connection.execute(f"UPDATE {table} SET twin = {column}").rowcount
                return float(rows / (time.monotonic() - began))
        finally:
            traffic.stop_all()

    def _fresh(self, seed: str) -> None:
        self.host.create(self.database, template=seed)
        self._need("r1", "migrate")
        if self.change.prepared:
            with self.host.connect(self.database) as connection:
                connection.execute(self.change.prepared)
        self.host.settle(self.database)

    def _write_sources(self) -> None:
        for release in ("r1", "r2"):
            releases.copy("r1", self._tree(release))
            edit(self._tree(release), self.change.before)
        if self.change.before:
            (self._tree("r1") / "shop/migrations/0001_initial.py").unlink()
            self._need("r1", "makemigrations", "shop")
            first = "shop/migrations/0001_initial.py"
            (self._tree("r2") / first).write_text((self._tree("r1") / first).read_text())
        edit(self._tree("r2"), self.change.after)

    def _tree(self, release: str) -> Path:
        return self.folder / ("r2" if release == "r3" else release)

    def _environment(self, release: str) -> dict[str, str]:
        url = self.host.url(self.database)
        return environment(release, self._tree(release), url, safemigrate=True)

    def _need(self, release: str, *words: str, answers: str = "") -> None:
        ran = subprocess.run(
            [sys.executable, REPOSITORY / "testproject" / "manage.py", *words],
            cwd=REPOSITORY,
            env=os.environ | self._environment(release),
            input=answers,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RolloutError(f"{' '.join(words)} failed:\n{ran.stdout}{ran.stderr}")


@dataclass(frozen=True)
class Outcome:
    """What came out of a deployment, or of several of the same change."""

    name: str
    failed: int
    wrong: int
    exit_codes: tuple[int, ...]
    quiet_ms: float
    worst_ms: float
    ratio: float
    seconds: tuple[float, ...]  # of each migrate
    rate: float | None  # rows per second
    share: float | None  # of the rate of one UPDATE

    @property
    def kept(self) -> bool:
        """Say whether every promise was."""
        clean = not self.failed and not self.wrong and not any(self.exit_codes)
        return clean and self.ratio <= NOISE and (self.share is None or self.share >= COPY)

    def cells(self) -> list[str]:
        return [
            self.name,
            f"{self.failed:,}",
            f"{self.wrong:,}",
            ", ".join(map(str, self.exit_codes)),
            milliseconds(self.quiet_ms),
            milliseconds(self.worst_ms),
            f"{self.ratio:.2f}",
            ", ".join(f"{seconds:.1f}" for seconds in self.seconds),
            f"{self.rate:,.0f}" if self.rate else "",
            f"{self.share:.2f}" if self.share else "",
            "yes" if self.kept else "no",
        ]


def outcome_of(deployment: Deployment) -> Outcome:
    run = deployment.run
    copied = deployment.change.copied
    fills = [
        fill
        for command in run.commands
        for line in command.output.splitlines()
        if (fill := fill_of(line)) and (not copied or copied[0] in line)
    ]
    rate = fills[0].rows_per_second if fills else None
    return Outcome(
        name=run.flavour,
        failed=run.failed,
        wrong=run.wrong,
        exit_codes=tuple(command.exit_code for command in run.commands),
        quiet_ms=run.worst_ms(migrating=False),
        worst_ms=run.worst_ms(migrating=True),
        ratio=run.ratio,
        seconds=tuple(command.seconds for command in run.commands),
        rate=rate,
        share=rate / deployment.one_update if rate and deployment.one_update else None,
    )


def middle(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the median of each number; of what must not happen at all, the sum."""
    rates = [each.rate for each in outcomes if each.rate is not None]
    shares = [each.share for each in outcomes if each.share is not None]
    return Outcome(
        name=outcomes[0].name,
        failed=sum(each.failed for each in outcomes),
        wrong=sum(each.wrong for each in outcomes),
        exit_codes=tuple(map(max, zip(*(each.exit_codes for each in outcomes), strict=True))),
        quiet_ms=median(each.quiet_ms for each in outcomes),
        worst_ms=median(each.worst_ms for each in outcomes),
        ratio=median(each.ratio for each in outcomes),
        seconds=tuple(map(median, zip(*(each.seconds for each in outcomes), strict=True))),
        rate=median(rates) if rates else None,
        share=median(shares) if shares else None,
    )


HEADS = (
    "change",
    "failed",
    "wrong",
    "exit codes",
    "quiet worst ms",
    "worst ms",
    "ratio",
    "migrate s",
    "rows/s",
    "of one UPDATE",
    "kept",
)


def together(runs: Sequence[Run]) -> str:
    """
    Sum up all deployments.

    One stall of a disk decides over the worst wait of half a minute; over that of all, it does not.
    """
    sentences = []
    for migrating, when in ((False, "without a migration"), (True, "while a migrate ran")):
        waits = [wait for run in runs for wait in run.waits(migrating=migrating)]
        seconds = sum(run.seconds(migrating=migrating) for run in runs)
        shares = ", ".join(
            f"{name} {milliseconds(percentile(waits, percent))}"
            for name, percent in (("p50", 50), ("p99", 99), ("p99.9", 99.9), ("worst", 100))
        )
        sentences.append(f"{when}: {len(waits):,} requests in {seconds:,.0f} s, in ms {shares}")
    return "All together\n    " + "\n    ".join(sentences)


def main() -> int:
    words = argparse.ArgumentParser(
        prog="python -m testproject.benchmarks.changes", description=__doc__.split("\n\n")[0]
    )
    words.add_argument("changes", nargs="*", metavar="CHANGE", help=", ".join(CHANGES))
    words.add_argument("--orders", type=int, default=1_000_000)
    words.add_argument("--seconds", type=float, default=16, help="length of a quiet window")
    words.add_argument("--rate", type=float, default=60, help="requests per second")
    words.add_argument(
        "--turns",
        type=int,
        default=1,
        help="deployments of each change; the table has their medians",
    )
    words.add_argument("--hold-transaction", type=float, default=0, metavar="SECONDS")
    options = words.parse_args()
    unknown = set(options.changes) - set(CHANGES)
    if unknown:
        words.error(f"no such change: {', '.join(sorted(unknown))}; there are {', '.join(CHANGES)}")
    plan = Plan(options.orders, options.seconds, options.rate, options.hold_transaction)
    console = Console(width=None if sys.stdout.isatty() else 130, highlight=False)
    table = Table(*HEADS)
    all_kept = True
    runs: list[Run] = []
    host = Host.open(DATA / "postgres")
    try:
        for name in options.changes or CHANGES:
            outcomes: list[Outcome] = []
            for _ in range(options.turns):
                deployment = Deployment(host, name, plan, DATA / name)
                try:
                    deployment()
                except RolloutError as error:
                    console.print(f"{name}: {error}", markup=False)
                    all_kept = False
                    continue
                runs.append(deployment.run)
                outcomes.append(outcome_of(deployment))
                console.print("  ".join(outcomes[-1].cells()), markup=False)
                for error, times in run_errors(deployment.run):
                    console.print(f"    {times} x {error}", markup=False)
            if outcomes:
                table.add_row(*middle(outcomes).cells())
                all_kept = all_kept and middle(outcomes).kept
    finally:
        host.close()
    console.print(table)
    if runs:
        console.print(together(runs))
    return 0 if all_kept else 1


def run_errors(run: Run) -> list[tuple[str, int]]:
    """Return what went wrong, in its own words: requests, then the last line of commands."""
    said = [(c.output.strip().rpartition("\n")[2], 1) for c in run.failed_commands]
    return run.errors()[:5] + said


if __name__ == "__main__":
    raise SystemExit(main())
