"""From PNG files to batches: arrays on disk, and `tf.data` that reads them."""

import contextlib
import errno
import hashlib
import math
import os
import shutil
import tokenize
from pathlib import Path

import numpy as np
import tensorflow as tf

from unet_lib import datasets, pixels, workspace
from unet_lib.augmentation import Augmentation


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
        masks: the same shape, uint8 in {0, 1}, or numbers of classes if the data set has several.
    """
    manifest = datasets.load_manifest(folder)
    key = hashlib.sha256("\n".join([manifest["data_sha256"], *ids]).encode()).hexdigest()[:12]
    files = [folder / "arrays" / f"{image_size}px-{key}-{kind}.npy" for kind in ("images", "masks")]
    shape = (len(ids), image_size, image_size)
    if not all(_whole(file, shape) for file in files):
        with workspace.alone(folder / "arrays"):
            if not all(_whole(file, shape) for file in files):  # not made by another run meanwhile
                _write_arrays(folder, ids, shape, files)
    return tuple(_map(file) for file in files)


_TORN = (ValueError, EOFError, SyntaxError, tokenize.TokenError)  # of NumPy, by a damaged header


def _whole(file: Path, shape: tuple[int, int, int]) -> bool:
    """Tell whether an array file is there, with all its bytes."""
    with contextlib.suppress(FileNotFoundError):
        with contextlib.suppress(*_TORN), file.open("rb") as stream:
            np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0(stream)
            rest = os.fstat(stream.fileno()).st_size - stream.tell()
            if header == (shape, False, np.uint8) and rest == np.prod(shape):
                return True
        print(f"{workspace.shown(file)} is cut off or damaged; it is made anew", flush=True)
    return False


def _map(file: Path) -> np.ndarray:
    """Map a file into memory, or read it where the file system cannot map (Drive, S3)."""
    try:
        return np.load(file, mmap_mode="r")
    except OSError:
        array = np.load(file)
        array.flags.writeable = False
        print(
            f"{workspace.shown(file)}: this file system cannot map files; it is read into memory."
            " UNET_LOWERED_WORKSPACE on a local disk avoids it",
            flush=True,
        )
        return array


def _write_arrays(folder: Path, ids: list[str], shape: tuple, files: list[Path]) -> None:
    """Write both files row by row, by plain writes: on a full disk a mapped file kills the process.

    Raises:
        OSError: there is not enough room; nothing stays behind.
    """
    needed, free = 2 * math.prod(shape), shutil.disk_usage(folder).free
    full = OSError(
        errno.ENOSPC,
        f"no space left on the disk of {workspace.shown(folder)}: the arrays need"
        f" {math.ceil(needed / 1e6)} MB, {free // 1_000_000} MB are free; make room, or set"
        " UNET_LOWERED_WORKSPACE to another disk",
    )
    if needed > free:
        raise full
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        with contextlib.ExitStack() as stack:
            partial = [stack.enter_context(workspace.replacing_file(file)) for file in files]
            streams = [stack.enter_context(path.open("wb")) for path in partial]
            for stream in streams:
                np.lib.format.write_array_header_1_0(stream, header)
            for name in ids:
                image, mask = datasets.read_pair(folder, name)
                streams[0].write(pixels.resize_image(image, shape[1]).tobytes())
                streams[1].write(pixels.resize_mask(mask, shape[1]).tobytes())
    except OSError as error:
        raise (full if error.errno == errno.ENOSPC else error) from None


def evaluation_batches(
    images: np.ndarray, masks: np.ndarray, *, batch_size: int
) -> tf.data.Dataset:
    """Batches in order, each pair once.

    Args:
        images: (N, S, S) uint8 in [0, 255], may be memory-mapped.
        masks: (N, S, S) uint8 in {0, 1}, or numbers of classes.
        batch_size: pairs per batch; the last batch may be smaller.

    Returns:
        A data set of (image, mask), each (B, S, S, 1) float32, in [0, 1] and {0, 1}, or whole
        numbers that stand for classes.
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
    augment: Augmentation | None = None,
    full_batches: bool = False,
    part: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches of all epochs in one stream, shuffled anew for each epoch.

    Order and augmentation are a function of (seed, epoch, step) alone: a run that resumes at
    `first_epoch` sees what an uninterrupted run would have seen.

    Args:
        images: (N, S, S) uint8 in [0, 255], may be memory-mapped.
        masks: (N, S, S) uint8 in {0, 1}, or numbers of classes.
        batch_size: pairs per batch; the last batch of an epoch may be smaller.
        epochs: number of the last epoch, counted from 1.
        seed: any whole number.
        first_epoch: epochs already done.
        augment: what to do to each batch, if anything.
        full_batches: leave out what does not fill a batch: other pairs in each epoch.
        part: (number, of how many): each batch of `batch_size` pairs is cut into as many equal
            pieces, and only this one is read, as it is in the whole batch. For full batches.

    Returns:
        A data set of (image, mask) as in `evaluation_batches`, with `steps_per_epoch(N,
        batch_size)` batches for each epoch; of full batches alone N // batch_size.

    Raises:
        ValueError: the batches cannot be cut into equal pieces.
    """
    count, steps = len(images), steps_per_epoch(len(images), batch_size)
    steps = count // batch_size if full_batches else steps
    first, piece = _piece(batch_size, part)

    def one_epoch(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(count), tf.stack([seed, epoch]))
        rows = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, full_batches)
        return rows.enumerate(epoch * steps)

    load = _loader(images, masks)

    def one_batch(step, rows):
        image, mask = load(rows[first : first + piece])
        if not augment:
            return image, mask
        return augment(image, mask, seed=(seed, step), place=(first, tf.shape(rows)[0]))

    stream = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return stream.map(one_batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Return the number of batches that hold `count` pairs; the last may be smaller."""
    return -(-count // batch_size)


def stay_on_cpu() -> None:
    """Keep TensorFlow off the GPUs, for Keras computes there on another backend."""
    tf.config.set_visible_devices([], "GPU")


def _piece(batch_size: int, part: tuple[int, int]) -> tuple[int, int]:
    """Return the first row and the number of rows of one piece of each batch."""
    number, pieces = part
    if batch_size % pieces:
        raise ValueError(
            f"batch_size must be a multiple of {pieces}, for each of so many takes an equal piece;"
            f" got {batch_size}; use {-(-batch_size // pieces) * pieces}"
        )
    return number * (batch_size // pieces), batch_size // pieces


def _loader(images: np.ndarray, masks: np.ndarray):
    shape = (None, *images.shape[1:], 1)

    def gather(rows):
        return pixels.to_float(images[rows]), masks[rows][..., np.newaxis].astype(np.float32)

    def load(rows):
        image, mask = tf.numpy_function(gather, [rows], [tf.float32, tf.float32])
        return tf.ensure_shape(image, shape), tf.ensure_shape(mask, shape)

    return load
