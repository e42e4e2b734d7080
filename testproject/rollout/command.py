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
from testproject.rollout.windows import Point, Result, Run

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
    words.add_argument("--rate", type=_positive(float), default=60, help="requests per second")
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
            result = _measure(console, host, options)
        finally:
            host.close()
    except (database.DatabaseError, RolloutError, psycopg.OperationalError) as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        return 2
    if result.runs:
        console.print()
        report.show(console, result)
        written = _write(result, words, options)
        console.print(f"\nWritten: {written}", highlight=False, soft_wrap=True)
    for text in result.broken:
        console.print(f"\n{text}", style="red", highlight=False, markup=False)
    if result.broken:
        return 2
    return 0 if options.no_verdict else exit_code(result.runs, result.verdicts)


def exit_code(runs: Sequence[Run], verdicts: Sequence[Sequence[Point]]) -> int:
    """Return 1 if safemigrate broke a promise; plain Django promises nothing."""
    promised = [
        point
        for run, points in zip(runs, verdicts, strict=True)
        if run.flavour == FLAVOURS["safemigrate"]
        for point in points
    ]
    return 0 if all(point.met for point in promised) else 1


def _write(result: Result, words: Sequence[str], options: argparse.Namespace) -> str:
    """Write picture and table; return where."""
    table = options.data / "rollout.md"
    command = f"python3 testproject rollout {shlex.join(words)}".rstrip()
    table.write_text(report.as_markdown(result, command))
    written = [*picture.draw(result.runs, options.data), table]
    if options.report:
        options.report.mkdir(parents=True, exist_ok=True)
        written = [Path(shutil.copy(path, options.report)) for path in written]
    return ", ".join(map(_shown, written))


def _measure(console: Console, host: Host, options: argparse.Namespace) -> Result:
    """Run each flavour on its own copy of the same orders."""
    began = time.monotonic()

    def say(text: str) -> None:
        line = f"{time.monotonic() - began:6.1f} s  {text}"
        console.print(line, style="dim", highlight=False, markup=False)

    plan = Plan(options.orders, options.seconds, options.rate, options.hold_transaction)
    result = Result(_title(host, options))
    say(result.title)
    seed = seeded(host, options.orders, options.data)
    catalogues = []
    for flavour in FLAVOURS if options.flavour == "both" else [options.flavour]:
        say(FLAVOURS[flavour])
        rollout = Rollout(host, flavour, plan, options.data / flavour, lambda t: say(f"  {t}"))
        try:
            result.runs.append(rollout(seed))
        except RolloutError as error:  # the other flavour's result is worth having all the same
            result.broken.append(f"{FLAVOURS[flavour]}: {error}")
            continue
        with host.connect(rollout.database) as connection:
            catalogues.append(final.catalogue(connection))
    if len(catalogues) == 2:
        result.differences = final.differences(*catalogues)
        if result.differences:
            result.runs[-1].remarks.append("the schema is not the one plain Django makes")
    return result


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
