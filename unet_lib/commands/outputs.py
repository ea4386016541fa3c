"""What `predict` writes: each PNG carries a record, by which it is known as ours and as done."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from unet_lib import workspace
from unet_lib.intake import raster

COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167))
"""Red, green, blue of the outlines of the first, second ... class (Okabe and Ito's)."""

RECORD = "U-Net Lowered"
"""The keyword of the PNG text chunk that holds the record."""


def write(path: Path, pixels: np.ndarray, record: dict, *, known: bool = False) -> str:
    """Write a PNG that carries a record; it appears whole or not at all.

    Args:
        path: where.
        pixels: (H, W) uint8 or uint16, or (H, W, 3) uint8 red, green, blue.
        record: what JSON can hold; it is written in ASCII, whatever names stand in it.
        known: a file that is there may be replaced if it is damaged.

    Returns:
        The SHA-256 of the file's content.

    Raises:
        FileExistsError: a file is there that holds no such record.
    """
    refuse_foreign(path, known=known)
    held = PngImagePlugin.PngInfo()
    held.add_text(RECORD, json.dumps(record))
    with workspace.replacing_file(path) as partial:
        Image.fromarray(pixels).save(partial, "png", pnginfo=held, compress_level=1)
        return digest(partial)


def read_record(path: Path, *, whole: bool = False) -> dict | None:
    """Return the record that a PNG carries, or None if it is no file of `write`.

    Args:
        path: any file, or none.
        whole: decode all pixels, to find a file that was cut or damaged.
    """
    try:
        with raster.quiet(), PngImagePlugin.PngImageFile(path) as picture:
            if whole:
                picture.load()  # which accepts a file without its last chunk
                if not path.read_bytes().endswith(b"IEND\xaeB`\x82"):
                    return None
            return json.loads(picture.info[RECORD])
    except Exception:  # no such file, no PNG, no record, damaged: Pillow raises what it likes
        return None


def read_mask(path: Path) -> np.ndarray:
    """Return a mask that was written, (H, W) uint8: {0, 1}, or numbers of several classes."""
    with raster.quiet(), PngImagePlugin.PngImageFile(path) as picture:
        mask = np.array(picture)
    return np.where(mask == 255, np.uint8(1), mask)


def refuse_foreign(path: Path, *, known: bool = False) -> None:
    """Raise FileExistsError if a file is at `path` that holds no record of ours.

    One of ours that is `known` may have lost it with its first bytes; a whole picture without it is
    one that somebody has put there, or corrected.
    """
    if path.exists() and read_record(path) is None and not (known and not _opens(path)):
        raise FileExistsError(
            f"{workspace.shown(path)} is there and was not written by predict, or was changed"
            " since; it is left alone: choose another --out, or move it"
        )


def _opens(path: Path) -> bool:
    try:
        with raster.quiet(), Image.open(path) as picture:
            return picture.load() is not None
    except Image.DecompressionBombError:  # whole, and large
        return True
    except Exception:  # see above
        return False


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, "" if it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def overlay(image: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
    """Draw the outline of each mask on an image.

    Args:
        image: (H, W) uint8.
        masks: one (H, W) bool for each class.

    Returns:
        (H, W, 3) uint8 red, green, blue; a line is 1/300 of the longer side wide, 2 px at least.
    """
    drawn = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    thickness = max(2, round(max(image.shape) / 300))
    for mask, colour in zip(masks, COLOURS * len(masks), strict=False):
        lines, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(drawn, lines, -1, colour, thickness)
    return drawn


def probability_levels(probability: np.ndarray) -> np.ndarray:
    """Return (H, W) probabilities in [0, 1] as uint16: divided by 65535 they are again."""
    return np.rint(probability * np.float32(65535)).astype(np.uint16)
