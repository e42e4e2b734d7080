"""The table and the verdict, for a terminal and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from testproject.rollout.windows import Result, Run, Window, felt

COLUMNS = (
    "",
    "seconds",
    "release",
    "requests",
    "failed",
    "wrong",
    "p50 ms",
    "p99 ms",
    "worst ms",
    "rows/s",
)
LAST_LINES = 12


def rows(run: Run) -> Iterator[tuple[Window, tuple[str, ...]]]:
    """Yield a line of the table for each window and release that ran in it."""
    for window in run.windows:
        for number, release in enumerate(window.releases):
            seen = felt(run.requests, window, release)
            head = (window.name, f"{window.seconds:.1f}") if number == 0 else ("", "")
            counts = [f"{count:,}" for count in (seen.requests, seen.failed, seen.wrong)]
            waits = [milliseconds(ms) for ms in (seen.p50_ms, seen.p99_ms, seen.worst_ms)]
            rate = f"{window.fill.rows_per_second:,.0f}" if number == 0 and window.fill else ""
            yield window, (*head, release, *counts, *waits, rate)


def milliseconds(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def fill_line(run: Run) -> str:
    if run.fill is None:
        return "No rows were filled."
    fill = run.fill
    line = f"{fill.rows:,} rows filled in {fill.seconds:.1f} s: {fill.rows_per_second:,.0f} rows/s"
    if fill.median_ms is not None:
        line += f", {fill.batches:,} batches, median {fill.median_ms:.0f} ms"
    return f"{line}."


def troubles(run: Run, count: int = 6) -> list[str]:
    """Return what went wrong in its own words: errors of requests, commands, the final state."""
    errors = run.errors()
    found = [f"{times:,} x {error}" for error, times in errors[:count]]
    if errors[count:]:
        found.append(f"{sum(times for _, times in errors[count:]):,} x other errors")
    for command in run.failed_commands:
        last = command.output.strip().splitlines()[-LAST_LINES:]
        found.append(f"{command.name} ended with {command.exit_code}:")
        found += [f"    {line}" for line in last]
    return found + run.remarks


def show(console: Console, result: Result) -> None:
    """Print one table for all flavours, what went wrong, and the verdict."""
    console.print(_table(result))
    for run in result.runs:
        console.print(f"{run.flavour}: {fill_line(run)}", highlight=False)
    for run in result.runs:
        _list(console, f"What went wrong with {run.flavour}", troubles(run))
    _list(console, "The final schemas differ", result.differences)
    for run, points in zip(result.runs, result.verdicts, strict=True):
        console.print(f"\n[bold]{run.flavour}[/]")
        for point in points:
            mark = "[green]yes[/]" if point.met else "[red]no [/]"
            console.print(f"  {mark}  {point.asked}: {point.measured}", highlight=False)


def _table(result: Result) -> Table:
    table = Table(title=result.title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number in (0, 2) else "right", no_wrap=True)
    for run in result.runs:
        table.add_section()
        table.add_row(f"[bold]{run.flavour}[/]")
        for window, cells in rows(run):
            style = "red" if any(cell != "0" for cell in cells[4:6]) else ""
            name = f"[bold]{cells[0]}[/]" if window.migrating else cells[0]
            table.add_row(f"  {name}", *cells[1:], style=style)
    return table


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(f"\n[bold]{title}[/]")
    for line in lines:
        console.print(f"  {escape(line)}", highlight=False, overflow="fold")


def as_markdown(result: Result, command: str) -> str:
    """Return the same as ``show`` prints, for the documentation."""
    lines = [result.title, "", "```sh", command, "```", ""]
    for run, points in zip(result.runs, result.verdicts, strict=True):
        lines += [f"### {run.flavour}", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |"]
        lines += ["| --- | ---: | --- |" + " ---: |" * (len(COLUMNS) - 3)]
        lines += ["| " + " | ".join(cells) + " |" for _, cells in rows(run)]
        lines += ["", fill_line(run), ""]
        if found := troubles(run):
            lines += ["```text", *found, "```", ""]
        lines += [f"- {'yes' if p.met else '**no**'}: {p.asked}: {p.measured}" for p in points]
        lines += [""]
    if result.differences:
        lines += ["The final schemas differ:", "", *(f"- {line}" for line in result.differences)]
    return "\n".join(lines).rstrip() + "\n"
