"""A trained model on pictures in memory: load, predict, threshold, clean up.

A few pictures are in memory at a time, however many there are. Keras is imported where a model of
its own is opened or changed: a model that was exported predicts without it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from unet_lib import model_files, pixels, workspace

if TYPE_CHECKING:
    import keras


def load(path: Path) -> keras.Model:
    """Load a trained model for predicting; whoever made the file, none of its code runs.

    Args:
        path: a .keras file, such as a run's best.keras.

    Returns:
        An uncompiled model: (N, S, S, 1) float in [0, 1] in, (N, S, S, C) float out.

    Raises:
        FileNotFoundError: it is not there; notebook 04 makes it.
        ValueError: it is no model's file, is damaged, needs code of its own, or takes something
            else than one grey square.
    """
    import keras

    workspace.require_artifact(path, "04_train")
    try:
        model_files.check(path)
        unet = keras.models.load_model(path, compile=False, safe_mode=True)
    except model_files.Refused:
        raise
    except Exception as error:  # a cut file raises ValueError, KeyError, BadZipFile and others
        reason = re.split(r"\n|\. ", str(error))[0][:200]
        raise ValueError(
            f"{workspace.shown(path)} cannot be read as a Keras model ({type(error).__name__}:"
            f" {reason}); it is damaged, or newer than Keras {keras.__version__}; run"
            " notebooks/04_train.ipynb again, which mends a run's model where it can, or name"
            " another"
        ) from error
    model_files.check_shapes(path, unet.input_shape, unet.output_shape)
    return unet


def resized(unet: keras.Model, size: int) -> keras.Model:
    """Return the same model for another input size; the two share their weights.

    `predict_all` with one model at several sizes looks at each image coarsely and finely.

    Args:
        unet: any model from `build_unet`; other models if they are made of convolutions.
        size: side of the new input in px, a multiple of 16.

    Raises:
        ValueError: the model has a layer that fits one size only, or the size does not fit it.
    """
    import keras

    image = keras.Input((size, size, 1))
    inputs = [image] if isinstance(unet.input, list) else image  # Keras 3.10 loads it so
    try:
        copy = keras.models.clone_model(unet, inputs, clone_function=lambda layer: layer)
    except Exception as error:  # from Keras, or from what it runs on
        raise ValueError(
            f"{unet.name} cannot look at {size} x {size} px ({type(error).__name__}); use its own"
            f" size, {unet.input_shape[1]} px, or a model of convolutions and a multiple of 16"
        ) from error
    return copy


def predict(unet: keras.Model | Sequence[keras.Model], image: np.ndarray) -> np.ndarray:
    """Return the probability of lung at each pixel of one image.

    Args:
        unet: any model from `build_unet`, or several; see `predict_all`.
        image: (H, W) uint8 in [0, 255].

    Returns:
        (H, W) float32 in [0, 1]; of a model of several classes (H, W, C + 1), background first.
    """
    return next(predict_all(unet, [image]))


def predict_all(
    unet: keras.Model | Sequence[keras.Model],
    images: Iterable[np.ndarray],
    *,
    batch_size: int = 8,
) -> Iterator[np.ndarray]:
    """Give the probability of lung for each image, at its own size.

    Args:
        unet: any model from `build_unet`, or several, each with an input size of its own: the mean
            of their probabilities is given.
        images: (H, W) uint8 in [0, 255] each; sizes may differ. They are asked for as needed, so
            that a generator keeps no more than a batch in memory.
        batch_size: images that a model sees at once.

    Returns:
        For each image in turn (H, W) float32 in [0, 1]; of models of several classes (H, W, C + 1),
        background first.
    """
    unets = list(unet) if isinstance(unet, list | tuple) else [unet]
    images = iter(images)
    sizes = {model.input_shape[1] for model in unets}
    while batch := list(itertools.islice(images, batch_size)):
        seen = {s: pixels.to_float([pixels.resize_image(one, s) for one in batch]) for s in sizes}
        shapes = [image.shape for image in batch]
        batch.clear()  # before the next one is asked for
        found = [model.predict_on_batch(seen[model.input_shape[1]]) for model in unets]
        for shape, *probabilities in zip(shapes, *found, strict=True):
            mean, *others = (pixels.resize_probability(one, shape) for one in probabilities)
            for other in others:
                mean += other
            mean /= len(unets)
            yield mean


def predict_squares(unet: keras.Model, squares: np.ndarray, *, batch_size: int = 8) -> np.ndarray:
    """Return the probabilities of images that have the model's size already.

    Args:
        unet: any model from `build_unet`.
        squares: (N, S, S) uint8 in [0, 255], S being the model's size; may be memory-mapped.
        batch_size: images that the model sees at once.

    Returns:
        (N, S, S) float32 in [0, 1]; of a model of several classes (N, S, S, C + 1).
    """
    found = np.empty((*squares.shape, unet.output_shape[3]), np.float32)
    for start in range(0, len(squares), batch_size):
        part = slice(start, start + batch_size)
        found[part] = unet.predict_on_batch(pixels.to_float(squares[part]))
    return found[..., 0] if found.shape[3] == 1 else found


def to_mask(probability: np.ndarray, *, threshold: float = 0.5) -> np.ndarray:
    """Return the mask that a prediction stands for.

    Args:
        probability: (H, W) float in [0, 1], or of several classes (H, W, C + 1), background first.
        threshold: probability from which a pixel is foreground, where there is one class.

    Returns:
        (H, W) bool; of several classes (H, W) uint8, the number of the most probable one at each
        pixel, 0 for background.
    """
    if probability.ndim == 2:
        return probability >= threshold
    return probability.argmax(axis=2).astype(np.uint8)


def foreground(unet: keras.Model) -> keras.Model:
    """Return a model that gives the probability of all classes together, (N, S, S, 1).

    Args:
        unet: from `load` or `build_unet`; one of a single class is returned as it is. The two share
            their layers.
    """
    if unet.output_shape[3] == 1:
        return unet
    import keras

    together = keras.ops.sum(unet.output[..., 1:], axis=-1, keepdims=True)
    return keras.Model(unet.input, keras.ops.clip(together, 0, 1), name=unet.name)


def clean_up(prediction: np.ndarray, *, parts: int = 2) -> np.ndarray:
    """Keep the largest parts of a predicted mask and fill their holes.

    Args:
        prediction: (H, W) bool or {0, 1}, or uint8 numbers of several classes.
        parts: how many connected parts to keep (pixels that touch at a corner are connected): two
            lungs; so many of each class. Fewer are kept where there are fewer.

    Returns:
        (H, W) bool, or uint8 where there is a number above 1; a hole of one class that another
        fills stays with the other.
    """
    numbers = range(1, int(np.max(prediction, initial=0)) + 1)
    if len(numbers) > 1:
        cleaned = [clean_up(prediction == number, parts=parts) for number in numbers]
        joined = np.select([c & (prediction == n) for n, c in zip(numbers, cleaned, strict=True)]
                           + cleaned, [*numbers, *numbers], 0)
        return joined.astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.asarray(prediction, np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]  # 0 is what lies beside all parts
    kept = np.zeros(count, np.uint8)
    kept[1 + np.argsort(-areas, kind="stable")[:parts]] = 1
    edges, _ = cv2.findContours(kept[labels], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(labels.shape, np.uint8)
    return cv2.drawContours(filled, edges, -1, 1, cv2.FILLED).astype(bool)
