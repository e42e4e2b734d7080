"""List the backfills of a database; pause, resume or cancel one, or change its pace."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections

from safemigrate.management.subcommands.base import add_database, connection_of, unanswered

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from safemigrate.backfill.control import Seen

ORDERS = ("pause", "resume", "cancel")
POLL = timedelta(seconds=2)  # between two looks for work
SAMPLE = timedelta(seconds=0.5)  # between two looks, whose difference is the rate of now


def add_arguments(parser: CommandParser) -> None:
    add_database(parser)
    parser.add_argument("--all", action="store_true", help="Also those that are done.")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    texts = {
        "pause": "Hold it after the batch in work; the process that works on it waits.",
        "resume": "Let one that was paused or canceled go on.",
        "cancel": "End it after the batch in work; migrate fails, what is filled stays.",
        "run": "Do those that migrate has only asked for (background=True), or one of them.",
        "retry": "Fill the rows that were set aside, once they can be filled.",
        "show": "Everything about one, with the rows that were set aside.",
        "set": "Change its pace; obeyed from the next batch on.",
    }
    for name, text in texts.items():
        made = actions.add_parser(name, help=text, description=text)
        made.add_argument("id", type=int, metavar="ID", nargs="?" if name == "run" else None)
        if name == "run":
            made.add_argument(
                "--watch", action="store_true", help="Stay, and do what comes until stopped."
            )
            made.add_argument(
                "--queue",
                action="store_true",
                help="Ask the task queue of the settings instead of doing it here.",
            )
            made.add_argument(
                "--workers", type=int, metavar="N", help="With --queue: so many tasks."
            )
        if name == "set":
            made.add_argument(
                "--rate", type=int, metavar="ROWS", help="Rows per second; 0: no cap."
            )
            made.add_argument("--workers", type=int, metavar="N")


def run(command: BaseCommand, options: dict[str, Any]) -> None:
    connection = connection_of(options) or connections["default"]
    try:
        _act(command, connection, options)
    except DatabaseError as error:
        raise unanswered(connection, error) from error


def _act(command: BaseCommand, connection: BaseDatabaseWrapper, options: dict[str, Any]) -> None:
    from safemigrate.backfill import control
    from safemigrate.backfill.states import Event
    from safemigrate.executor.ledger import person

    action = options["action"]
    if action is None:
        _list(command, connection, options)
    elif action == "show":
        _show(command, connection, options["id"])
    elif action == "run":
        _work(command, connection, options)
    elif action == "retry":
        _retry(command, connection, options["id"])
    elif action == "set":
        run = control.set_pace(
            connection, options["id"], rate=options["rate"], workers=options["workers"]
        )
        command.stdout.write(f"{_name(run)}: {_pace(run)}.")
    else:
        run = control.order(connection, options["id"], Event(action), by=person())
        command.stdout.write(_obeyed(action, run))
        if action == "resume" and run.queue:
            _ask_the_queue(command, connection, run.id)


def _obeyed(action: str, run: Seen) -> str:
    if action == "pause":
        return (
            f"{_name(run)} is paused after {run.rows_done:,} rows. "
            f"To go on: manage.py safemigrate backfills resume {run.id}"
        )
    if action == "resume" and run.queue:
        return f"{_name(run)} may go on after {run.rows_done:,} rows."
    if action == "cancel":
        return (
            f"{_name(run)} is canceled after {run.rows_done:,} rows, which stay filled. A migrate "
            "that works on it ends with an error, and the next one stops there, until: "
            f"manage.py safemigrate backfills resume {run.id}"
        )
    return (
        f"{_name(run)} may go on after {run.rows_done:,} rows. A process that waits for it does "
        "so within a second; if there is none, run migrate."
    )


def _list(command: BaseCommand, connection: BaseDatabaseWrapper, options: dict[str, Any]) -> None:
    from safemigrate.backfill.control import seen
    from safemigrate.backfill.states import State

    everything = seen(connection)
    runs = [r for r in everything if options["all"] or r.state != State.DONE or r.failures]
    rates = _rates(connection, runs)
    if options["format"] == "json":
        command.stdout.write(json.dumps([_as_json(r, rates.get(r.id)) for r in runs], indent=2))
        return
    if not runs:
        done = f" {len(everything)} done: --all shows them." if everything else ""
        command.stdout.write(f"No backfill is open.{done}")
        return
    from rich.table import Table

    from safemigrate.management.terminal import Terminal

    table = Table(title="Backfills", title_justify="left")
    for head in ("id", "backfill", "state", "rows", "of", "rows/s", "left", "set aside", "about"):
        table.add_column(head, overflow="fold")
    for r in runs:
        table.add_row(*_cells(r, rates.get(r.id)))
    Terminal(command, options).show(table)


def _rates(connection: BaseDatabaseWrapper, runs: Sequence[Seen]) -> dict[int, float]:
    """Return the rows looked at per second, now, of those that run."""
    from safemigrate.backfill.control import seen
    from safemigrate.backfill.states import State

    running = {r.id: r.seen for r in runs if r.state == State.RUNNING}
    if not running:
        return {}
    began = time.monotonic()
    time.sleep(SAMPLE / timedelta(seconds=1))
    later = seen(connection, *running)
    took = time.monotonic() - began
    return {r.id: max(r.seen - running[r.id], 0) / took for r in later}


def _cells(run: Seen, rate: float | None) -> list[str]:
    from safemigrate.backfill.telling import duration, rounded

    of = f"{run.percent} % of {run.total:,}" if run.percent is not None and run.total else ""
    left = ""
    if rate and run.total and run.total > run.seen:
        left = duration((run.total - run.seen) / rate)
    return [
        str(run.id),
        run.key.rpartition(":")[0],
        run.state,
        f"{run.rows_done:,}",
        of,
        f"{rounded(rate):,}" if rate is not None else "",
        left,
        f"{run.failures:,}" if run.failures else "",
        _about(run),
    ]


def _about(run: Seen) -> str:
    """Return what somebody who finds it like this wants to know first."""
    from safemigrate.backfill.states import State
    from safemigrate.backfill.telling import duration

    parts = [run.note, run.error]
    if run.state == State.RUNNING:
        parts.append(f"waiting: {run.waiting}" if run.waiting else "")
        if run.silent > SILENT:
            parts.append(
                f"no sign for {duration(run.silent / timedelta(seconds=1))}: its process has "
                "ended or is proving the end; migrate goes on with it"
            )
    if run.queue and run.state in (State.QUEUED, State.RUNNING):
        parts.append(f"tasks were sent to {run.queue}")
    if run.rate or run.workers:
        parts.append(_pace(run))
    return "; ".join(part for part in parts if part)


SILENT = timedelta(seconds=30)


def _pace(run: Seen) -> str:
    parts = []
    if run.rate is not None:
        parts.append(f"at most {run.rate:,} rows/s" if run.rate else "no cap on rows/s")
    if run.workers is not None:
        parts.append(f"{run.workers} worker{'' if run.workers == 1 else 's'}")
    return ", ".join(parts)


def _show(command: BaseCommand, connection: BaseDatabaseWrapper, run_id: int) -> None:
    from safemigrate.backfill.control import existing
    from safemigrate.backfill.store import Store

    run = existing(connection, run_id)
    for name, value in _as_json(run, None).items():
        if value not in (None, ""):
            command.stdout.write(f"{name}: {value}")
    for failure in Store(connection).failures().filter(run_id=run_id)[:100]:
        command.stdout.write(
            f"set aside: row {failure.row_key} of batch {failure.batch}, "
            f"tried {failure.tries} x: {failure.error}"
        )


def _work(command: BaseCommand, connection: BaseDatabaseWrapper, options: dict[str, Any]) -> None:
    """Exits 1 if one of them failed. A failure does not keep the others from being done."""
    if options["queue"] and options["watch"]:
        raise CommandError("--watch does the work here, --queue elsewhere. Give one of them.")
    if options["queue"]:
        _ask_the_queue(command, connection, options["id"], options["workers"])
        return
    if options["workers"] is not None:
        raise CommandError("--workers is for --queue; here it is: safemigrate backfills set.")
    from safemigrate.executor import backfills
    from safemigrate.facts.progress import heard_by
    from safemigrate.management.voice import Voice

    with heard_by(Voice(command.stdout)):
        if options["id"] is not None:
            backfills.work_on(connection, options["id"])
            return
        failed: dict[int, str] = {}
        while True:
            for run_id in backfills.waiting(connection):
                if run_id not in failed:
                    _work_on(command, connection, run_id, failed)
            if not options["watch"]:
                break
            connection.close()  # a worker that has nothing to do holds no connection
            time.sleep(POLL / timedelta(seconds=1))
    if failed:
        ids = ", ".join(map(str, failed))
        raise CommandError(f"Not done: {ids}. What was filled stays; see above for each.")


def _ask_the_queue(
    command: BaseCommand,
    connection: BaseDatabaseWrapper,
    run_id: int | None,
    workers: int | None = None,
) -> None:
    from safemigrate.facts.progress import heard_by
    from safemigrate.management.voice import Voice
    from safemigrate.queues.sending import ask_for

    with heard_by(Voice(command.stdout)):
        ask_for(connection, run_id, command.stdout.write, workers)


def _work_on(
    command: BaseCommand, connection: BaseDatabaseWrapper, run_id: int, failed: dict[int, str]
) -> None:
    from safemigrate.executor import backfills
    from safemigrate.facts.errors import SafeMigrateError

    try:
        backfills.work_on(connection, run_id)
    except SafeMigrateError as error:
        # Not tried again by this process: it would fail the same way until somebody sees to it.
        failed[run_id] = str(error)
        command.stderr.write(f"Backfill {run_id}: {error}")


def _retry(command: BaseCommand, connection: BaseDatabaseWrapper, run_id: int) -> None:
    """Exits 1 while a row is left."""
    from safemigrate.executor import backfills

    well, ill = backfills.retry(connection, run_id)
    if not well and not ill:
        command.stdout.write(f"Backfill {run_id} has no row set aside.")
        return
    told = f"{well:,} of {well + ill:,} rows that were set aside are filled"
    if ill:
        raise CommandError(
            f"{told}; {ill:,} fail as before. See why with "
            f"manage.py safemigrate backfills show {run_id}, correct them and retry."
        )
    command.stdout.write(f"{told}; contracts need not wait for them any more.")


def _as_json(run: Seen, rate: float | None) -> dict[str, Any]:
    return {
        "id": run.id,
        "key": run.key,
        "table": run.table,
        "state": run.state,
        "rows_done": run.rows_done,
        "rows_seen": run.seen,
        "rows_total": run.total,
        "percent": run.percent,
        "rows_per_second": None if rate is None else round(rate, 1),
        "failures": run.failures,
        "pass": run.pass_no,
        "batches": run.batches,
        "rate_cap": run.rate,
        "workers": run.workers,
        "waiting": run.waiting,
        "note": run.note,
        "error": run.error,
        "queue": run.queue,
        "started": run.started.isoformat(),
        "finished": run.finished.isoformat() if run.finished else None,
        "silent_seconds": round(run.silent / timedelta(seconds=1), 1),
    }


def _name(run: Seen) -> str:
    return f"Backfill {run.id} of {run.table}"
