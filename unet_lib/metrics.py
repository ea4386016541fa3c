"""How good is a mask? Measures per image, in NumPy.

Stated once for all: where truth and prediction are both empty, they agree: Dice, IoU, precision,
recall and surface Dice are 1, distances are 0. Where only one of them is empty, all is missed: the
shares are 0, and distances are the image's diagonal, so that means stay defined.
"""

import numpy as np
from scipy import ndimage, spatial, stats

MEASURES = ("dice", "iou", "precision", "recall", "accuracy")


def confusion(mask: np.ndarray, prediction: np.ndarray) -> tuple[int, int, int, int]:
    """Count the four kinds of pixel.

    Args:
        mask: (H, W) bool or {0, 1}, the truth.
        prediction: (H, W) bool or {0, 1}.

    Returns:
        True positives, false positives, false negatives, true negatives, in pixels.

    Raises:
        ValueError: the shapes differ, or a value is neither 0 nor 1.
    """
    mask, prediction = np.asarray(mask), np.asarray(prediction)
    if mask.shape != prediction.shape:
        raise ValueError(
            f"mask and prediction must have one shape, got {mask.shape} and {prediction.shape}; "
            "resize the prediction to the mask's own size"
        )
    for name, array in (("mask", mask), ("prediction", prediction)):
        if array.dtype != bool and not np.isin(array, (0, 1)).all():
            raise ValueError(
                f"{name} must hold only 0 and 1, got values from {array.min()} to {array.max()}; "
                "threshold it first, for example at half its range; of several classes compare one "
                "at a time, mask == 1"
            )
    mask, prediction = mask.astype(bool), prediction.astype(bool)
    true_positive = int(np.sum(mask & prediction))
    false_positive = int(np.sum(prediction)) - true_positive
    false_negative = int(np.sum(mask)) - true_positive
    true_negative = mask.size - true_positive - false_positive - false_negative
    return true_positive, false_positive, false_negative, true_negative


def score(mask: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Score one predicted mask against the truth.

    Args:
        mask: (H, W) bool or {0, 1}, the truth.
        prediction: (H, W) bool or {0, 1}.

    Returns:
        dice, iou, precision, recall, accuracy: each a share in [0, 1].

    Raises:
        ValueError: as `confusion`.
    """
    tp, fp, fn, tn = confusion(mask, prediction)
    empty = tp + fp + fn == 0

    def share(part: int, whole: int) -> float:
        return 1.0 if empty else part / whole if whole else 0.0

    return {
        "dice": share(2 * tp, 2 * tp + fp + fn),
        "iou": share(tp, tp + fp + fn),
        "precision": share(tp, tp + fp),
        "recall": share(tp, tp + fn),
        "accuracy": (tp + tn) / (tp + fp + fn + tn),
    }


def dice(mask: np.ndarray, prediction: np.ndarray) -> float:
    """Return twice the overlap divided by the sum of both areas, in [0, 1]; see `score`."""
    return score(mask, prediction)["dice"]


def outline(mask: np.ndarray) -> np.ndarray:
    """Return the outermost pixels of a mask: those with a background pixel above, below or beside.

    Args:
        mask: (H, W) bool or {0, 1}; beyond the image's edge is background.

    Returns:
        (H, W) bool.
    """
    mask = np.asarray(mask, bool)
    return mask & ~ndimage.binary_erosion(mask)


def surface_distances(mask: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure from each outline pixel to the nearest one of the other outline.

    Args:
        mask: (H, W) bool or {0, 1}, the truth, not empty.
        prediction: (H, W) bool or {0, 1}, not empty.

    Returns:
        Distances in pixels (Euclidean, between pixel centres): from the truth's outline to the
        prediction's, and back. Two 1-D float arrays, one number per outline pixel.
    """
    points = [np.argwhere(outline(one)) for one in (mask, prediction)]
    # of the outlines' pixels alone: a map of all distances costs half a gigabyte at 3000 x 3000 px
    truth, predicted = (spatial.KDTree(one) for one in points)
    return predicted.query(points[0])[0], truth.query(points[1])[0]


def surface_score(
    mask: np.ndarray, prediction: np.ndarray, *, tolerance: float
) -> dict[str, float]:
    """Score one predicted outline against the true one.

    Args:
        mask: (H, W) bool or {0, 1}, the truth.
        prediction: (H, W) bool or {0, 1}.
        tolerance: distance in pixels up to which an outline pixel counts as right.

    Returns:
        hd95: the 95th percentile of the distances, for the worse of the two directions, in pixels.
        assd: average symmetric surface distance, the mean of all distances, in pixels.
        surface_dice: share of all outline pixels within the tolerance, in [0, 1].

    Raises:
        ValueError: as `confusion`.

    Source:
        The definitions are those of Maier-Hein, Reinke et al., "Metrics reloaded", Nature Methods
        2024, on pixels of the outline.
    """
    tp, fp, fn, _ = confusion(mask, prediction)
    if tp + fp + fn == 0:
        return {"hd95": 0.0, "assd": 0.0, "surface_dice": 1.0}
    if tp + fp == 0 or tp + fn == 0:
        diagonal = float(np.hypot(*np.shape(mask)))
        return {"hd95": diagonal, "assd": diagonal, "surface_dice": 0.0}
    both = surface_distances(mask, prediction)
    pooled = np.concatenate(both)
    return {
        "hd95": float(max(np.percentile(distances, 95) for distances in both)),
        "assd": float(pooled.mean()),
        "surface_dice": float((pooled <= tolerance).mean()),
    }


def summarize(values: list[float], *, seed: int = 0) -> dict[str, float]:
    """Summarize one measure over images.

    Args:
        values: one number per image, at least one.
        seed: seed of the bootstrap.

    Returns:
        mean, median, low, high (a 95 % interval of the mean: percentile bootstrap over images,
        2,000 resamples) and n. With fewer than two images the interval is the value itself.
    """
    values = np.asarray(values, float)
    low = high = values.mean()
    if len(values) > 1:
        interval = stats.bootstrap(
            (values,),
            np.mean,
            n_resamples=2000,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low, high = interval.low, interval.high
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "low": float(low),
        "high": float(high),
        "n": len(values),
    }
