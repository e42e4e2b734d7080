"""What the measurements mean: requests sorted into windows, percentiles, the verdict. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

NOISE = 2.0  # a worst wait up to this many times the quiet one counts as noise
FILL = 0.8  # of the speed of one big UPDATE
BATCH_MS = 200.0


class Request(NamedTuple):
    """One request: when it was due (monotonic seconds) and how long until it was answered."""

    release: str
    due: float
    waited_ms: float
    kind: str
    outcome: str  # "ok", "wrong", or the error

    @classmethod
    def read(cls, release: str, line: str) -> Request:
        due, waited_ms, kind, outcome = line.split("\t", 3)
        return cls(release, float(due), float(waited_ms), kind, outcome)

    @property
    def failed(self) -> bool:
        return self.outcome not in ("ok", "wrong")

    @property
    def wrong(self) -> bool:
        return self.outcome == "wrong"


@dataclass
class Fill:
    """How the old rows got their value."""

    rows: int
    seconds: float
    batches: int = 1
    median_ms: float | None = None

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds else math.nan


@dataclass
class Window:
    """A stretch of time with a name: which releases ran, and whether a migrate did."""

    name: str
    releases: tuple[str, ...]
    began: float
    ended: float
    migrating: str = ""  # the release being migrated to
    fill: Fill | None = None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class Felt:
    """What the visitors of one release felt in one window."""

    requests: int
    failed: int
    wrong: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that ``percent`` of all are not above; nan if there is none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def felt(requests: Iterable[Request], window: Window, release: str) -> Felt:
    """Sum up the requests that were due in a window, whenever they were answered."""
    ours = [
        request
        for request in requests
        if request.release == release and window.began <= request.due < window.ended
    ]
    waits = [request.waited_ms for request in ours]
    return Felt(
        requests=len(ours),
        failed=sum(request.failed for request in ours),
        wrong=sum(request.wrong for request in ours),
        p50_ms=percentile(waits, 50),
        p99_ms=percentile(waits, 99),
        worst_ms=max(waits, default=math.nan),
    )


@dataclass
class Command:
    """A command of the deploy that was run, and what became of it."""

    name: str
    exit_code: int
    output: str
    seconds: float


@dataclass
class Run:
    """One flavour's rollout, measured."""

    flavour: str
    windows: list[Window] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # the final state: what is not as it should be

    @property
    def fill(self) -> Fill | None:
        return next((window.fill for window in self.windows if window.fill), None)

    @property
    def failed(self) -> int:
        return sum(request.failed for request in self.requests)

    @property
    def wrong(self) -> int:
        return sum(request.wrong for request in self.requests)

    @property
    def failed_commands(self) -> list[Command]:
        return [command for command in self.commands if command.exit_code != 0]

    def errors(self) -> list[tuple[str, int]]:
        """Return what was not right about requests and how often, most often first."""
        seen = Counter(
            (r.release, f"wrong value in {r.kind}" if r.wrong else r.outcome)
            for r in self.requests
            if r.failed or r.wrong
        )
        return [(f"{release}: {error}", times) for (release, error), times in seen.most_common()]

    def waits(self, *, migrating: bool) -> list[float]:
        """Return how long, in ms, each request of those windows waited."""
        return [
            request.waited_ms
            for window in self._compared(migrating=migrating)
            for request in self.requests
            if request.release in window.releases and window.began <= request.due < window.ended
        ]

    def worst_ms(self, *, migrating: bool) -> float:
        """Return the longest wait while a migrate ran, or in the quiet windows of one release."""
        return max(self.waits(migrating=migrating), default=math.nan)

    def seconds(self, *, migrating: bool) -> float:
        """Return how long ``worst_ms`` looked: the worst of more requests is worse by chance."""
        return sum(window.seconds for window in self._compared(migrating=migrating))

    def _compared(self, *, migrating: bool) -> list[Window]:
        if migrating:
            return [w for w in self.windows if w.migrating]
        # Not where two releases run: that is where processes start and stop.
        return [w for w in self.windows if not w.migrating and len(w.releases) == 1]

    @property
    def ratio(self) -> float:
        return self.worst_ms(migrating=True) / self.worst_ms(migrating=False)


class Point(NamedTuple):
    """One line of the verdict: what was asked, what came out, and whether it is met."""

    asked: str
    measured: str
    met: bool


def verdict(run: Run, plain: Run | None = None) -> list[Point]:
    """Judge a run by the promises of the product; ``plain`` is what its fill is compared with."""
    quiet, busy = run.worst_ms(migrating=False), run.worst_ms(migrating=True)
    points = [
        Point("no failed request", f"{run.failed:,} failed", run.failed == 0),
        Point("no wrong value", f"{run.wrong:,} wrong", run.wrong == 0),
        Point(
            "every command exits 0",
            ", ".join(f"{c.name}: {c.exit_code}" for c in run.failed_commands) or "all did",
            not run.failed_commands,
        ),
        Point(
            f"worst wait while migrating within {NOISE:g} x the quiet one",
            f"{run.ratio:.2f} x ({busy:.0f} ms in {run.seconds(migrating=True):.0f} s against "
            f"{quiet:.0f} ms in {run.seconds(migrating=False):.0f} s)",
            run.ratio <= NOISE,
        ),
        Point(
            "final schema and data as they should be",
            f"{len(run.remarks)} remarks" if run.remarks else "they are",
            not run.remarks,
        ),
    ]
    if plain is not None and plain.fill and run.fill:
        share = run.fill.rows_per_second / plain.fill.rows_per_second
        measured = (
            f"{share:.2f} x ({run.fill.rows_per_second:,.0f} against "
            f"{plain.fill.rows_per_second:,.0f} rows/s)"
        )
        points.append(Point(f"fill at {FILL:g} x one big UPDATE", measured, share >= FILL))
    if run.fill and run.fill.median_ms is not None:
        measured = f"{run.fill.median_ms:.0f} ms ({run.fill.batches} batches)"
        points.append(
            Point(f"median batch within {BATCH_MS:g} ms", measured, run.fill.median_ms <= BATCH_MS)
        )
    return points


@dataclass
class Result:
    """What came out of a rollout in all its flavours."""

    title: str
    runs: list[Run] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)  # of the final schemas
    broken: list[str] = field(default_factory=list)  # flavours that did not come to their end

    @property
    def verdicts(self) -> list[list[Point]]:
        """Return each run's; the others' fills are compared with the first one's."""
        return [verdict(run, None if run is self.runs[0] else self.runs[0]) for run in self.runs]
