"""When not to trust a predicted mask: one picture, its probability and its mask -> a judgement.

It rests on what is usual for the model: how large, how many parts and of which shape the masks were
that it learned from, and how its pictures looked (`usual`). Nothing here knows what a hand or a
photograph is; what is not like those pairs is told apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from unet_lib.commands import usual
from unet_lib.commands.usual import Limits, limits_for

__all__ = ["Judgement", "Limits", "judge", "limits_for", "looks_inverted", "ratio"]

_SIZE = 128  # px, side of the square on which confidence and doubt are measured
_FINE = 256  # px, the same for the width between the lungs
_NEGATIVE = -0.35  # a picture that is less like those of the training is inverted


@dataclass(frozen=True)
class Judgement:
    """What is said of one predicted mask.

    Confidence and doubt are measured on 128 x 128 px, to which probability and mask are brought by
    averaging.

    Attributes:
        parts: connected parts (pixels that touch at a corner are connected), not counting those
            that hold less than 1 % of the foreground.
        area_share: share of the picture that the foreground takes, in [0, 1].
        confidence_inside: mean probability inside the mask, in [0, 1]; 0 where it is empty.
        confidence_rim: mean of |2 p - 1| within 2 of the 128 px of the outline, in [0, 1]: 0
            where the model cannot tell inside from outside, 1 where it is sure; 0 without outline.
        doubt: 1 less the Dice that is expected if the probabilities are right, in [0, 1]:
            1 - 2 sum(p inside) / (pixels inside + sum(p everywhere)); 1 where the mask is empty.
        ratio: see `ratio`; None where chests are not what the model knows.
        reasons: why someone should look at it, a line each; empty where nothing speaks against it.
    """

    parts: int
    area_share: float
    confidence_inside: float
    confidence_rim: float
    doubt: float
    ratio: float | None
    reasons: tuple[str, ...]


def judge(
    image: np.ndarray, probability: np.ndarray, mask: np.ndarray, *, limits: Limits
) -> Judgement:
    """Judge a predicted mask by itself, its probability and the picture; nothing else has a say.

    Args:
        image: (H, W) uint8 in [0, 255].
        probability: (H, W) float32 in [0, 1], of all that is foreground.
        mask: (H, W) bool, as it is handed out.
        limits: what is usual for the model.
    """
    parts, share = usual.count_parts(mask), np.count_nonzero(mask) / mask.size
    chance, inside = usual.shrink(probability, _SIZE), usual.shrink(mask, _SIZE) >= 0.5
    sure, rim, doubt = _confidence(chance, inside)
    reasons = (*_odd_figures(parts, share, doubt, limits), *_odd_looks(image, mask, limits))
    width = ratio(mask) if limits.chests else None
    return Judgement(parts, share, sure, rim, doubt, width, reasons)


def looks_inverted(image: np.ndarray, limits: Limits) -> bool:
    """Tell whether a picture is bright where those of the training are dark, and dark where bright.

    Args:
        image: (H, W) uint8.
        limits: where they hold no mean picture, no picture is called inverted.
    """
    if limits.picture is None:
        return False
    return usual.alike(usual.shrink(image), limits.picture) < _NEGATIVE


def ratio(mask: np.ndarray) -> float | None:
    """Return the largest width between two lungs over the largest width from wall to wall.

    The width between them is taken along the rows of the upper 20 to 80 % of the height in which
    both lungs are: below, they run out beside the diaphragm. It is a cardiothoracic ratio as far
    as two outlines show one.

    Args:
        mask: (H, W) bool; the two largest of its parts are the lungs.

    Returns:
        A share in [0, 1], or None where no two parts lie beside each other.
    """
    small = usual.shrink(mask, min(_FINE, max(mask.shape))) >= 0.5
    _, places, stats, centres = cv2.connectedComponentsWithStats(small.astype(np.uint8))
    largest = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:2]
    if len(largest) < 2:
        return None
    left, right = (places == k for k in sorted(largest, key=lambda k: centres[k][0]))
    rows = np.flatnonzero(left.any(1) & right.any(1))
    if not len(rows):
        return None
    left, right = left[rows], right[rows]
    between = right.argmax(1) - (len(small) - left[:, ::-1].argmax(1))
    across = len(small) - right[:, ::-1].argmax(1) - left.argmax(1)
    fifth = len(rows) // 5
    return float(max(0, between[fifth : len(rows) - fifth].max()) / across.max())


def _odd_figures(parts: int, share: float, doubt: float, limits: Limits) -> Iterable[str]:
    """Say what is unusual about the figures of a mask."""
    if not parts:
        yield "nothing found"
        return
    if limits.parts is not None and parts != limits.parts:
        yield f"{parts} connected part{'s' * (parts > 1)} instead of {limits.parts}"
    if limits.area and not limits.area[0] <= share <= limits.area[1]:
        low, high = limits.area
        yield f"takes {share:.0%} of the picture, usual are {low:.0%} to {high:.0%}"
    if limits.doubt is not None and doubt > limits.doubt:
        yield f"doubt {doubt:.3f} is above {limits.doubt:g}"


def _odd_looks(image: np.ndarray, mask: np.ndarray, limits: Limits) -> Iterable[str]:
    """Say what is unusual about a picture and the shape of its mask."""
    if looks_inverted(image, limits):
        yield "looks inverted: try --invert auto"
    elif limits.shape is not None and mask.any():
        if usual.alike(usual.shape_of(mask), limits.shape) < limits.likeness:
            what = "a frontal chest" if limits.chests else "what the model was trained on"
            yield f"does not look like {what}"


def _confidence(chance: np.ndarray, inside: np.ndarray) -> tuple[float, float, float]:
    """Return confidence inside and on the rim, and doubt."""
    if not inside.any():
        return 0.0, 0.0, 1.0
    size, hit = np.count_nonzero(inside), float(chance[inside].sum())
    rim = cv2.morphologyEx(np.uint8(inside), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    edge = float(np.abs(2 * chance[rim] - 1).mean()) if rim.any() else 0.0
    return hit / size, edge, 1 - 2 * hit / (size + float(chance.sum()))
