"""A trained model on pictures in memory: the only place that predicts.

A few pictures are in memory at a time, however many there are and however large.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
from scipy import ndimage

from unet_lib import (
    losses,  # noqa: F401  Keras finds a saved model's losses once it is imported
    pixels,
    workspace,
)


def load(path: Path) -> keras.Model:
    """Load a trained model.

    Args:
        path: a .keras file, such as a run's best.keras.

    Raises:
        FileNotFoundError: it is not there; notebook 04 makes it.
        ValueError: it is there but cannot be read.
    """
    workspace.require_artifact(path, "04_train")
    try:
        return keras.models.load_model(path)
    except Exception as error:  # a cut file raises ValueError, KeyError, BadZipFile and others
        raise ValueError(
            f"{workspace.shown(path)} cannot be read as a Keras model ({type(error).__name__}:"
            f" {error}); it is damaged or no .keras file. Run notebooks/04_train.ipynb again, which"
            " mends a run's model where it can, or name another"
        ) from error


def predict(unet: keras.Model, image: np.ndarray) -> np.ndarray:
    """Return the probability of lung at each pixel of one image.

    Args:
        unet: any model from `build_unet`.
        image: (H, W) uint8 in [0, 255].

    Returns:
        (H, W) float32 in [0, 1].
    """
    return next(predict_all(unet, [image]))


def predict_all(
    unet: keras.Model, images: Iterable[np.ndarray], *, batch_size: int = 8
) -> Iterator[np.ndarray]:
    """Give the probability of lung for each image, at its own size.

    Args:
        unet: any model from `build_unet`.
        images: (H, W) uint8 in [0, 255] each; sizes may differ. They are asked for as needed, so
            that a generator keeps no more than a batch in memory.
        batch_size: images that the model sees at once.

    Returns:
        For each image in turn (H, W) float32 in [0, 1].
    """
    size, images = unet.input_shape[1], iter(images)
    while batch := list(itertools.islice(images, batch_size)):
        small = pixels.to_float([pixels.resize_image(image, size) for image in batch])
        shapes = [image.shape for image in batch]
        batch.clear()  # before the next one is asked for
        for shape, probability in zip(shapes, unet.predict_on_batch(small), strict=True):
            yield pixels.resize_probability(probability, shape)


def predict_squares(unet: keras.Model, squares: np.ndarray, *, batch_size: int = 8) -> np.ndarray:
    """Return the probabilities of images that have the model's size already.

    Args:
        unet: any model from `build_unet`.
        squares: (N, S, S) uint8 in [0, 255], S being the model's size; may be memory-mapped.
        batch_size: images that the model sees at once.

    Returns:
        (N, S, S) float32 in [0, 1].
    """
    found = np.empty(squares.shape, np.float32)
    for start in range(0, len(squares), batch_size):
        part = slice(start, start + batch_size)
        found[part] = unet.predict_on_batch(pixels.to_float(squares[part]))[..., 0]
    return found


def clean_up(prediction: np.ndarray, *, parts: int = 2) -> np.ndarray:
    """Keep the largest parts of a predicted mask and fill their holes.

    Args:
        prediction: (H, W) bool or {0, 1}.
        parts: how many connected parts to keep (pixels that touch at a corner are connected): two
            lungs. Fewer are kept where there are fewer.

    Returns:
        (H, W) bool.
    """
    labels, _ = ndimage.label(prediction, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    largest = 1 + np.argsort(-sizes, kind="stable")[:parts]
    return ndimage.binary_fill_holes(np.isin(labels, largest))
