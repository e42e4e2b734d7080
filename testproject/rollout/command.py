"""``python3 testproject rollout``: the options, the order of things, the exit code."""

from __future__ import annotations

import argparse
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import django
import psycopg
from rich.console import Console

from testproject import database
from testproject.rollout import final, picture, report
from testproject.rollout.deploy import FLAVOURS, Plan, Rollout
from testproject.rollout.manage import RolloutError
from testproject.rollout.seed import Host, seeded
from testproject.rollout.windows import Point, Run, verdict

DATA = Path(__file__).resolve().parents[1] / ".data" / "rollout"


def parser() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(
        prog="python3 testproject rollout",
        description="Deploy three releases of a shop under traffic, first with plain Django, then "
        "with safemigrate, and show what its visitors felt.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    words.add_argument(
        "--orders", type=_positive(int), default=1_000_000, help="rows to begin with"
    )
    words.add_argument("--seconds", type=_positive(float), default=8, help="length of a window")
    words.add_argument(
        "--rate", type=_positive(float), default=60, help="requests per second of a release"
    )
    words.add_argument(
        "--hold-transaction",
        type=float,
        default=0,
        metavar="SECONDS",
        help="keep a reader's transaction open that long from the start of each migrate",
    )
    words.add_argument("--flavour", choices=[*FLAVOURS, "both"], default="both")
    words.add_argument(
        "--report", type=Path, metavar="DIR", help="copy picture and table there too"
    )
    words.add_argument(
        "--no-verdict",
        action="store_true",
        help="exit 0 if the rollout came to its end, whatever was measured",
    )
    words.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="where the server, the work copies and the results are kept",
    )
    return words


def _positive(kind: type[int] | type[float]):
    def read(text: str) -> float:
        if (value := kind(text)) <= 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    read.__name__ = kind.__name__
    return read


def main(words: Sequence[str]) -> int:
    options = parser().parse_args(words)
    console = Console()
    if not console.is_terminal:
        console.width = 110
    try:
        host = Host.open(options.data / "postgres")
        try:
            runs, differences = _measure(console, host, options)
            title = _title(host, options)
        finally:
            host.close()
    except (database.DatabaseError, RolloutError, psycopg.OperationalError) as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        return 2
    verdicts = [verdict(run, plain=runs[0] if run is not runs[0] else None) for run in runs]
    console.print()
    report.show(console, title, runs, verdicts, differences)
    command = f"python3 testproject rollout {shlex.join(words)}".rstrip()
    markdown = report.as_markdown(title, command, runs, verdicts, differences)
    (options.data / "rollout.md").write_text(markdown)
    written = [*picture.draw(runs, options.data), options.data / "rollout.md"]
    if options.report:
        options.report.mkdir(parents=True, exist_ok=True)
        written = [Path(shutil.copy(path, options.report)) for path in written]
    console.print(f"\nWritten: {', '.join(map(_shown, written))}", highlight=False, soft_wrap=True)
    return 0 if options.no_verdict else exit_code(runs, verdicts)


def exit_code(runs: Sequence[Run], verdicts: Sequence[Sequence[Point]]) -> int:
    """Return 1 if safemigrate broke a promise; plain Django promises nothing."""
    promised = [
        point
        for run, points in zip(runs, verdicts, strict=True)
        if run.flavour == FLAVOURS["safemigrate"]
        for point in points
    ]
    return 0 if all(point.met for point in promised) else 1


def _measure(
    console: Console, host: Host, options: argparse.Namespace
) -> tuple[list[Run], list[str]]:
    """Run each flavour on its copy of the same orders; return also where the ends differ."""
    began = time.monotonic()

    def say(text: str) -> None:
        line = f"{time.monotonic() - began:6.1f} s  {text}"
        console.print(line, style="dim", highlight=False, markup=False)

    plan = Plan(options.orders, options.seconds, options.rate, options.hold_transaction)
    say(f"{options.orders:,} orders on PostgreSQL {host.version()}")
    seed = seeded(host, options.orders, options.data)
    flavours = list(FLAVOURS) if options.flavour == "both" else [options.flavour]
    runs, catalogues = [], []
    for flavour in flavours:
        say(FLAVOURS[flavour])
        rollout = Rollout(host, flavour, plan, options.data / flavour, lambda t: say(f"  {t}"))
        runs.append(rollout(seed))
        with host.connect(rollout.database) as connection:
            catalogues.append(final.catalogue(connection))
    return runs, final.differences(*catalogues) if len(catalogues) == 2 else []


def _title(host: Host, options: argparse.Namespace) -> str:
    title = (
        f"{options.orders:,} orders, {options.rate:g} requests/s, "
        f"Django {django.__version__}, PostgreSQL {host.version()}"
    )
    if options.hold_transaction:
        title += f", a reader's transaction open for {options.hold_transaction:g} s"
    return title


def _shown(path: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
