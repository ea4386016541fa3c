"""Five-fold cross-validation of the recipe in a parameter file, after notebook 01 for its data.

    python tests/cross_validation.py notebooks/params/best.yaml results.csv

Each fold's model is scored after its last epoch at the masks' own size with a threshold of 0.5, so
nothing is chosen on the fold that scores it. Each fold is saved at once, and the same command goes
on after an interrupt. One fold takes as long as the training of notebook 04.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml

from unet_lib import dataset, experiments, images, metrics, paths

FOLDS = 5


def folds(ids: list[str]) -> list[list[str]]:
    """Deal ids into parts of equal size and equal shares of each class, whatever their order."""
    parts, rest = [], list(ids)
    for left in range(FOLDS, 1, -1):
        split = dataset.split_ids(rest, val_fraction=1 / left)
        parts.append(split["validation"])
        rest = split["train"]
    return [*parts, rest]


def recipe(values: dict) -> dict:
    """Return the settings for `experiments.train` that a parameter file of notebook 04 means."""
    known = {name: value for name, value in values.items() if name in experiments.SEED}
    return experiments.SEED | known | {"augment": "both" if values.get("augment") else "none"}


def measure(folder: Path, held_out: list[str], ids: list[str], values: dict) -> dict:
    """Train on all ids but the held-out ones; return the Dice of each held-out image."""
    rest, settings = [name for name in ids if name not in set(held_out)], recipe(values)
    arrays = images.open_arrays(folder, rest, image_size=settings["image_size"])
    epochs, seed = values["epochs"], values.get("seed", 0)
    unet, seconds = experiments.train(arrays, settings, epochs=epochs, seed=seed)
    pairs = experiments.read_pairs(folder, held_out)
    probabilities = experiments.predict(unet, pairs)
    found = [metrics.dice(m, p >= 0.5) for (_, m), p in zip(pairs, probabilities, strict=True)]
    return {"seconds": round(seconds), "dice": " ".join(f"{value:.5f}" for value in found)}


def main(file: str, table: str) -> None:
    values = yaml.safe_load(Path(file).read_text("utf-8"))
    folder = paths.data_dir(values["dataset"])
    split = dataset.load_manifest(folder)["split"]
    ids, scores = sorted(split["train"] + split["validation"]), []
    for number, held_out in enumerate(folds(ids), 1):
        key = {"file": Path(file).name, "fold": number}
        row = experiments.remember(
            Path(table), key, lambda held_out=held_out: measure(folder, held_out, ids, values)
        )
        found = [float(value) for value in row["dice"].split()]
        scores += found
        print(f"fold {number}: {len(found)} images, Dice {metrics.summarize(found)['mean']:.4f}")
    total = metrics.summarize(scores)
    print(f"all {total['n']}: {total['mean']:.4f} ({total['low']:.4f} to {total['high']:.4f}),"
          f" median {total['median']:.4f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
