"""Dice of membranes, and how well they part the cells: the adapted Rand error, after notebook 04.

    python tools/rand_error.py RUN

It is said of the validation pairs of the run's data set, whose foreground must be the membranes,
at a threshold of 0.5 and at the one that parts the cells of the training pairs best: a gap of one
pixel joins two cells, so that a low threshold pays.

Two pixels agree where truth and prediction both put them into one cell, or both into two; the error
is one less the F-score of the pairs of pixels in one cell. Cells are what is connected through the
sides of pixels when the membranes are taken away. Pixels of a true membrane are left out; where a
membrane is predicted, the nearest predicted cell counts, so that its thickness costs nothing.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np
from scipy import ndimage, sparse

from unet_lib import datasets, metrics, prediction, runs, workspace

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


def cells(membrane: np.ndarray, *, grow: bool = False) -> np.ndarray:
    """Number the cells between membranes.

    Args:
        membrane: (H, W) bool or {0, 1}.
        grow: give the pixels of membranes the number of the nearest cell.

    Returns:
        (H, W) int, 0 on membranes.
    """
    found, count = ndimage.label(np.asarray(membrane) == 0)
    if grow and count:
        nearest = ndimage.distance_transform_edt(
            found == 0, return_distances=False, return_indices=True)
        found = found[tuple(nearest)]
    return found


def adapted_rand_error(truth: np.ndarray, found: np.ndarray) -> float:
    """Return the adapted Rand error of one segmentation against the true one, in [0, 1].

    Args:
        truth: (H, W) whole numbers of true segments; pixels of 0 are left out.
        found: (H, W) whole numbers of predicted segments; 0 is a segment as any other.

    Source:
        Arganda-Carreras et al., Frontiers in Neuroanatomy 2015; as `adapted_rand_error` of
        scikit-image computes it, which would be a dependency for this alone.
    """
    kept = truth > 0
    table = sparse.coo_matrix((np.ones(kept.sum()), (truth[kept], found[kept]))).tocsr()

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1)).sum())

    both = pairs(table.data)
    whole = pairs(np.asarray(table.sum(1))) + pairs(np.asarray(table.sum(0)))
    return 1 - 2 * both / whole if whole else 0.0


def measure(
    unet: keras.Model, pairs: Iterable[tuple[np.ndarray, np.ndarray]]
) -> dict[float, tuple[float, float]]:
    """Return mean Dice and mean Rand error of some pairs for each threshold.

    Args:
        unet: its foreground is the membranes.
        pairs: image and mask each, as `datasets.read_pairs` gives them.
    """
    rows = {threshold: [] for threshold in THRESHOLDS}
    for image, mask in pairs:
        probability, truth = prediction.predict(unet, image), cells(mask)
        for threshold, row in rows.items():
            membrane = prediction.to_mask(probability, threshold=threshold)
            error = adapted_rand_error(truth, cells(membrane, grow=True))
            row.append((metrics.dice(mask, membrane), error))
    return {threshold: tuple(np.mean(row, axis=0)) for threshold, row in rows.items()}


def main(name: str) -> None:
    """Print the figures of a run under runs/: at 0.5, and where training pairs part best."""
    run = workspace.run_dir(name)
    record, unet = runs.load_run(run), prediction.load(run / "best.keras")
    folder = workspace.data_dir(record["parameters"]["dataset"])
    manifest = datasets.load_manifest(folder)
    runs.require_same_data(record, manifest["data_sha256"])
    known, found = (measure(unet, datasets.read_pairs(folder, manifest["split"][part]))
                    for part in ("train", "validation"))
    chosen = min(known, key=lambda threshold: known[threshold][1])
    for threshold in (0.5, chosen):
        dice, error = found[threshold]
        print(f"validation, threshold {threshold}: Dice {dice:.3f}, Rand error {error:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
