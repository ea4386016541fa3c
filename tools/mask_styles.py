"""Which masks leave a narrow gap between the lungs, and how well a cross-validation scores them.

    make sweep SWEEP=workflow/sweeps/cross_validation.yaml
    python tools/mask_styles.py cross_validation

The masks of Shenzhen come in two styles, with and without the heart: a mask with the heart leaves
only a narrow gap between the lungs at its height. The Dice of all images, each from the model that
did not train on it, is given for both; the last line names those with a narrow gap.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from unet_lib import datasets, metrics, workspace
from unet_lib.series import points

NARROW = 0.3  # of the lungs' width: where a histogram of the gaps on Shenzhen has its valley


def read(sweep: str) -> tuple[dict[str, float], Path]:
    """Return the Dice of each image that a sweep's points scored, and a folder that holds its mask.

    Raises:
        SystemExit: the sweep is not done, or an image was scored twice: then it is more than one
            cross-validation.
    """
    home, scores, folder = workspace.run_dir(sweep), {}, None
    for name, point in points.read_json(home / "plan.json").get("points", {}).items():
        done = points.read_json(home / name / points.DONE)
        if not done.get("ok"):
            sys.exit(f"{name} is not done; the sweep's command goes on where it was")
        found = done["metrics"]["per_image"]
        if twice := scores.keys() & set(found["ids"]):
            sys.exit(f"{sweep} scored {min(twice)} twice; this needs one setting, one seed, folds")
        scores |= dict(zip(found["ids"], found["dice"], strict=True))
        folder = workspace.data_dir(point["dataset"])
    if folder is None:
        sys.exit(f"there is no sweep in {workspace.shown(home)}; run its file first")
    return scores, folder


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
          f" median {found['median']:.4f}")


def main(sweep: str) -> None:
    scores, folder = read(sweep)
    masks = folder / "train" / "masks"
    gaps = {name: gap(datasets.read_mask(masks / f"{name}.png")) for name in sorted(scores)}
    narrow = [name for name in gaps if gaps[name] < NARROW]
    show("all", list(scores.values()))
    show(f"gap below {NARROW}:", [scores[name] for name in narrow])
    show(f"gap of {NARROW} or more:", [scores[name] for name in gaps if gaps[name] >= NARROW])
    print("gap below", NARROW, "in", *narrow)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
