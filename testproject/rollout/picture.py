"""The picture: every request a dot, its wait over time, each flavour a panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from testproject.rollout.windows import Run

COLOURS = {"r1": "#4878a8", "r2": "#e08a2e", "r3": "#4f9a5d"}
FAILED = "#c8102e"
BAND = "#e2e2e2"
INK = "#333333"


def draw(runs: Sequence[Run], folder: Path, name: str = "rollout") -> list[Path]:
    """Write the picture as SVG and PNG; return both paths."""
    style = {"font.family": "DejaVu Sans", "font.size": 10, "svg.fonttype": "none"}
    style |= {"svg.hashsalt": "rollout", "axes.edgecolor": "#999999", "text.color": INK}
    with plt.rc_context(style):
        figure, panels = plt.subplots(
            len(runs), 1, figsize=(9.5, 3.3 * len(runs) + 0.5), sharey=True, squeeze=False
        )
        low, high = _limits(runs)
        longest = max(run.windows[-1].ended - run.windows[0].began for run in runs)
        for axes, run in zip(panels[:, 0], runs, strict=True):
            axes.set_yscale("log")
            axes.set_ylim(low, high)
            axes.set_xlim(0, longest)
            _steps(axes, run, longest)
            _dots(axes, run)
            _dress(axes, run)
        panels[-1, 0].set_xlabel("seconds since the traffic began")
        figure.legend(
            handles=_legend(runs), loc="lower center", ncols=5, frameon=False, handletextpad=0.2
        )
        figure.tight_layout(rect=(0, 0.35 / figure.get_figheight(), 1, 1), h_pad=1.6)
        paths = [folder / f"{name}.svg", folder / f"{name}.png"]
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(path, dpi=160, metadata=metadata)
        plt.close(figure)
    return paths


def _limits(runs: Sequence[Run]) -> tuple[float, float]:
    waits = [request.waited_ms for run in runs for request in run.requests] or [1.0, 100.0]
    # Room above the highest dot for the names of the steps.
    return max(0.3, min(waits) * 0.7), max(200.0, max(waits)) * 6


def _steps(axes: Axes, run: Run, longest: float) -> None:
    began = run.windows[0].began
    for window in run.windows:
        left, right = window.began - began, window.ended - began
        if window.migrating:
            axes.axvspan(left, right, color=BAND, lw=0, zorder=0)
        elif left:
            axes.axvline(left, color="#cccccc", lw=0.8, zorder=0)
        # A short step has no room for its name beside it: the name then hangs downwards.
        width = 0.0092 if window.migrating else 0.0078  # of a letter, as a share of the panel
        narrow = (right - left) / longest < width * len(_short(window.name))
        axes.annotate(
            _short(window.name),
            ((left + right) / 2, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, -5),
            textcoords="offset points",
            ha="center",
            va="top",
            rotation=90 if narrow else 0,
            fontsize=8.5 if not narrow else 8,
            weight="bold" if window.migrating else "normal",
            color=INK,
        )


def _short(name: str) -> str:
    return name.partition(",")[0]


def _dots(axes: Axes, run: Run) -> None:
    began = run.windows[0].began
    for release, colour in COLOURS.items():
        fine = [r for r in run.requests if r.release == release and r.outcome == "ok"]
        times = [request.due - began for request in fine]
        waits = [request.waited_ms for request in fine]
        axes.scatter(times, waits, s=5, color=colour, alpha=0.55, lw=0, rasterized=True)
    bad = [request for request in run.requests if request.outcome != "ok"]
    times, waits = [r.due - began for r in bad], [r.waited_ms for r in bad]
    axes.scatter(times, waits, s=16, color=FAILED, marker="x", lw=0.9, zorder=3, rasterized=True)


def _dress(axes: Axes, run: Run) -> None:
    axes.set_title(run.flavour, loc="left", weight="bold", fontsize=12)
    counts = f"{run.failed:,} failed requests"
    if run.wrong:
        counts += f", {run.wrong:,} wrong answers"
    counts += f", worst wait while migrating {_duration(run.worst_ms(migrating=True))}"
    colour = FAILED if run.failed or run.wrong else INK
    axes.set_title(counts, loc="right", fontsize=10, color=colour)
    axes.set_ylabel("wait of a request")
    axes.yaxis.set_major_locator(LogLocator(base=10))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _duration(value)))
    axes.grid(axis="y", color="#e6e6e6", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _duration(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.3g} s"
    return f"{milliseconds:.3g} ms"


def _legend(runs: Sequence[Run]) -> list[Line2D]:
    def entry(label: str, marker: str, colour: str) -> Line2D:
        return Line2D([], [], label=label, marker=marker, color=colour, ls="", markersize=5)

    seen = {request.release for run in runs for request in run.requests}
    shown = [entry(f"{name}'s code", "o", COLOURS[name]) for name in COLOURS if name in seen]
    return [*shown, entry("failed or wrong", "x", FAILED)]
