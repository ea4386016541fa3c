"""Tables of what was measured: kept row by row in a CSV file, shown, compared, drawn."""

import csv
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from unet_lib import plotting, workspace


def remember(path: Path, key: dict, measure: Callable[[], dict]) -> dict:
    """Measure once: return the row of a table that has this key, or measure and add it.

    Each row is on disk as soon as it is measured, so an interrupted series goes on where it was.

    Args:
        path: a CSV file; it is made if need be.
        key: what identifies the row; the same names in every call for one file.
        measure: called without arguments if there is no such row; returns the row's other cells.

    Returns:
        The row: key and cells.
    """
    rows = read(path) if path.exists() else []
    for row in rows:
        if all(str(row[name]) == str(_number(str(value))) for name, value in key.items()):
            return row
    rows.append({**key, **measure()})
    with workspace.replacing_file(path) as partial:
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return rows[-1]


def remember_all(
    path: Path, tasks: Iterable[tuple[dict, Callable[[], dict]]], *, minutes: float = 0
) -> Iterator[dict]:
    """Give the row of each task, as `remember` does, while there is time.

    Args:
        path: as for `remember`.
        tasks: pairs of key and measure, as for `remember`.
        minutes: begin no task after so many; 0 sets no limit. The next call goes on from there.
    """
    began = time.monotonic()
    for key, measure in tasks:
        if minutes and time.monotonic() - began > 60 * minutes:
            print("time is up; run it again to go on", flush=True)
            return
        yield remember(path, key, measure)


def read(path: Path) -> list[dict]:
    """Return the rows of a CSV file, with numbers as numbers.

    Args:
        path: a file that `remember` wrote, perhaps with comments put before it: lines with # first.

    Returns:
        The rows, up to one that is cut off; that is said.
    """
    with path.open(encoding="utf-8", newline="") as file:
        table = itertools.dropwhile(lambda line: line.startswith("#"), file)
        rows = list(csv.DictReader(table))
    whole = [*itertools.takewhile(lambda row: None not in (*row, *row.values()), rows)]
    if whole != rows:
        print(f"{workspace.shown(path)} is damaged in row {len(whole) + 1}: what stands before it"
              " is taken", flush=True)
    return [{k: _number(v) for k, v in row.items()} for row in whole]


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def column(rows: list[dict], variant: str, name: str = "dice") -> np.ndarray:
    """Return one column for one variant.

    Args:
        rows: as `read` gives them, each with a "variant".
        variant: whose rows.
        name: of the column.

    Returns:
        (N,) with one value for each row of the variant; empty if it was not measured.
    """
    return np.array([row[name] for row in rows if row["variant"] == variant])


def show(rows: list[dict], variants: list[str], names: Sequence[str] = ("dice",)) -> None:
    """Print mean and range of some columns, and the mean seconds: a line for each variant.

    Args:
        rows: as `read` gives them, each with "variant" and "seconds".
        variants: those to show, in this order; one without rows is left out.
        names: of the columns.
    """
    print(f"{'':<26}{'s':>4}" + "".join(f"{name.replace('_', ' '):>23}" for name in names))
    for variant in variants:
        seconds = column(rows, variant, "seconds")
        if len(seconds):
            found = [column(rows, variant, name) for name in names]
            texts = [f"{v.mean():.3f} ({v.min():.3f}–{v.max():.3f})" for v in found]
            print(f"{variant:<26}{seconds.mean():4.0f}" + "".join(f"{text:>23}" for text in texts))


def difference(rows: list[dict], variant: str, other: str, name: str = "dice") -> str:
    """Say how one variant compares with another, and whether the seeds let one say so.

    Args:
        rows: as `read` gives them.
        variant: the one that is judged.
        other: the one beside it.
        name: of the column.

    Returns:
        "0.023 lower, ranges apart" if every seed of one is above every seed of the other, else
        "0.001 higher, ranges overlap"; "one seed: no verdict"; "not measured".
    """
    found, beside = column(rows, variant, name), column(rows, other, name)
    if not len(found) or not len(beside):
        return "not measured"
    gain = found.mean() - beside.mean()
    text = f"{abs(gain):.3f} {'higher' if gain > 0 else 'lower'}"
    if len(found) < 2 or len(beside) < 2:
        return f"{text}, one seed: no verdict"
    apart = found.min() > beside.max() or found.max() < beside.min()
    return f"{text}, ranges {'apart' if apart else 'overlap'}"


def ranges(found: dict[str, np.ndarray], measure: str, *, beside: str | None = None) -> Figure:
    """Show measurements as dots, a row for each variant: mean, range and each random seed.

    Args:
        found: variant -> its measurements, (N,), one for each seed; the first is the top row.
        measure: what was measured, for the axis.
        beside: the variant whose range goes through the whole picture as a grey band.
    """
    height = 0.34 * len(found) + 1.1
    figure, ax = plt.subplots(figsize=(7.5, height), dpi=plotting.DPI, layout="constrained")
    for place, values in enumerate(found.values()):
        ax.plot([values.min(), values.max()], [place, place], color="black", linewidth=1)
        ax.plot(values, np.full(len(values), place), "o", color="0.75", markeredgecolor="0.4")
        ax.plot(values.mean(), place, "D", color=plotting.VALIDATION)
        ax.annotate(f"{values.mean():.3f}", (values.max(), place), (7, 0),
                    textcoords="offset points", va="center", fontsize=9)
    if beside in found:
        ax.axvspan(found[beside].min(), found[beside].max(), color="0.9", zorder=0)
    ax.set_yticks(range(len(found)), found)
    ax.margins(x=0.12, y=0.08)
    ax.invert_yaxis()
    ax.set(xlabel=measure)
    ax.set_title("diamond: mean; dots: single seeds; line: their range", fontsize=9)
    return figure


def time_to_quality(
    points: dict[str, tuple[np.ndarray, np.ndarray]], measure: str, *, named: Sequence[str] = ()
) -> Figure:
    """Show what was reached in how many seconds, and the best for each time.

    Both axes are logarithmic, that of quality in what is missing to 1: halving an error is one
    step, wherever it starts.

    Args:
        points: name of a recipe -> seconds of training and what was reached, in [0, 1]; (N,) each,
            a value for each seed. A line goes from the lowest seed to the highest.
        measure: what was measured, for the axis.
        named: which points get a label; all if empty.
    """
    figure, ax = plt.subplots(figsize=(7.5, 4.2), dpi=plotting.DPI, layout="constrained")
    means = {name: (np.mean(s), 1 - np.mean(v)) for name, (s, v) in points.items()}
    for name, (seconds, missing) in means.items():
        found, shown = points[name][1], not named or name in named
        style = {"color": plotting.VALIDATION} if shown else {"color": "0.7", "zorder": 1}
        ax.plot([seconds, seconds], [1 - np.max(found), 1 - np.min(found)], linewidth=1, **style)
        ax.plot(seconds, missing, "D" if shown else "o", **style)
        if shown:
            ax.annotate(name, (seconds, missing), (7, 4), textcoords="offset points", fontsize=9)
    front = _front(means.values())
    if front:
        ax.plot(*zip(*front, strict=True), ":", color="black", drawstyle="steps-post", zorder=0)
    ax.set(xscale="log", yscale="log", xlabel="seconds of training, all cores together",
           ylabel=f"1 − {measure} (lower is better)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    ax.margins(x=0.1, y=0.15)
    low, high = ax.get_xlim()
    ax.set_xlim(low, high * (high / low) ** 0.18)  # the labels stand to the right of their points
    return figure


def _front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points of which no cheaper one has less missing, cheapest first."""
    front = []
    for point in sorted(points):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front
