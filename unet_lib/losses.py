"""What Keras trains with and watches: losses for each image, and the Dice of a batch."""

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
