"""One file -> pixels: 8-bit grey, whatever was stored."""

import contextlib
from pathlib import Path

import cv2
import numpy as np

from unet_lib import workspace


def read(path: Path, judge) -> tuple:
    """Return what `judge` makes of the pixels of a file.

    Raises:
        ValueError: the file cannot be read; the message names it and says why.
    """
    try:
        return judge(decode(Path(path).read_bytes()))
    except ValueError as error:
        raise ValueError(f"{workspace.shown(path)} cannot be read: {error}") from None


def decode(data: bytes) -> np.ndarray:
    """Decode a PNG as it is stored; what OpenCV would decode in part is refused.

    Returns:
        (H, W) or (H, W, C), uint8 or uint16, channels in the order blue, green, red, alpha.

    Raises:
        ValueError: empty, no PNG, cut off or damaged.
    """
    if not data:
        raise ValueError("empty file of 0 bytes")
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG file")
    if b"IEND" not in data:
        raise ValueError("truncated PNG file")
    with contextlib.suppress(cv2.error):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is not None:
            return pixels
    raise ValueError("damaged PNG file")


def reduce_to_grey(pixels: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return (H, W) of the stored depth, and whether the colour channels differed."""
    if pixels.ndim == 2:
        return pixels, False
    colour = pixels[..., :3]
    if (colour == colour[..., :1]).all():
        return np.ascontiguousarray(colour[..., 0]), False
    return cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_BGR2GRAY), True


def judge_image(pixels: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """Return the (H, W) uint8 image and its faults with a detail each.

    16 bits are scaled by the depth that this image really uses (largest value 4095: 12 bits).
    Of a colour image the luminance is taken; transparency is dropped.
    """
    grey, coloured = reduce_to_grey(pixels)
    faults = {"colour image": ""} if coloured else {}
    if grey.dtype == np.uint16:
        bits = max(8, int(grey.max()).bit_length())
        faults["16-bit image"] = f" ({bits} bits used)"
        grey = np.round(grey * np.float32(255 / (2**bits - 1))).astype(np.uint8)
    return grey, faults
