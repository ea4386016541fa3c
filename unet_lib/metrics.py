"""How good is a mask? Measures per image in NumPy, and the loss and metric that Keras trains with.

Stated once for all: where truth and prediction are both empty, Dice, IoU, precision and recall are
1; where only one of them is empty, they are 0.
"""

import keras
import numpy as np
from keras import ops
from scipy import stats

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
        if not np.isin(array, (0, 1)).all():
            raise ValueError(
                f"{name} must hold only 0 and 1, got values from {array.min()} to {array.max()}; "
                "threshold it first, for example at half its range"
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


def iou(mask: np.ndarray, prediction: np.ndarray) -> float:
    """Return intersection over union (Jaccard index), in [0, 1]; see `score`."""
    return score(mask, prediction)["iou"]


def accuracy(mask: np.ndarray, prediction: np.ndarray) -> float:
    """Return the share of pixels that agree, in [0, 1]; see `score`."""
    return score(mask, prediction)["accuracy"]


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


@keras.saving.register_keras_serializable("unet_lowered")
def bce_dice(mask, probability):
    """Return binary cross-entropy plus soft Dice loss, for each image.

    Args:
        mask: (N, H, W, 1) float in {0, 1}.
        probability: (N, H, W, 1) float in [0, 1].

    Returns:
        (N,) float. The Dice part is computed for each image and then averaged, not pooled over the
        batch as `keras.losses.Dice` does by default.
    """
    entropy = keras.losses.binary_crossentropy(mask, probability)
    return ops.mean(entropy, axis=(1, 2)) + keras.losses.dice(mask, probability, axis=(1, 2, 3))


@keras.saving.register_keras_serializable("unet_lowered")
def batch_dice(mask, probability):
    """Return the Dice of the mask thresholded at 0.5, for each image: a Keras metric.

    Args:
        mask: (N, H, W, 1) float in {0, 1}.
        probability: (N, H, W, 1) float in [0, 1].

    Returns:
        (N,) float in [0, 1], equal to `dice` image by image.
    """
    mask = ops.cast(mask, "float32")
    prediction = ops.cast(probability >= 0.5, "float32")
    overlap = ops.sum(mask * prediction, axis=(1, 2, 3))
    areas = ops.sum(mask, axis=(1, 2, 3)) + ops.sum(prediction, axis=(1, 2, 3))
    return ops.where(areas > 0, 2 * overlap / ops.maximum(areas, 1), 1.0)


LOSSES = {"bce": "binary_crossentropy", "bce_dice": bce_dice}
