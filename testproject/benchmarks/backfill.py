"""
How fast, and how gentle, one column of a large table is filled.

    python -m testproject.benchmarks.backfill [--rows 2000000] [--traffic 60] [--only NAME ...]
    python -m testproject.benchmarks.backfill --grow 1000000 4000000 20000000
    python -m testproject.benchmarks.backfill --rows 1000000 --turns 5 [--fill-rate 30000]

Each way fills the same table, made anew, in a process of its own; first alone, then beside traffic
(reads, updates and inserts by key, open-loop, so that latency counts from when a request was due).
A way that is slower than --seconds is stopped there, and its rate is of what it did until then.
--turns measures only what the traffic waits, alone and beside a fill by turns, or with --traffic 0
the speed of one UPDATE and of a fill by turns, and prints medians: one such turn says little where
the machine is twice as fast in one quarter of a minute as in the next.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from testproject import database

ROOT = Path(__file__).resolve().parent.parent.parent
MIB = 2**20
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
LOOP_ROWS = 5_000  # of one round of the naive loop, and of iterator()


# The ways, each in a process of its own ----------------------------------------------------------


def _model() -> Any:
    from django.apps.registry import Apps
    from django.db import models

    class Order(models.Model):
        amount = models.IntegerField()
        total = models.IntegerField(null=True)

        class Meta:
            apps = Apps()
            app_label = "shop"

    return Order


def doubled(rows: list[Any]) -> list[dict[str, int]]:
    """What the ways through Python compute."""
    return [{"total": row.amount * 2} for row in rows]


def one_update(until: float) -> int:
    from django.db.models import F

    changed: int = _model()._base_manager.filter(total__isnull=True).update(total=F("amount") * 2)
    return changed


def limit_loop(until: float) -> int:
    """The loop that most people write first."""
    from django.db import connection

    done = 0
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(
                "UPDATE shop_order SET total = amount * 2 WHERE id IN "
                "(SELECT id FROM shop_order WHERE total IS NULL LIMIT %s)",
                [LOOP_ROWS],
            )
            if not cursor.rowcount:
                break
            done += cursor.rowcount
    return done


def bulk_update(until: float) -> int:
    """Django's own: iterator() and bulk_update(), in rounds of a few thousand rows."""
    manager, done, batch = _model()._base_manager, 0, []
    for row in manager.filter(total__isnull=True).iterator(chunk_size=LOOP_ROWS):
        row.total = row.amount * 2
        batch.append(row)
        if len(batch) == LOOP_ROWS:
            done += manager.bulk_update(batch, ["total"], batch_size=LOOP_ROWS)
            batch = []
            if time.monotonic() >= until:
                return done
    return done + (manager.bulk_update(batch, ["total"]) if batch else 0)


def _by_us(**given: Any) -> Callable[[float], int]:
    def fill(until: float) -> int:
        from datetime import timedelta

        from django.conf import settings
        from django.db import connection
        from django.db.models import F, Q

        from safemigrate.backfill import Backfill, run

        ms = settings.BATCH_MS
        values = {} if "function" in given else {"values": {"total": F("amount") * 2}}
        backfill = Backfill(
            _model(),
            where=Q(total__isnull=True),
            batch_target=timedelta(milliseconds=ms),
            rate=settings.FILL_RATE,
            **values,
            **given,
        )
        return run(connection, backfill, key="benchmark").rows

    return fill


WAYS: dict[str, Callable[[float], int]] = {
    "one UPDATE": one_update,
    "LIMIT loop": limit_loop,
    "safemigrate": _by_us(),
    "safemigrate, 2 workers": _by_us(workers=2),
    "iterator() + bulk_update()": bulk_update,
    "safemigrate, a Python function": _by_us(function=f"{__package__}.backfill.doubled"),
}


def child(way: str, address: str, options: argparse.Namespace) -> None:
    import django
    from django.conf import settings

    settings.configure(
        DATABASES={"default": json.loads(address)},
        USE_TZ=True,
        BATCH_MS=options.batch_ms,
        FILL_RATE=options.fill_rate,
    )
    django.setup()
    began = time.monotonic()
    rows = WAYS[way](began + options.seconds)
    took = time.monotonic() - began
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"rows": rows, "seconds": took, "memory_mb": kib / 1024}))


# The traffic -------------------------------------------------------------------------------------


def _requests(dsn: str, rows: int, rate: float, stop: Event, out: Any) -> None:
    waits, rng = [], random.Random(7)
    with psycopg.connect(dsn, autocommit=True) as session:
        due = time.perf_counter()
        while not stop.is_set():
            due += rng.expovariate(rate)
            time.sleep(max(0.0, due - time.perf_counter()))
            one, kind = rng.randint(1, rows), rng.random()
            if kind < 0.5:
                session.execute("SELECT * FROM shop_order WHERE id = %s", [one])
            elif kind < 0.9:
                session.execute("UPDATE shop_order SET amount = amount + 1 WHERE id = %s", [one])
            else:
                session.execute("INSERT INTO shop_order (amount) VALUES (%s)", [one % 1000])
            waits.append((time.perf_counter() - due) * 1000)
    out.put(waits)


@contextmanager
def traffic(dsn: str, rows: int, rate: float) -> Iterator[list[float]]:
    """Send requests while the block runs; their waits in ms are in the list afterwards."""
    waits: list[float] = []
    if not rate:
        yield waits
        return
    context = multiprocessing.get_context("spawn")
    stop, out = context.Event(), context.Queue()
    clients = 4
    processes = [
        context.Process(target=_requests, args=(dsn, rows, rate / clients, stop, out))
        for _ in range(clients)
    ]
    for process in processes:
        process.start()
    time.sleep(1.5)  # they import
    try:
        yield waits
    finally:
        stop.set()
        for _ in processes:
            waits.extend(out.get(timeout=60))
        for process in processes:
            process.join()


# One measurement ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    way: str
    rows: int
    seconds: float
    memory_mb: float
    wal_mb: float
    dead: int
    indexes_mb: float  # by how much they grew
    worst_ms: float | None
    p99_ms: float | None

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


class Bench:
    def __init__(self, server: database.Server, options: argparse.Namespace) -> None:
        self.server, self.options = server, options
        self.dsn = f"host={server.socket_dir} user=postgres dbname=postgres"

    def make(self, rows: int) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as session:
            session.execute("DROP TABLE IF EXISTS shop_order, safemigrate_backfill")
            session.execute("DROP TABLE IF EXISTS safemigrate_backfill_range")
            session.execute(
                "CREATE TABLE shop_order (id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, "
                "amount integer NOT NULL, total integer)"
            )
            session.execute(
                # Values that many rows far apart share, as a foreign key's are.
                "INSERT INTO shop_order (amount) "
                "SELECT abs(hashint8(g)) %% 5000 FROM generate_series(1, %s) g",
                [rows],
            )
            if self.options.index:
                session.execute("CREATE INDEX ON shop_order (amount)")
            session.execute("VACUUM (ANALYZE) shop_order")
            session.execute("CHECKPOINT")

    def measure(self, way: str, rows: int, rate: float) -> Measured:
        self.make(rows)
        with psycopg.connect(self.dsn, autocommit=True) as session:
            before, indexes = session.execute(
                "SELECT pg_current_wal_lsn()::text, pg_indexes_size('shop_order')"
            ).fetchone() or ("", 0)
            time.sleep(2.5)  # until nobody has just been there
            with traffic(self.dsn, rows, rate) as waits:
                ran = self._run(way)
            [wal] = session.execute(
                "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", [before]
            ).fetchone() or [0]
            time.sleep(1.5)  # for the counts of the last transactions
            dead, now = session.execute(
                "SELECT pg_stat_get_dead_tuples('shop_order'::regclass), "
                "pg_indexes_size('shop_order')"
            ).fetchone() or (0, 0)
        return Measured(
            way, ran["rows"], ran["seconds"], ran["memory_mb"], float(wal) / MIB, dead,
            (now - indexes) / MIB, *_of(waits),
        )  # fmt: skip

    def _run(self, way: str) -> dict[str, Any]:
        options = self.options
        words = ["--one", way, json.dumps(self.server.settings())]
        words += ["--seconds", str(options.seconds), "--batch-ms", str(options.batch_ms)]
        words += ["--fill-rate", str(options.fill_rate)] if options.fill_rate else []
        done = subprocess.run(
            [sys.executable, "-m", "testproject.benchmarks.backfill", *words],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{way} failed:\n{done.stdout}{done.stderr}")
        ran: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return ran

    def quiet(self, rows: int) -> tuple[float | None, float | None]:
        """What the traffic waits without any fill."""
        self.make(rows)
        with traffic(self.dsn, rows, self.options.traffic) as waits:
            time.sleep(self.options.quiet_seconds)
        return _of(waits)


def _of(waits: list[float]) -> tuple[float | None, float | None]:
    """Return the worst and the 99th percentile."""
    if not waits:
        return None, None
    waits = sorted(waits)
    return waits[-1], waits[int(len(waits) * 0.99)]


# The report --------------------------------------------------------------------------------------


def show(console: Console, title: str, rows: list[Measured], ratio_to: float | None) -> None:
    table = Table(title=title, title_justify="left")
    for head in ("", "rows/s", "of one UPDATE", "WAL MB", "dead rows", "indexes MB", "memory MB",
                 "p99 ms", "worst ms"):  # fmt: skip
        table.add_column(head, justify="left" if not head else "right")
    for row in rows:
        table.add_row(
            row.way,
            f"{row.rate:,.0f}",
            f"{row.rate / ratio_to:.2f}" if ratio_to else "",
            f"{row.wal_mb:,.0f}",
            f"{row.dead:,}",
            f"+{row.indexes_mb:,.0f}",
            f"{row.memory_mb:.0f}",
            "" if row.p99_ms is None else f"{row.p99_ms:.1f}",
            "" if row.worst_ms is None else f"{row.worst_ms:.1f}",
        )
    console.print(table)


def compare(bench: Bench, console: Console, options: argparse.Namespace) -> None:
    ways = [way for way in WAYS if not options.only or way in options.only]
    for rate in dict.fromkeys((0, options.traffic)):
        if rate:
            worst, p99 = bench.quiet(options.rows)
            console.print(f"traffic alone: p99 {p99:.1f} ms, worst {worst:.1f} ms")
        rows = [bench.measure(way, options.rows, rate) for way in ways]
        whole = next((row.rate for row in rows if row.way == "one UPDATE"), None)
        beside = f", beside {rate:g} requests/s" if rate else ""
        show(console, f"{options.rows:,} rows{beside}", rows, whole)


def waits_by_turns(bench: Bench, console: Console, options: argparse.Namespace) -> None:
    """Measure what the traffic waits, without a fill and beside one by turns."""
    table = Table(title=f"{options.rows:,} rows, by turns", title_justify="left")
    for head in ("p99 alone", "beside", "ratio", "worst alone", "beside", "ratio", "rows/s"):
        table.add_column(head, justify="right")
    p99_ratios, worst_ratios = [], []
    for _ in range(options.turns):
        worst, p99 = bench.quiet(options.rows)
        found = bench.measure("safemigrate", options.rows, options.traffic)
        if None in (worst, p99, found.worst_ms, found.p99_ms):
            raise SystemExit("A turn had no request: give it more --traffic or --quiet-seconds.")
        p99_ratios.append(found.p99_ms / p99)
        worst_ratios.append(found.worst_ms / worst)
        table.add_row(
            *(f"{ms:.1f}" for ms in (p99, found.p99_ms)), f"{p99_ratios[-1]:.2f}",
            *(f"{ms:.1f}" for ms in (worst, found.worst_ms)), f"{worst_ratios[-1]:.2f}",
            f"{found.rate:,.0f}",
        )  # fmt: skip
    console.print(table)
    p99, worst = statistics.median(p99_ratios), statistics.median(worst_ratios)
    console.print(f"medians: p99 {p99:.2f} x, worst wait {worst:.2f} x")


def speed_by_turns(bench: Bench, console: Console, options: argparse.Namespace) -> None:
    """Measure the rows per second of one UPDATE, one worker and two, alone and by turns."""
    ways = ("one UPDATE", "safemigrate", "safemigrate, 2 workers")
    table = Table(title=f"{options.rows:,} rows, rows/s by turns", title_justify="left")
    for head in ways:
        table.add_column(head, justify="right")
    turns = []
    for _ in range(options.turns):
        turns.append([bench.measure(way, options.rows, 0).rate for way in ways])
        table.add_row(*(f"{rate:,.0f}" for rate in turns[-1]))
    console.print(table)
    for number, way in list(enumerate(ways))[1:]:
        share = statistics.median(rates[number] / rates[0] for rates in turns)
        console.print(f"median: {way} {share:.2f} x one UPDATE")


def grow(bench: Bench, console: Console, options: argparse.Namespace) -> None:
    rows = []
    for size in options.grow:
        for way in ("one UPDATE", "safemigrate"):
            found = bench.measure(way, size, 0)
            rows.append(Measured(f"{way}, {size:,} rows", *list(vars(found).values())[1:]))
    show(console, "how it grows", rows, None)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--traffic", type=float, default=60, help="requests/s; 0: none")
    parser.add_argument("--seconds", type=float, default=60, help="for the slow ways")
    parser.add_argument("--quiet-seconds", type=float, default=15, help="of traffic alone")
    parser.add_argument("--batch-ms", type=float, default=20, help="SAFEMIGRATE BATCH_DURATION")
    parser.add_argument("--only", nargs="+", choices=list(WAYS), metavar="NAME")
    parser.add_argument("--index", action="store_true", help="one more index, on another column")
    parser.add_argument("--grow", nargs="+", type=int, metavar="ROWS")
    parser.add_argument("--turns", type=int, metavar="N")
    parser.add_argument("--fill-rate", type=int, help="at most so many rows/s, by safemigrate")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        child(*options.one, options)
        return 0
    console = Console(width=120)
    with (
        tempfile.TemporaryDirectory(prefix="safemigrate-backfill-") as name,
        database.start(Path(name) / "data", durable=True, options=SETTINGS) as server,
    ):
        console.print(f"PostgreSQL {server.version}, batches of {options.batch_ms:g} ms")
        by_turns = waits_by_turns if options.traffic else speed_by_turns
        report = grow if options.grow else by_turns if options.turns else compare
        report(Bench(server, options), console, options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
