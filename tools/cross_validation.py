"""Five-fold cross-validation of the recipe in a parameter file, after notebook 01 for its data.

    python tools/cross_validation.py notebooks/params/best.yaml results.csv

Each fold's model is scored after its last epoch at the masks' own size with a threshold of 0.5, so
nothing is chosen on the fold that scores it. Each fold is saved at once, and the same command goes
on after an interrupt. One fold takes as long as the training of notebook 04.

The masks of Shenzhen come in two styles, with and without the heart, so the Dice is also given for
each: a mask with the heart leaves only a narrow gap between the lungs at its height. The last line
names those.
"""

import itertools
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import yaml

from unet_lib import batches, datasets, experiments, metrics, prediction, workspace
from unet_lib.intake import splits

FOLDS = 5
NARROW = 0.3  # of the lungs' width: where a histogram of the gaps on Shenzhen has its valley


def folds(ids: list[str]) -> list[list[str]]:
    """Deal ids into parts of equal size and equal shares of each class, whatever their order."""
    parts, rest = [], list(ids)
    for left in range(FOLDS, 1, -1):
        split = splits.split_ids(rest, val_fraction=1 / left)
        parts.append(split["validation"])
        rest = split["train"]
    return [*parts, rest]


def recipe(values: dict) -> dict:
    """Return the settings for `experiments.train` that a parameter file of notebook 04 means."""
    known = {name: value for name, value in values.items() if name in experiments.ORIGINAL}
    return experiments.ORIGINAL | known | {"augment": "both" if values.get("augment") else "none"}


def measure(folder: Path, held_out: list[str], ids: list[str], values: dict) -> dict:
    """Train on all ids but the held-out ones; return the Dice of each held-out image."""
    rest, settings = [name for name in ids if name not in set(held_out)], recipe(values)
    arrays = batches.open_arrays(folder, rest, image_size=settings["image_size"])
    epochs, seed = values["epochs"], values.get("seed", 0)
    unet, seconds = experiments.train(arrays, settings, epochs=epochs, seed=seed)
    pairs, again = itertools.tee(datasets.read_pairs(folder, held_out))  # a batch apart at most
    probabilities = prediction.predict_all(unet, (image for image, _ in again))
    found = [metrics.dice(m, p >= 0.5) for (_, m), p in zip(pairs, probabilities, strict=True)]
    return {"seconds": round(seconds), "dice": " ".join(f"{value:.5f}" for value in found)}


def gap(mask: np.ndarray) -> float:
    """Return the gap between the lungs at the height of the heart, as a share of their width.

    Args:
        mask: (H, W), 0 and anything else, not all 0.

    Returns:
        The widest run of background between mask pixels of one row, in the rows between 60 and
        70 % of the lungs' height.
    """
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    height = rows[-1] + 1 - rows[0]
    level = mask[rows[0] + int(0.6 * height) : rows[0] + int(0.7 * height) + 1]
    runs = [np.diff(np.flatnonzero(row)) - 1 for row in level]
    widest = max(run.max(initial=0) for run in runs)
    return float(widest / (columns[-1] + 1 - columns[0]))


def show(name: str, scores: list[float]) -> None:
    """Print how many scores there are, their mean with its interval, and their median."""
    if not scores:
        print(name, 0)
        return
    found = metrics.summarize(scores)
    print(f"{name} {found['n']}: {found['mean']:.4f} ({found['low']:.4f} to {found['high']:.4f}),"
          f" median {found['median']:.4f}", flush=True)


def main(file: str, table: str) -> None:
    values = yaml.safe_load(Path(file).read_text("utf-8"))
    folder = workspace.data_dir(values["dataset"])
    split = datasets.load_manifest(folder)["split"]
    used = json.dumps(recipe(values) | {name: values.get(name) for name in ("epochs", "seed")})
    ids, scores = sorted(split["train"] + split["validation"]), {}
    for number, held_out in enumerate(folds(ids), 1):
        key = {"file": Path(file).name, "recipe": used, "fold": number}
        row = experiments.remember(
            Path(table), key, lambda held_out=held_out: measure(folder, held_out, ids, values)
        )
        found = [float(value) for value in str(row["dice"]).split()]
        show(f"fold {number}:", found)
        scores.update(zip(held_out, found, strict=True))
    show("all", list(scores.values()))
    masks = folder / "train" / "masks"
    gaps = {name: gap(datasets.read_mask(masks / f"{name}.png")) for name in ids}
    narrow = [name for name in ids if gaps[name] < NARROW]
    show(f"gap below {NARROW}:", [scores[name] for name in narrow])
    show(f"gap of {NARROW} or more:", [scores[name] for name in ids if gaps[name] >= NARROW])
    print("gap below", NARROW, "in", *narrow)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
