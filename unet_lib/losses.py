"""What Keras trains with and watches: losses for each image, and the Dice of a batch.

Of several classes the masks hold numbers, 0 for background, and the probabilities are a softmax
over background and classes.
"""

from collections.abc import Sequence

import keras
from keras import ops


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
        mask: (N, H, W, 1) float in {0, 1}, or numbers of classes.
        probability: (N, H, W, 1) float in [0, 1], or of several classes (N, H, W, C + 1).

    Returns:
        (N,) float in [0, 1], equal to `dice` image by image. Of several classes each pixel belongs
        to the most probable, and the mean of their Dice is given.
    """
    channels = probability.shape[-1]
    if channels > 1:
        mask = _one_hot(mask, channels)
        prediction = ops.one_hot(ops.argmax(probability, axis=-1), channels)[..., 1:]
    else:
        mask = ops.cast(mask, "float32")
        prediction = ops.cast(probability >= 0.5, "float32")
    overlap = ops.sum(mask * prediction, axis=(1, 2))
    areas = ops.sum(mask, axis=(1, 2)) + ops.sum(prediction, axis=(1, 2))
    return ops.mean(ops.where(areas > 0, 2 * overlap / ops.maximum(areas, 1), 1.0), axis=-1)


@keras.saving.register_keras_serializable("unet_lowered")
def soft_dice(mask, probability):
    """Return the soft Dice loss alone, for each image; arguments and result as for `bce_dice`."""
    return keras.losses.dice(mask, probability, axis=(1, 2, 3))


def _one_hot(mask, channels: int):
    """Return (N, H, W, C) float32 in {0, 1}, one channel a class, of (N, H, W, 1) numbers."""
    return ops.one_hot(ops.cast(mask[..., 0], "int32"), channels)[..., 1:]


@keras.saving.register_keras_serializable("unet_lowered")
def classes_dice(mask, probability):
    """Return one less the soft Dice of the classes, averaged over them, for each image.

    Args:
        mask: (N, H, W, 1) float, numbers of classes.
        probability: (N, H, W, C + 1) float in [0, 1].

    Returns:
        (N,) float. A class that an image lacks adds a constant: it has no pixel to overlap with.
    """
    mask, probability = _one_hot(mask, probability.shape[-1]), probability[..., 1:]
    return ops.mean(keras.losses.dice(mask, probability, axis=(1, 2)), axis=-1)


@keras.saving.register_keras_serializable("unet_lowered")
def classes_entropy_dice(mask, probability):
    """Return cross-entropy plus soft Dice loss, for each image; arguments as `classes_dice`."""
    entropy = keras.losses.sparse_categorical_crossentropy(mask, probability)
    return ops.mean(entropy, axis=(1, 2)) + classes_dice(mask, probability)


@keras.saving.register_keras_serializable("unet_lowered")
def classes_focal(mask, probability):
    """Return the focal loss (gamma 2, every class weighs the same) at each pixel: (N, H, W) float.

    Arguments as for `classes_dice`.
    """
    entropy = keras.losses.sparse_categorical_crossentropy(mask, probability)
    return (1 - ops.exp(-entropy)) ** 2 * entropy


LOSSES = {
    "bce": "binary_crossentropy",
    "bce_dice": bce_dice,
    "dice": soft_dice,
    "focal": "binary_focal_crossentropy",
}

CLASSES_LOSSES = {
    "bce": "sparse_categorical_crossentropy",
    "bce_dice": classes_entropy_dice,
    "dice": classes_dice,
    "focal": classes_focal,
}


def choose(name: str, *, classes: Sequence[str] = ()):
    """Return the loss of a name: over several classes cross-entropy takes the place of binary.

    Args:
        name: "bce", "bce_dice", "dice" or "focal".
        classes: names of the classes that the masks tell apart; none for one.
    """
    return (CLASSES_LOSSES if len(classes) > 1 else LOSSES)[name]
