"""From PNG files to batches: resizing, arrays on disk, and one augmentation for image and mask."""

import hashlib
import os
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf
from scipy import ndimage

from unet_lib import dataset


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
    """Resize a mask to a square and keep it binary.

    Args:
        mask: (H, W) uint8 in {0, 1}.
        size: side of the result in px.

    Returns:
        (size, size) uint8 in {0, 1}: a pixel is lung where at least half of what it covers is.

    Source:
        The seed resized masks bilinearly and kept the grey rim; see notebook 01.
    """
    return (resize_image(mask * np.uint8(255), size) >= 128).astype(np.uint8)


def resize_probability(probability: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bring a predicted probability back to an image's own size, bilinearly.

    Args:
        probability: (S, S) or (S, S, 1) float in [0, 1].
        shape: (H, W) of the image, in px.

    Returns:
        (H, W) float32 in [0, 1].
    """
    height, width = shape
    squeezed = np.asarray(probability, np.float32).reshape(probability.shape[:2])
    return cv2.resize(squeezed, (width, height), interpolation=cv2.INTER_LINEAR)


def clean_up(prediction: np.ndarray, *, parts: int = 2) -> np.ndarray:
    """Keep the largest parts of a predicted mask and fill their holes.

    Args:
        prediction: (H, W) bool or {0, 1}.
        parts: how many connected parts to keep (pixels that touch at a corner are connected): two
            lungs. Fewer are kept where there are fewer.

    Returns:
        (H, W) bool.
    """
    labels, count = ndimage.label(prediction, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    largest = 1 + np.argsort(-sizes, kind="stable")[:parts]
    return ndimage.binary_fill_holes(np.isin(labels, largest))


def open_arrays(folder: Path, ids: list[str], *, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Open the training pairs as arrays that stay on disk.

    The first call resizes the PNG files, one pair at a time, and stores the arrays beside them;
    later calls only map the files into memory.

    Args:
        folder: a data set made by notebook 01.
        ids: the pairs wanted, in this order.
        image_size: side in px.

    Returns:
        images: (N, image_size, image_size) uint8 in [0, 255], memory-mapped, read-only.
        masks: the same shape, uint8 in {0, 1}.
    """
    manifest = dataset.load_manifest(folder)
    key = hashlib.sha256("\n".join([manifest["data_sha256"], *ids]).encode()).hexdigest()[:12]
    files = [folder / "arrays" / f"{image_size}px-{key}-{kind}.npy" for kind in ("images", "masks")]
    if not all(file.exists() for file in files):
        _write_arrays(folder, ids, image_size, files)
    return tuple(np.load(file, mmap_mode="r") for file in files)


def _write_arrays(folder: Path, ids: list[str], image_size: int, files: list[Path]) -> None:
    files[0].parent.mkdir(exist_ok=True)
    partial = [file.with_suffix(f".partial-{os.getpid()}") for file in files]
    shape = (len(ids), image_size, image_size)
    arrays = [np.lib.format.open_memmap(p, "w+", np.uint8, shape) for p in partial]
    for row, name in enumerate(ids):
        image = dataset.read_image(folder / "train" / "images" / f"{name}.png")
        mask = dataset.read_mask(folder / "train" / "masks" / f"{name}.png")
        arrays[0][row], arrays[1][row] = (
            resize_image(image, image_size),
            resize_mask(mask, image_size),
        )
    for array, source, target in zip(arrays, partial, files, strict=True):
        array.flush()
        os.replace(source, target)


def to_float(images: np.ndarray) -> np.ndarray:
    """Scale grey images for the model: (N, S, S) uint8 to (N, S, S, 1) float32 in [0, 1]."""
    return np.asarray(images, np.float32)[..., np.newaxis] / 255


def evaluation_batches(
    images: np.ndarray, masks: np.ndarray, *, batch_size: int
) -> tf.data.Dataset:
    """Batches in order, each pair once.

    Args:
        images: (N, S, S) uint8 in [0, 255], may be memory-mapped.
        masks: (N, S, S) uint8 in {0, 1}.
        batch_size: pairs per batch; the last batch may be smaller.

    Returns:
        A data set of (image, mask), each (B, S, S, 1) float32, in [0, 1] and {0, 1}.
    """
    rows = tf.data.Dataset.range(len(images)).batch(batch_size)
    return rows.map(_loader(images, masks)).prefetch(tf.data.AUTOTUNE)


def training_batches(
    images: np.ndarray,
    masks: np.ndarray,
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    first_epoch: int = 0,
    augment: "Augmentation | None" = None,
) -> tf.data.Dataset:
    """Batches of all epochs in one stream, shuffled anew for each epoch.

    Order and augmentation are a function of (seed, epoch, step) alone: a run that resumes at
    `first_epoch` sees what an uninterrupted run would have seen.

    Args:
        images: (N, S, S) uint8 in [0, 255], may be memory-mapped.
        masks: (N, S, S) uint8 in {0, 1}.
        batch_size: pairs per batch; the last batch of an epoch may be smaller.
        epochs: number of the last epoch, counted from 1.
        seed: any whole number.
        first_epoch: epochs already done.
        augment: what to do to each batch, if anything.

    Returns:
        A data set of (image, mask) as in `evaluation_batches`, with `steps_per_epoch(N,
        batch_size)` batches for each epoch.
    """
    count, steps = len(images), steps_per_epoch(len(images), batch_size)

    def one_epoch(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(count), tf.stack([seed, epoch]))
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size).enumerate(epoch * steps)

    load = _loader(images, masks)

    def one_batch(step, rows):
        image, mask = load(rows)
        return augment(image, mask, seed=(seed, step)) if augment else (image, mask)

    stream = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return stream.map(one_batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Return the number of batches that hold `count` pairs; the last may be smaller."""
    return -(-count // batch_size)


def _loader(images: np.ndarray, masks: np.ndarray):
    shape = (None, *images.shape[1:], 1)

    def gather(rows):
        return to_float(images[rows]), masks[rows][..., np.newaxis].astype(np.float32)

    def load(rows):
        image, mask = tf.numpy_function(gather, [rows], [tf.float32, tf.float32])
        return tf.ensure_shape(image, shape), tf.ensure_shape(mask, shape)

    return load


class Augmentation:
    """One random transformation for each pair, of image and mask alike.

    Rotation by up to 6 degrees, zoom by up to 12 %, shift by up to 6 % of the side; then, on the
    image alone, contrast by up to 25 %, brightness by up to 0.1, gamma with an exponent from 0.75
    to 1.33. What the geometry uncovers is black, as beyond a collimator. No flip: the heart is on
    the left.

    Args:
        kind: "geometry", "intensity" or "both".
        strength: factor on every range, above 0 and below 4, where contrast would reach 100 %.

    Raises:
        ValueError: an argument is outside what is said above.
    """

    def __init__(self, kind: str = "both", *, strength: float = 1.0):
        if kind not in ("geometry", "intensity", "both"):
            raise ValueError(f"kind must be 'geometry', 'intensity' or 'both', got {kind!r}")
        if not 0 < strength < 4:
            raise ValueError(
                f"strength must lie between 0 and 4, got {strength!r}; 1.0 is a good start, and "
                "no augmentation at all is augment=None"
            )
        exact = {"dtype": "float32"}  # whatever precision the model trains in
        border = {"fill_mode": "constant", "fill_value": 0.0, **exact}
        grey = {"value_range": (0.0, 1.0), **exact}
        ranges = (6 / 360, 0.12, 0.06, 0.25, 0.1, 0.29)
        turn, zoom, shift, contrast, brightness, gamma = (strength * r for r in ranges)
        self.geometry, self.intensity, self.gamma = [], [], 0.0
        if kind != "intensity":
            self.geometry = [
                keras.layers.RandomRotation(turn, **border),
                keras.layers.RandomZoom((-zoom, zoom), (-zoom, zoom), **border),
                keras.layers.RandomTranslation(shift, shift, **border),
            ]
        if kind != "geometry":
            self.gamma = gamma
            self.intensity = [
                keras.layers.RandomContrast(contrast, **grey),
                keras.layers.RandomBrightness(brightness, **grey),
            ]

    def __call__(self, images, masks, *, seed: tuple):
        """Transform a batch.

        Args:
            images: (B, S, S, 1) float32 in [0, 1].
            masks: (B, S, S, 1) float32 in {0, 1}.
            seed: two whole numbers; the same seed gives the same transformations.

        Returns:
            images and masks, shapes and ranges as before. Masks are moved as the images are and
            then thresholded at a half; three steps of nearest neighbour, Keras' way with masks,
            would leave their outlines ragged.
        """
        draws = _Draws(seed)
        for layer in [*self.geometry, *self.intensity]:
            layer.backend.set_backend("tensorflow")  # in tf.data, whatever backend trains the model
            change = layer.get_random_transformation({"images": images}, seed=draws)
            images = layer.transform_images(images, change)
            if layer in self.geometry:
                masks = layer.transform_images(masks, change)
        images = tf.clip_by_value(images, 0, 1)
        if self.gamma:
            shape = [tf.shape(images)[0], 1, 1, 1]
            span = tf.random.stateless_uniform(shape, draws.next(), -self.gamma, self.gamma)
            images **= tf.exp(span)
        return images, tf.cast(masks >= 0.5, tf.float32)


class _Draws(keras.random.SeedGenerator):
    """Seeds that follow from (seed, step) and the place of the draw, not from earlier draws."""

    def __init__(self, seed: tuple):
        self._seed, self._count = [tf.cast(part, tf.int32) for part in seed], 0

    def next(self, ordered: bool = True):
        self._count += 1
        return tf.stack([self._seed[0] * 64 + self._count, self._seed[1]])
