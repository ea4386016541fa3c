"""Picture <-> model size: resizing images, masks and probabilities."""

import cv2
import numpy as np


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Resize a grey image to a square; the sides are scaled separately, nothing is cut off.

    Args:
        image: (H, W) uint8.
        size: side of the result in px.

    Returns:
        (size, size) uint8, area-averaged when shrinking, bilinear when enlarging.
    """
    shrink = size <= min(image.shape)
    return cv2.resize(
        image, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    )


def resize_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Resize a mask to a square; no value arises that it did not hold.

    Args:
        mask: (H, W) uint8 in {0, 1}, or numbers of classes.
        size: side of the result in px.

    Returns:
        (size, size) uint8 in {0, 1}: a pixel is lung where at least half of what it covers is. Of
        several classes and background each pixel gets the one that covers most of it.

    Source:
        The original resized masks bilinearly and kept the grey rim; see notebook 01.
    """
    if mask.max(initial=0) <= 1:
        return (resize_image(mask * np.uint8(255), size) >= 128).astype(np.uint8)
    held = np.unique(mask)
    shares = [resize_image(np.uint8(255) * (mask == value), size) for value in held]
    return held[np.argmax(shares, axis=0)]


def resize_probability(probability: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bring a predicted probability back to an image's own size, bilinearly.

    Args:
        probability: (S, S) or (S, S, 1) float in [0, 1], or (S, S, C) of several classes.
        shape: (H, W) of the image, in px.

    Returns:
        (H, W) float32 in [0, 1], or (H, W, C).
    """
    height, width = shape
    squeezed = np.asarray(probability, np.float32)
    if squeezed.ndim == 3 and squeezed.shape[2] == 1:
        squeezed = squeezed[..., 0]
    return cv2.resize(squeezed, (width, height), interpolation=cv2.INTER_LINEAR)


def to_float(images: np.ndarray) -> np.ndarray:
    """Scale grey images for the model: (N, S, S) uint8 to (N, S, S, 1) float32 in [0, 1]."""
    return np.asarray(images, np.float32)[..., np.newaxis] / 255
