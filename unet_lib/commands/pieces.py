"""A large picture, which no model sees as a whole, predicted piece by piece."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from unet_lib import pixels

ALIGN = 16  # px: tiles start at multiples, so that four poolings halve them as the whole picture


def predict(
    models: list, image: np.ndarray, *, overlap: int | None = None, batch_size: int = 8
) -> np.ndarray:
    """Return the probability at each pixel of a large image, the mean of what models say.

    Each tile has a model's own size and the image's own pixels; of each its centre part is taken,
    so that there are no seams: where the overlap reaches as far as what one output pixel sees, the
    result is what the model would say of the whole image. A model with `standardize` brings each
    tile to mean 0 and deviation 1 by itself, so its tiles may differ from the whole. A model that
    was trained on whole chests is wrong on parts of one.

    Args:
        models: one from `build_unet`, or several, of a task; or exported ones.
        image: (H, W) uint8 in [0, 255]; the only large array beside it is the result.
        overlap: px that neighbouring tiles have in common at least; half a tile if not given.
        batch_size: tiles that a model sees at once.

    Returns:
        (H, W) float32 in [0, 1]; of models of several classes (H, W, C + 1).

    Raises:
        ValueError: overlap is below 0 or too large for the tiles to advance.
    """
    classes = models[0].output_shape[3]
    found = np.zeros((*image.shape, classes), np.float32)
    for model in models:
        size = model.input_shape[1]
        places = _places(image.shape, size, size // 2 if overlap is None else overlap)
        while batch := list(itertools.islice(places, batch_size)):
            tiles = [_cut(image, down.start, right.start, size) for down, right in batch]
            said = model.predict_on_batch(pixels.to_float(tiles)) / np.float32(len(models))
            for (down, right), probability in zip(batch, said, strict=True):
                found[down.taken, right.taken] += probability[down.centre, right.centre]
    return found[..., 0] if classes == 1 else found


class _Span(NamedTuple):
    """Along one side of an image: a tile's start, what is taken from it, where that is in it."""

    start: int
    taken: slice
    centre: slice


def _places(shape: tuple[int, int], size: int, overlap: int) -> Iterator[tuple[_Span, _Span]]:
    """Give for each tile where it lies, down and to the right."""
    step = (size - overlap) // ALIGN * ALIGN
    if overlap < 0 or step < 1:
        raise ValueError(
            f"overlap must be from 0 to {size - ALIGN} for tiles of {size} px, got {overlap}"
        )
    return itertools.product(*(_spans(length, size, step) for length in shape))


def _spans(length: int, size: int, step: int) -> Iterator[_Span]:
    """Give the tiles along one side; where two overlap, each gives the half that is its own."""
    margin = (size - step) // 2
    last = -(-max(length - size, 0) // ALIGN) * ALIGN
    starts = [*range(0, last, step), last]
    ends = [following + margin for following in starts[1:]] + [length]
    for start, end in zip(starts, ends, strict=True):
        first = start + margin if start else 0
        yield _Span(start, slice(first, end), slice(first - start, end - start))


def _cut(image: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    """Cut out a square; where it reaches beyond the image, edge pixels are repeated."""
    tile = image[top : top + size, left : left + size]
    below, beside = size - tile.shape[0], size - tile.shape[1]
    return cv2.copyMakeBorder(tile, 0, below, 0, beside, cv2.BORDER_REPLICATE)
