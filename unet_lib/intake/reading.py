"""One image and its masks, read in the same way for the audit and for writing."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from unet_lib.intake import annotations, formats, intensity, masks, values
from unet_lib.intake.formats import Raster
from unet_lib.intake.masks import Meaning
from unet_lib.intake.values import Values


def read_image(path: Path) -> tuple[np.ndarray, Raster]:
    """Return an image as (H, W) grey of its stored depth with square pixels, and what it came from.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it holds no picture that can be used.
    """
    return decode_image(path.read_bytes())


def decode_image(data: bytes) -> tuple[np.ndarray, Raster]:
    """Return the picture in the bytes of a file; see `read_image`."""
    raster = formats.decode(data)
    grey = formats.to_grey(raster)
    if raster.aspect != 1:
        height, width = grey.shape
        wider, taller = max(1, 1 / raster.aspect), max(1, raster.aspect)
        size = round(width * wider), round(height * taller)
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR)
    return grey, raster


def read_mask(
    path: Path, image: Path, shape: tuple[int, int]
) -> tuple[list[Values], dict[str, str]]:
    """Return the values of a mask file, and its faults with a detail each.

    An annotation gives values for each of its labels.

    Args:
        path: a mask file, or a JSON file of LabelMe or COCO.
        image: the image that it belongs to; an annotation names it.
        shape: height and width of the image in px as it is stored.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it holds no mask that can be used.
    """
    if path.suffix.lower() == ".json":
        planes = annotations.read(path, image.as_posix(), shape=shape)
        notes = {fault: f" ({image.name}){detail}" for fault, detail in planes.notes.items()}
        return [values.from_plane(plane, name) for name, plane in planes.masks.items()], notes
    raster = formats.decode_mask(path.read_bytes())
    notes = {k: text for k, text in raster.notes.items() if k != "non-square pixels"}
    return [values.read_values(raster)], notes  # a mask lies on the pixels of its image


def finish_image(
    grey: np.ndarray, *, reach: tuple[float, float] | None, turned: bool = False
) -> np.ndarray:
    """Return the (H, W) uint8 image that goes into the data set.

    Args:
        grey: (H, W) uint8 or uint16, from `read_image`.
        reach: the values of a 16-bit image that become 0 and 255.
        turned: whether black and white change places.
    """
    image = intensity.to_8_bit(grey, *reach) if grey.dtype == np.uint16 else grey
    return 255 - image if turned else image


def finish_mask(found: Iterable[Values], meaning: Meaning, shape: tuple[int, int]) -> np.ndarray:
    """Return the (H, W) uint8 mask in {0, 1}: what any of the masks of an image calls foreground.

    Where classes are told apart it holds their numbers; of two on one pixel the higher counts.

    Args:
        found: of all `read_mask`; a mask of another size is resized by nearest neighbour.
        meaning: what the values mean in this set.
        shape: height and width of the image in px.
    """
    joined = np.zeros(shape, np.uint8)
    for each in found:
        np.maximum(joined, fit(masks.apply(each, meaning), shape), out=joined)
    return joined


def fit(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a mask at another size, each pixel the nearest one of the original."""
    if mask.shape == shape:
        return mask
    return cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def same_proportions(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two sizes (height, width) have the same proportions within 1 %."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= 0.01
