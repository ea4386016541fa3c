"""What a sweep's results say: its settings, how far chance goes, and figures.

A setting is what a sweep varies on purpose; runs that differ in nothing but their random seed or
their fold are repeats of one setting.
"""

import csv
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unet_lib import plotting, runs
from unet_lib.series import points

_LINES = (("#0072B2", "-", "o"), ("#D55E00", "--", "s"), ("#009E73", "-.", "^"),
          ("#CC79A7", ":", "D"))  # fmt: skip
_DRAWS = 4000
_LABELS = 8  # that an axis has room for


def read(path: Path) -> list[dict]:
    """Return the rows of a results.csv, with numbers as numbers and true as True."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def varied(rows: list[dict]) -> list[str]:
    """Return what tells settings apart: the columns before "status" but for seeds and folds.

    Args:
        rows: as `read` gives them, at least one.
    """
    names = list(rows[0])
    names = names[names.index("point") + 1 : names.index("status")]
    return [name for name in names if not _repeats(name, [row[name] for row in rows])]


def _repeats(name: str, values: list) -> bool:
    folds = name == "split" and all(re.fullmatch(r"\d+/\d+", str(value)) for value in values)
    return name == "seed" or folds


def setting(row: dict, names: list[str]) -> str:
    """Return a row's setting as one writes it, such as "width 8, loss focal"."""
    return ", ".join(f"{name} {row[name]}" for name in names) or "the only setting"


def by_setting(rows: list[dict]) -> dict[str, list[dict]]:
    """Return the finished rows of each setting, in the order of the sweep; some may have none."""
    names, found = varied(rows), {}
    for row in rows:
        kept = found.setdefault(setting(row, names), [])
        if row["status"] == "done":
            kept.append(row)
    return found


def summarize(rows: list[dict], measure: str = "dice") -> list[dict]:
    """Return for each setting the mean of a measure and its range over repeats.

    Args:
        rows: as `read` gives them.
        measure: a column of numbers.

    Returns:
        One dictionary a setting: setting, mean, low and high (the lowest and the highest run; None
        where no run is finished), done and asked (numbers of runs).
    """
    names, table = varied(rows), []
    asked = [setting(row, names) for row in rows]
    for name, kept in by_setting(rows).items():
        ends = dict.fromkeys(("mean", "low", "high"))
        if values := [row[measure] for row in kept]:
            ends = {"mean": float(np.mean(values)), "low": min(values), "high": max(values)}
        table.append({"setting": name, **ends, "done": len(values), "asked": asked.count(name)})
    return table


def best(table: list[dict]) -> dict | None:
    """Return the line of the highest mean of what `summarize` gives, None where nothing is done."""
    done = [line for line in table if line["done"]]
    return max(done, key=lambda line: line["mean"]) if done else None


def deviation(rows: list[dict], measure: str = "dice") -> float | None:
    """Return the standard deviation of one run around the mean of its setting.

    All settings together; None if none was run twice. Folds score other images each, so with folds
    it holds how hard these are as well.
    """
    groups = [[row[measure] for row in kept] for kept in by_setting(rows).values()]
    free = sum(len(group) - 1 for group in groups if group)
    if not free:
        return None
    return float(np.sqrt(sum(np.var(group) * len(group) for group in groups if group) / free))


def expected_maximum(count: int, deviation: float, *, seed: int = 0) -> float:
    """Return how far the best of equal settings lies above their common mean, by chance alone.

    Args:
        count: how many settings are compared.
        deviation: the standard deviation of a setting's mean: of one run, divided by the square
            root of the number of repeats.
        seed: of the simulation.
    """
    draws = np.random.default_rng(seed).normal(size=(_DRAWS, count))
    return float(deviation * draws.max(axis=1).mean())


def images(home: Path, rows: list[dict], measure: str = "dice") -> dict[str, float]:
    """Return a measure of each validation image, its mean over the runs.

    Args:
        home: the sweep's folder.
        rows: finished runs, such as those of one setting.
        measure: one that notebook 05 takes of each image.

    Returns:
        Image id -> mean. With folds each image comes from the run that did not train on it.
    """
    found = {}
    for row in rows:
        scores = points.read_json(home / row["point"] / points.DONE)["metrics"]["per_image"]
        for name, value in zip(scores["ids"], scores[measure], strict=True):
            found.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def parameter_figure(rows: list[dict], measure: str = "dice") -> Figure | None:
    """Show each parameter that varies against a measure; None where none does.

    Args:
        rows: as `read` gives them.
        measure: a column of numbers.
    """
    done = [row for row in rows if row["status"] == "done"]
    names = [name for name in varied(rows) if len({str(row[name]) for row in done}) > 1]
    if not names:
        return None
    columns = min(3, len(names))
    size = (3.4 * columns + 0.8, 3.2 * -(-len(names) // columns))
    figure, axes = plt.subplots(-(-len(names) // columns), columns, figsize=size, squeeze=False,
                                dpi=plotting.DPI, layout="constrained", sharey=True)  # fmt: skip
    for ax, name in zip(axes.flat, names, strict=False):
        _parameter(ax, name, done, measure)
    for ax in axes.flat[len(names) :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel(f"validation {measure.title()}")
    figure.suptitle("dot: a run; diamond: mean of its value; line: range", fontsize=9)
    return figure


def _parameter(ax: Axes, name: str, done: list[dict], measure: str) -> None:
    """Draw the runs over one parameter: numbers where they lie, words side by side."""
    values = {json.dumps(row[name]): row[name] for row in done}
    numbers = all(type(value) in (int, float) for value in values.values())
    order = sorted(values.values()) if numbers else list(values.values())
    places = order if numbers else list(range(len(order)))
    for place, value in zip(places, order, strict=True):
        found = [row[measure] for row in done if row[name] == value]
        ax.vlines(place, min(found), max(found), color="black", linewidth=1)
        ax.plot([place] * len(found), found, "o", color="0.75", markeredgecolor="0.4")
        ax.plot(place, np.mean(found), "D", color=plotting.VALIDATION)
    if numbers and min(order) > 0 and max(order) >= 8 * min(order):
        ax.set_xscale("log")
    ax.minorticks_off()
    step = -(-len(order) // _LABELS)
    ax.set_xticks(places[::step], [str(value) for value in order[::step]])
    ax.margins(x=0.15)
    ax.set(xlabel=name)


def curves_figure(home: Path, rows: list[dict]) -> Figure | None:
    """Lay the training curves of all runs over each other; None where no run has one.

    The best settings have a line of their own, the others are grey.

    Args:
        home: the sweep's folder.
        rows: as `read` gives them.
    """
    done = [line for line in summarize(rows) if line["done"]]
    ranked = [line["setting"] for line in sorted(done, key=lambda line: -line["mean"])]
    groups = by_setting(rows)
    figure, ax = plt.subplots(figsize=(7.5, 3.8), dpi=plotting.DPI, layout="constrained")
    for name in reversed(ranked):  # the best lies on top
        place = ranked.index(name)
        color, style, marker = _LINES[place] if place < len(_LINES) else ("0.8", "-", "")
        for k, row in enumerate(groups[name]):
            curve = runs.read_history(home / row["point"])["val_dice"]
            label = name if not k and place < len(_LINES) else None
            ax.plot(range(1, len(curve) + 1), curve, style, color=color, marker=marker,
                    markersize=4, linewidth=1.3, label=label)
    if not any(len(line.get_xdata()) for line in ax.lines):
        plt.close(figure)
        return None
    ax.set(xlabel="epoch", ylabel="validation Dice, at the model's size")
    ax.xaxis.get_major_locator().set_params(integer=True)
    lines, labels = ax.get_legend_handles_labels()
    ax.legend(lines[::-1], labels[::-1], fontsize=8, title="best first")
    return figure
