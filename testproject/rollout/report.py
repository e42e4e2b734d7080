"""The table and the verdict, for a terminal and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from testproject.rollout.windows import Point, Run, Window, felt

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


def show(
    console: Console,
    title: str,
    runs: Sequence[Run],
    verdicts: Sequence[Sequence[Point]],
    differences: Sequence[str],
) -> None:
    """Print one table for all flavours, what went wrong, and the verdict."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number in (0, 2) else "right", no_wrap=True)
    for run in runs:
        table.add_section()
        table.add_row(f"[bold]{run.flavour}[/]")
        for window, cells in rows(run):
            style = "red" if any(cell != "0" for cell in cells[4:6]) else ""
            name = f"[bold]{cells[0]}[/]" if window.migrating else cells[0]
            table.add_row(f"  {name}", *cells[1:], style=style)
    console.print(table)
    for run in runs:
        console.print(f"{run.flavour}: {fill_line(run)}", highlight=False)
    console.print()
    for run in runs:
        if found := troubles(run):
            console.print(f"[bold]What went wrong with {run.flavour}[/]")
            for line in found:
                console.print(f"  {escape(line)}", highlight=False, overflow="fold")
            console.print()
    if differences:
        console.print("[bold]The final schemas differ[/]")
        for line in differences:
            console.print(f"  {escape(line)}", highlight=False, overflow="fold")
        console.print()
    elif len(runs) > 1:
        console.print("The final schemas are the same.\n")
    for run, points in zip(runs, verdicts, strict=True):
        console.print(f"[bold]{run.flavour}[/]")
        for point in points:
            mark = "[green]yes[/]" if point.met else "[red]no [/]"
            console.print(f"  {mark}  {point.asked}: {point.measured}", highlight=False)


def as_markdown(
    title: str,
    command: str,
    runs: Sequence[Run],
    verdicts: Sequence[Sequence[Point]],
    differences: Sequence[str],
) -> str:
    """Return the same as ``show`` prints, for the documentation."""
    lines = [f"{title}", "", "```sh", command, "```", ""]
    for run, points in zip(runs, verdicts, strict=True):
        lines += [f"### {run.flavour}", ""]
        lines += ["| " + " | ".join(COLUMNS) + " |"]
        lines += ["| --- | ---: | --- |" + " ---: |" * (len(COLUMNS) - 3)]
        lines += ["| " + " | ".join(cells) + " |" for _, cells in rows(run)]
        lines += ["", fill_line(run), ""]
        if found := troubles(run):
            lines += ["```", *found, "```", ""]
        lines += [f"- {'yes' if p.met else '**no**'}: {p.asked}: {p.measured}" for p in points]
        lines += [""]
    if len(runs) > 1:
        same = "The final schemas are the same."
        lines += [f"- {line}" for line in differences] or [same]
    return "\n".join(lines).rstrip() + "\n"
