"""Train one recipe, score it, and remember the result: what notebooks 07 and 08 compare."""

import csv
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from unet_lib import (
    architecture,
    batches,
    losses,
    metrics,
    plotting,
    prediction,
    training,
    workspace,
)
from unet_lib.augmentation import Augmentation

# Each of many models is traced anew, as it must be; TensorFlow takes that for a mistake.
logging.getLogger("tensorflow").addFilter(lambda told: "retracing" not in told.getMessage())

#: The settings of the original, but for the number of epochs.
ORIGINAL = {
    "image_size": 512, "width": 16, "head": "original", "normalization": "none",
    "standardize": False, "dropout": 0.5, "loss": "bce", "learning_rate": 1e-4,
    "schedule": "constant", "augment": "none", "augmentation_strength": 1.0, "batch_size": 10,
}  # fmt: skip

#: Settings of a recipe that `build_unet` takes.
LAYERS = ("width", "head", "normalization", "standardize", "dropout")

#: What notebook 07 arrives at.
BEST = ORIGINAL | {
    "head": "direct", "normalization": "batch", "loss": "bce_dice", "learning_rate": 2e-3,
    "schedule": "cosine", "augment": "both",
}  # fmt: skip


def train(
    arrays: tuple[np.ndarray, np.ndarray],
    recipe: dict,
    *,
    epochs: int,
    seed: int,
    start: keras.Model | None = None,
) -> tuple[keras.Model, float]:
    """Train one model without leaving files.

    Args:
        arrays: images (N, S, S) uint8 in [0, 255] and masks (N, S, S) in [0, 1], S being the
            recipe's image_size. Numbers of several classes are taken together.
        recipe: settings by name, all those of `ORIGINAL`; "augment" is "none", "geometry",
            "intensity" or "both", "augmentation_strength" its factor.
        epochs: how often all pairs are seen.
        seed: of weights, order, dropout and augmentation.
        start: take over the weights of this model, whatever its image size.

    Returns:
        The model after the last epoch, and the CPU seconds that `fit` took, of all cores together:
        unlike the clock's, they hardly depend on what else the machine does.
    """
    images, masks = arrays
    masks = np.minimum(masks, 1) if masks.max() > 1 else masks
    keras.utils.set_random_seed(seed)
    steps = batches.steps_per_epoch(len(images), recipe["batch_size"])
    unet = build(recipe, total_steps=epochs * steps, metrics=False)
    if start is not None:
        unet.set_weights(start.get_weights())
    stream = batches.training_batches(
        images, masks, batch_size=recipe["batch_size"], epochs=epochs, seed=seed,
        augment=augmenter(recipe),
    )  # fmt: skip
    started = time.process_time()
    unet.fit(
        stream, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0,
        callbacks=[training.SeedDropout(seed), training.StopOnNaN()],
    )  # fmt: skip
    return unet, time.process_time() - started


def build(
    settings: dict, *, total_steps: int, metrics: bool = True, classes: Sequence[str] = ()
) -> keras.Model:
    """Build and compile the model of a recipe, or of a run as notebook 04 records it.

    Args:
        settings: by name, with others that are passed over.
        total_steps: steps of all epochs together.
        metrics: whether accuracy and Dice are watched.
        classes: names of the classes that the masks tell apart; none for one.
    """
    layers = {name: settings[name] for name in LAYERS}
    unet = architecture.build_unet(settings["image_size"], **layers, classes=len(classes) or 1)
    rate = {name: settings[name] for name in ("loss", "learning_rate", "schedule")}
    compile_unet(unet, **rate, total_steps=total_steps, metrics=metrics, classes=classes)
    return unet


def augmenter(settings: dict, *, classes: Sequence[str] = ()) -> Augmentation | None:
    """Return what is done to training pairs, by a recipe or by the settings of a run.

    Args:
        settings: by name, with others that are passed over. "augment" is a word as in `train`, or
            whether at all, as notebook 04 records it; then it is "both".
        classes: as for `compile_unet`.
    """
    kind = {True: "both", False: "none"}.get(settings["augment"], settings["augment"])
    if kind == "none":
        return None
    strength, flip = settings["augmentation_strength"], settings.get("flip", False)
    return Augmentation(kind, strength=strength, flip=flip, classes=classes)


def compile_unet(
    unet: keras.Model,
    *,
    loss: str,
    learning_rate: float,
    schedule: str,
    total_steps: int,
    metrics: bool = True,
    classes: Sequence[str] = (),
) -> None:
    """Compile a model as notebook 04 does.

    Args:
        unet: from `build_unet`.
        loss: a key of `losses.LOSSES`.
        learning_rate: Adam's step size at the start.
        schedule: "constant", or "cosine": the rate falls to zero along a half cosine.
        total_steps: steps of all epochs together.
        metrics: whether accuracy and Dice are watched; without them a step is quicker.
        classes: names of the classes that the masks tell apart; none for one.
    """
    rate = learning_rate
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps=total_steps)
    dice = keras.metrics.MeanMetricWrapper(losses.batch_dice, name="dice")
    unet.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=losses.choose(loss, classes=classes),
        metrics=["accuracy", dice] if metrics else None,
    )


def score(
    unet: keras.Model, pairs: Iterable[tuple[np.ndarray, np.ndarray]], *, outlines: bool = False
) -> dict[str, float]:
    """Return the means over pairs of what `score_each` measures; arguments as there."""
    rows = score_each(unet, pairs, outlines=outlines)
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def score_each(
    unet: keras.Model, pairs: Iterable[tuple[np.ndarray, np.ndarray]], *, outlines: bool = False
) -> list[dict[str, float]]:
    """Measure a model on each pair, at a threshold of 0.5 and at its own size.

    Args:
        unet: any model from `build_unet`.
        pairs: image and mask each, as `datasets.read_pairs` gives them one by one; all classes of a
            mask are taken together.
        outlines: measure hd95 too, as a share of the image's width; it takes longer.

    Returns:
        For each pair dice, accuracy, and perhaps hd95.
    """
    kept, again = itertools.tee(pairs)  # a batch apart at most
    rows = []
    for (_, mask), probability in zip(
        kept, prediction.predict_all(unet, (image for image, _ in again)), strict=True
    ):
        found = metrics.score(mask > 0, probability >= 0.5)
        row = {name: found[name] for name in ("dice", "accuracy")}
        if outlines:
            surface = metrics.surface_score(mask > 0, probability >= 0.5, tolerance=0)
            row["hd95"] = surface["hd95"] / mask.shape[1]
        rows.append(row)
    return rows


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
    rows = read_table(path) if path.exists() else []
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


def read_table(path: Path) -> list[dict]:
    """Return the rows of a CSV file, with numbers as numbers.

    Args:
        path: a file that `remember` wrote, perhaps with comments put before it: lines with # first.
    """
    with path.open(encoding="utf-8", newline="") as file:
        table = itertools.dropwhile(lambda line: line.startswith("#"), file)
        return [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(table)]


def column(rows: list[dict], variant: str, name: str = "dice") -> np.ndarray:
    """Return one column for one variant.

    Args:
        rows: as `read_table` gives them, each with a "variant".
        variant: whose rows.
        name: of the column.

    Returns:
        (N,) with one value for each row of the variant; empty if it was not measured.
    """
    return np.array([row[name] for row in rows if row["variant"] == variant])


def show(rows: list[dict], variants: list[str], names: Sequence[str] = ("dice",)) -> None:
    """Print mean and range of some columns, and the mean seconds: a line for each variant.

    Args:
        rows: as `read_table` gives them, each with "variant" and "seconds".
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
        rows: as `read_table` gives them.
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
    ax.margins(x=0.25, y=0.15)  # for the labels
    return figure


def _front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points of which no cheaper one has less missing, cheapest first."""
    front = []
    for point in sorted(points):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
