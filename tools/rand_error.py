"""Dice of membranes, and how well they part the cells: the adapted Rand error, after notebook 04.

    python tools/rand_error.py RUN

It is said of each validation pair of the run's data set, whose foreground must be the membranes.
Two pixels agree where truth and prediction both put them into one cell, or both into two; the error
is one less the F-score of the pairs of pixels in one cell. Cells are what is connected through the
sides of pixels when the membranes are taken away. Pixels of a true membrane are left out; where a
membrane is predicted, the nearest predicted cell counts, so that its thickness costs nothing.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy import ndimage, sparse

from unet_lib import datasets, metrics, prediction, runs, workspace


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


def measure(run: Path) -> dict[str, list[float]]:
    """Return Dice and Rand error of each validation pair of a finished run."""
    record, unet = runs.load_run(run), prediction.load(run / "best.keras")
    folder = workspace.data_dir(record["parameters"]["dataset"])
    manifest = datasets.load_manifest(folder)
    runs.require_same_data(record, manifest["data_sha256"])
    found = {"dice": [], "rand_error": []}
    for image, mask in datasets.read_pairs(folder, manifest["split"]["validation"]):
        membrane = prediction.to_mask(prediction.predict(unet, image))
        found["dice"].append(metrics.dice(mask, membrane))
        error = adapted_rand_error(cells(mask), cells(membrane, grow=True))
        found["rand_error"].append(error)
    return found


def main(name: str) -> None:
    """Print the figures of a run under runs/."""
    for measure_name, values in measure(workspace.run_dir(name)).items():
        each = " ".join(f"{value:.4f}" for value in values)
        print(f"{measure_name:<11} mean {np.mean(values):.4f}; each: {each}")


if __name__ == "__main__":
    main(*sys.argv[1:])
