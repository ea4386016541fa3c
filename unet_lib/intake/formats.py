"""One file -> pixels, by content, never by its name."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from unet_lib import workspace
from unet_lib.intake import decoders, dicom, palettes, signatures
from unet_lib.intake.raster import MAX_PIXELS, NoPicture, Raster, Refused, damaged, quiet

__all__ = ["MAX_PIXELS", "NoPicture", "Raster", "decode", "decode_mask", "read_picture", "to_grey"]

_READERS = {
    "PNG": decoders.read_png,
    "JPEG": decoders.read_jpeg,
    "TIFF": decoders.read_tiff,
    "BMP": decoders.read_bmp,
    "WebP": decoders.read_webp,
    "GIF": decoders.read_gif,
    "DICOM": dicom.read_picture,
}

_STRONG = 0.25  # mean distance between channels, of the full range: from here, strong colours
_FALLS = 0.6  # of the full range, by which a channel of a colour map falls as others rise


def read_picture(path: Path) -> Raster:
    """Decode the picture in a file.

    Raises:
        OSError: the file cannot be opened.
        ValueError, NoPicture: it is not read; the message names it and says why.
    """
    try:
        return decode(Path(path).read_bytes())
    except Refused as error:
        raise type(error)(f"{workspace.shown(path)} cannot be read: {error}") from None


def decode(data: bytes) -> Raster:
    """Decode a picture: PNG, JPEG, TIFF, BMP, WebP, GIF or DICOM.

    Of a DICOM the grey values are those that its tags ask for. Notes say where a picture has
    colours or transparent pixels; `to_grey` removes both. An alpha that is the same everywhere, as
    in a BMP that leaves it at 0, is dropped.

    Raises:
        NoPicture: text, an archive, a directory: no picture at all.
        ValueError: damaged, cut off, too large, several pictures, or of a format that is not read.
    """
    raster = _decode(data, _READERS)
    notes = dict(raster.notes)
    coloured = raster.pixels.ndim == 3
    alpha = raster.alpha
    if alpha is not None and alpha.min() == alpha.max():
        notes["equally transparent picture"] = f" (alpha is {alpha.max()} everywhere)"
        alpha = None
    if alpha is not None:
        share = np.mean(alpha < np.iinfo(alpha.dtype).max)
        notes["transparent picture"] = f" ({share:.1%} of its pixels)"
        seen = raster.pixels[alpha > 0]
        coloured = coloured and (seen != seen[:, :1]).any()
    if coloured:
        notes["colour image"] = ""
        if _is_colour_map(raster.pixels):
            notes["image in false colours"] = ""
    return replace(raster, alpha=alpha, notes=notes)


def _is_colour_map(pixels: np.ndarray) -> bool:
    """Tell whether strong colours are so few that each may stand for a grey value, as in jet.

    In a tinted film, or in one of black, red, yellow and white, no channel falls as the luminance
    rises: there the luminance keeps the order of the grey values, and nothing is wrong.
    """
    found = pixels.reshape(-1, 3)
    found = found[:: max(1, len(found) // 2**16)].astype(np.int64)
    top = np.iinfo(pixels.dtype).max
    codes, first = np.unique(found @ [2**32, 2**16, 1], return_index=True)
    few = len(codes) <= 256 < len(found) // 8
    if not few or float(np.ptp(found, axis=1).mean()) <= _STRONG * top:
        return False
    colours = found[first]
    colours = colours[np.argsort(colours @ [299, 587, 114])]
    return bool((np.maximum.accumulate(colours) - colours).max() > _FALLS * top)


def decode_mask(data: bytes) -> Raster:
    """Decode a mask: the same formats, but of a DICOM the values that are stored.

    Colours and alpha are left as they are; what they mean is not decided here.

    Raises:
        NoPicture, ValueError: as `decode`; and a palette that gives two labels one colour.
    """
    raster = _decode(data, {**_READERS, "DICOM": dicom.read_mask})
    with quiet():
        palettes.check(raster.kind, data)
    return raster


def _decode(data: bytes, readers: dict) -> Raster:
    kind = signatures.recognise(data)
    try:
        with quiet():
            return readers[kind](data)
    except Refused:
        raise
    except MemoryError:
        raise Refused(f"{kind} file too large for the memory; make it smaller") from None
    except Exception as error:  # decoders raise what they like, and may quote the file
        state = "truncated" if "truncated" in str(error) else "damaged"
        raise damaged(kind, state) from None


def to_grey(raster: Raster) -> np.ndarray:
    """Return (H, W) grey at the stored depth: of colours the luminance, of the transparent black.

    What is partly transparent is seen on a black ground, so a hidden colour plays no part.
    """
    grey = raster.pixels
    if grey.ndim == 3:
        grey = cv2.cvtColor(grey, cv2.COLOR_RGB2GRAY)
    if raster.alpha is not None:
        opaque = np.float32(np.iinfo(raster.alpha.dtype).max)
        grey = np.rint(grey * (raster.alpha / opaque)).astype(grey.dtype)
    return grey
