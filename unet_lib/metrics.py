"""How good is a mask? Measures per image in NumPy, and the loss and metric that Keras trains with.

Stated once for all: where truth and prediction are both empty, they agree: Dice, IoU, precision,
recall and surface Dice are 1, distances are 0. Where only one of them is empty, all is missed: the
shares are 0, and distances are the image's diagonal, so that means stay defined.
"""

import keras
import numpy as np
from keras import ops
from scipy import ndimage, optimize, special, stats

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
    lines = outline(mask), outline(prediction)
    to_truth, to_prediction = (ndimage.distance_transform_edt(~line) for line in lines)
    return to_prediction[lines[0]], to_truth[lines[1]]


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


def reliability(masks: np.ndarray, probabilities: np.ndarray, *, bins: int = 15) -> dict:
    """Compare what a model says with how often it is right, over pixels.

    Args:
        masks: any shape, bool or {0, 1}, the truth.
        probabilities: the same shape, float in [0, 1], of lung.
        bins: number of equally wide bins of probability.

    Returns:
        said: (bins,) float, mean probability in each bin; found: (bins,) float, share of lung;
        share: (bins,) float, share of all pixels, summing to 1; `said` and `found` are NaN in an
        empty bin. error: the expected calibration error, the mean of |said - found| over pixels.

    Source:
        Guo et al., arXiv:1706.04599, who bin the confidence of the predicted class; here it is the
        probability of lung, so that both ends are seen.
    """
    masks, probabilities = np.ravel(masks), np.ravel(probabilities)
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        said = np.bincount(index, probabilities, minlength=bins) / count
        found = np.bincount(index, masks, minlength=bins) / count
    share = count / count.sum()
    error = float(np.nansum(share * np.abs(said - found)))
    return {"said": said, "found": found, "share": share, "error": error}


def cool(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits of probabilities by a temperature.

    Args:
        probabilities: any shape, float in [0, 1].
        temperature: above 1 makes them less sure, below 1 surer; 0.5 stays 0.5 at any.

    Returns:
        The same shape, float64 in (0, 1).
    """
    logits = special.logit(np.clip(np.asarray(probabilities, float), 1e-7, 1 - 1e-7))
    return special.expit(logits / temperature)


def fit_temperature(masks: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the temperature at which the cross-entropy is lowest, between 0.05 and 20.

    Args:
        masks: any shape, bool or {0, 1}, the truth of images that the model was not trained on.
        probabilities: the same shape, float in [0, 1].

    Returns:
        A temperature for `cool`.

    Source:
        Guo et al., arXiv:1706.04599.
    """
    sign = 1 - 2 * np.ravel(masks).astype(float)  # the loss of a pixel is log(1 + exp(sign logit))
    logits = special.logit(np.clip(np.ravel(probabilities).astype(float), 1e-7, 1 - 1e-7))

    def entropy(log_temperature: float) -> float:
        return float(np.logaddexp(0, sign * logits / np.exp(log_temperature)).mean())

    found = optimize.minimize_scalar(entropy, bounds=np.log([0.05, 20]), method="bounded")
    return float(np.exp(found.x))


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
    return ops.mean(entropy, axis=(1, 2)) + soft_dice(mask, probability)


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


@keras.saving.register_keras_serializable("unet_lowered")
def soft_dice(mask, probability):
    """Return the soft Dice loss alone, for each image; arguments and result as for `bce_dice`."""
    return keras.losses.dice(mask, probability, axis=(1, 2, 3))


LOSSES = {
    "bce": "binary_crossentropy",
    "bce_dice": bce_dice,
    "dice": soft_dice,
    "focal": "binary_focal_crossentropy",
}
