"""How many labelled pairs are enough? Trainings on few and on many, for notebook 09.

    PARAMS=notebooks/params/shenzhen_quick.yaml
    python -m unet_lib run --params $PARAMS --only 01_restructure_dataset
    python tools/learning_curve.py $PARAMS notebooks/09_your_own_images.csv

Each model is scored on the same validation pairs at the masks' own size, threshold 0.5, nothing
cleaned up. The recipe is the file's, but for the size, `SIZE` px, at which all can be trained in an
hour on a slow core. "new" starts from random weights and "tuned" from the shipped model, which has
seen phantoms alone; "shipped" is that model as it is.

All models of a kind make the same number of updates, however few pairs they have: with the same
number of epochs those on ten pairs would hardly have begun, and the curve would show how long was
trained. A new model makes as many as the file's epochs over all pairs; a tuned one makes a third of
them at a fifth of the rate, since it has little to learn and much to lose. A seed draws the pairs,
which are nested (the first 10 of the 25), the weights, the order and the augmentation.

Each row is saved at once, and the same command goes on after an interrupt.
"""

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import yaml

from unet_lib import batches, datasets, experiments, prediction, tables, workspace
from unet_lib.commands import models

SIZE = 96  # px
NEW, TUNED = (10, 25, 50, 100, 200, 425), (10, 25, 50)  # pairs
SEEDS = (0, 1)
TUNED_UPDATES, TUNED_RATE = 1 / 3, 1 / 5  # of the file's


def recipe(values: dict) -> dict:
    """Return the settings for `experiments.train` that a parameter file of notebook 04 means."""
    known = {name: value for name, value in values.items() if name in experiments.ORIGINAL}
    return experiments.ORIGINAL | known | {"augment": "both" if values.get("augment") else "none"}


def draw(ids: list[str], count: int, seed: int) -> list[str]:
    """Return `count` of the ids at random; with the same seed, fewer are among the more."""
    order = np.random.default_rng(seed).permutation(len(ids))
    return [sorted(ids)[place] for place in order[:count]]


def epochs_for(updates: int, count: int, batch_size: int) -> int:
    """Return the epochs over `count` pairs that make at least `updates` updates."""
    return -(-updates // batches.steps_per_epoch(count, batch_size))


def score(unet, folder: Path, ids: list[str]) -> dict:
    """Return mean and 5th percentile of the Dice, and the median HD95 as a share of the width."""
    rows = experiments.score_each(unet, datasets.read_pairs(folder, ids), outlines=True)
    dice, hd95 = ([row[name] for row in rows] for name in ("dice", "hd95"))
    low = np.percentile(dice, 5)
    return {"dice": round(float(np.mean(dice)), 5), "dice_p5": round(float(low), 5),
            "hd95_median": round(float(np.median(hd95)), 5)}


def train(folder: Path, ids: list[str], settings: dict, *, updates: int, seed: int, start=None):
    """Train on some pairs; `start` is a model to begin from. Returns the model and CPU seconds."""
    arrays = batches.open_arrays(folder, ids, image_size=settings["image_size"])
    epochs = epochs_for(updates, len(ids), settings["batch_size"])
    return experiments.train(arrays, settings, epochs=epochs, seed=seed, start=start)


def tasks(values: dict, folder: Path) -> Iterator[tuple[dict, Callable[[], dict]]]:
    """Give key and measure of each row, as `tables.remember_all` takes them."""
    manifest = datasets.load_manifest(folder)
    split, data = manifest["split"], f"sha {manifest['data_sha256'][:8]}"
    new = recipe(values) | {"image_size": SIZE}
    tuned = new | {"normalization": "none", "learning_rate": new["learning_rate"] * TUNED_RATE}
    updates = values["epochs"] * batches.steps_per_epoch(len(split["train"]), new["batch_size"])
    shipped = prediction.load(models.SHIPPED)

    def measure(count: int, seed: int, settings: dict, steps: int, start) -> dict:
        ids = draw(split["train"], count, seed)
        unet, seconds = train(folder, ids, settings, updates=steps, seed=seed, start=start)
        return score(unet, folder, split["validation"]) | {"seconds": round(seconds)}

    def key(kind: str, pairs: int, seed: int, steps: int, size: int = SIZE) -> dict:
        return {"kind": kind, "pairs": pairs, "seed": seed, "updates": steps, "size": size,
                "data": data}

    for size in (SIZE, shipped.input_shape[1]):
        yield key("shipped", 0, 0, 0, size), lambda size=size: score(
            prediction.resized(shipped, size), folder, split["validation"]) | {"seconds": 0}
    kinds = [("new", NEW, new, updates, None),
             ("tuned", TUNED, tuned, round(updates * TUNED_UPDATES), shipped)]
    for seed, (kind, counts, settings, steps, start) in itertools.product(SEEDS, kinds):
        for count in counts:
            if count <= len(split["train"]):
                given = (count, seed, settings, steps, start)
                yield key(kind, count, seed, steps), lambda given=given: measure(*given)


def main(file: str, table: str) -> None:
    """Measure all rows that the table lacks, and print each."""
    values = yaml.safe_load(Path(file).read_text("utf-8"))
    folder = workspace.data_dir(values["dataset"])
    for row in tables.remember_all(Path(table), tasks(values, folder)):
        print(*(f"{name} {row[name]} " for name in ("kind", "pairs", "seed", "dice")), flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
