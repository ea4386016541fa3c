"""Masks with a palette: their pixels are numbers, and what is read are the colours of these."""

import io

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, PngImagePlugin, TiffImagePlugin

from unet_lib.intake.raster import Refused

_FILES = {
    "PNG": PngImagePlugin.PngImageFile, "GIF": GifImagePlugin.GifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile, "BMP": BmpImagePlugin.BmpImageFile,
}  # fmt: skip


def check(kind: str, data: bytes) -> None:
    """Refuse a mask in which two numbers have one colour, for the labels of both would be one.

    Args:
        kind: as `Raster.kind`.
        data: the content of a file that has been decoded.

    Raises:
        Refused: the palette has one colour for two of the numbers that pixels hold.
    """
    picture = _FILES[kind](io.BytesIO(data)) if kind in _FILES else None
    if picture is None or picture.mode != "P":
        return
    used = np.flatnonzero(np.bincount(np.asarray(picture).ravel(), minlength=256))
    shown = {}
    for number, colour in zip(used.tolist(), _colours(picture)[used].tolist(), strict=True):
        if (other := shown.setdefault(tuple(colour), number)) != number:
            raise Refused(
                f"{kind} file whose palette has one colour for the numbers {other} and {number};"
                " save its numbers without the palette, as 8-bit grey"
            )


def _colours(picture) -> np.ndarray:
    """Return (256, 4) red, green, blue and alpha; what the palette lacks is black."""
    table = np.zeros((256, 4), int)
    held = np.reshape(picture.getpalette("RGB"), (-1, 3))
    table[:, 3] = 255
    table[: len(held), :3] = held
    clear = picture.info.get("transparency", b"")
    if isinstance(clear, int):
        table[clear, 3] = 0
    else:
        table[: len(clear), 3] = list(clear)
    return table
