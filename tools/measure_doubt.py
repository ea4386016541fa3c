"""Measure how often `predict` asks for a look at good, bad and foreign pictures.

    python tools/measure_doubt.py [--xrays FOLDER]

The shipped model marks phantoms that it was not trained on, foreign pictures drawn by code, and
with --xrays the validation pairs (425 / 75, split seed 0) of a folder that `python -m unet_lib
check` can read. Nothing is written. Three minutes on two cores.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "tests" / "commands"))

import cv2
import foreign
import numpy as np
from scipy import stats

from unet_lib import metrics, phantom
from unet_lib.commands import doubt, models
from unet_lib.intake import reading, splits, tree
from unet_lib.phantom import anatomy

DATA_SEED, PHANTOMS, DRAWN = 500, 300, 40  # the phantoms' seeds are (DATA_SEED, k)
GOOD, BAD = 0.93, 0.85  # Dice of masks that need no look, and of those that do


def judge_all(together: models.Together, images: list) -> list[tuple]:
    """Return the cleaned mask (H, W) bool and the judgement of each image (H, W) uint8."""
    found = []
    for image in images:
        chance = models.predict(together, image)
        mask = models.threshold(together, chance, 0.5)
        found.append((mask, doubt.judge(image, chance, mask, limits=together.limits)))
    return found


def rule(reason: str) -> str:
    """Return which rule gave a reason."""
    rules = ("nothing", "connected", "takes", "doubt", "inverted", "look like")
    return next(name for name in rules if name in reason)


def report(name: str, judged: list[tuple], truths: list | None = None) -> None:
    """Print how many are marked, by which rules, and how doubt ranks them."""
    marked = np.array([bool(verdict.reasons) for _, verdict in judged])
    rules = Counter(rule(reason) for _, verdict in judged for reason in verdict.reasons)
    said = ", ".join(f"{word} {number}" for word, number in rules.most_common())
    print(f"{name}: {marked.sum()} of {len(judged)} marked ({said or 'no rule'})", flush=True)
    if truths is None:
        return
    dice = [metrics.dice(truth, mask) for truth, (mask, _) in zip(truths, judged, strict=True)]
    dice, doubts = np.array(dice), np.array([verdict.doubt for _, verdict in judged])
    for what, chosen in ((f">= {GOOD}", dice >= GOOD), (f"< {BAD}", dice < BAD)):
        print(f"  Dice {what}: {marked[chosen].sum()} of {chosen.sum()} marked")
    rank = stats.spearmanr(doubts, dice).statistic
    print(f"  doubt against Dice: Spearman {rank:.2f}", end="")
    bad, others = doubts[dice < 0.9], doubts[dice >= 0.9]
    if len(bad):
        print(f"; {np.mean(bad[:, None] > others):.2f} of pairs about Dice 0.9 in order", end="")
    print(f"; 95th percentile where good {np.quantile(doubts[dice >= GOOD], 0.95):.3f}")


def draw(number: int, variety: str) -> tuple:
    """Draw a phantom: image, mask (H, W) bool, and the widest row of its heart in px."""
    hearts, chest = [], anatomy.chest

    def watched(*arguments, **options):
        parts = chest(*arguments, **options)
        hearts.append((parts[2] > 0.5) & (parts[3] < 0.5))  # above the domes
        return parts

    anatomy.chest = watched
    image, mask, _ = phantom.draw([DATA_SEED, number], size=256, variety=variety)
    anatomy.chest = chest
    return image, mask > 0, hearts[0].sum(1).max()


def report_ratio(judged: list[tuple], truths: list, hearts: list) -> None:
    """Print how far the ratio is from that of the true mask, and from the heart as drawn."""
    errors = []
    for (_, verdict), truth, heart in zip(judged, truths, hearts, strict=True):
        traced = doubt.ratio(truth)
        if verdict.ratio is not None and traced is not None:
            inner = cv2.boundingRect(truth.astype(np.uint8))[2]
            errors.append((verdict.ratio - traced, verdict.ratio - heart / inner))
    mean, far = np.abs(errors).mean(0), np.quantile(np.abs(errors), 0.95, axis=0)
    for k, what in enumerate(("the true mask's", "the drawn heart's")):
        print(f"  ratio less {what}: mean error {mean[k]:.3f}, 95th percentile {far[k]:.3f}")


def pairs_of(folder: Path) -> list[tuple]:
    """Read the validation pairs of a folder: images (H, W) uint8, masks (H, W) bool."""
    found = tree.find_tree(folder)
    pairs = []
    for name in splits.split_ids(found.masks)["validation"]:
        mask, *_ = found.masks[name]
        image, mask = reading.read_image(found.images[name])[0], cv2.imread(str(mask), 0) > 0
        pairs.append((image, mask))
    return pairs


def main(arguments: list[str] | None = None) -> None:
    """Judge phantoms, foreign pictures and, if named, X-rays."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--xrays", type=Path)
    xrays, together = parser.parse_args(arguments).xrays, models.load(None)
    chests = {}
    for variety in phantom.VARIETIES:
        images, truths, hearts = zip(*(draw(k, variety) for k in range(PHANTOMS)), strict=True)
        judged = judge_all(together, images)
        report(f"phantoms, {variety}", judged, truths)
        report_ratio(judged, truths, hearts)
        chests[f"phantoms, {variety}"] = images[:100]
    if xrays:
        images, truths = zip(*pairs_of(xrays), strict=True)
        report("validation pairs", judge_all(together, images), truths)
        chests["validation pairs"] = images
    for name, drawing in foreign.DRAWN.items():
        drawn = [drawing(np.random.default_rng([DATA_SEED, k])) for k in range(DRAWN)]
        report(name, judge_all(together, drawn))
    for source, images in chests.items():
        for name, change in foreign.CHANGED.items():
            report(f"{source}, {name}", judge_all(together, [change(image) for image in images]))


if __name__ == "__main__":
    main()
