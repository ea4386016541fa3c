"""What every decoder returns or refuses: pixels with what is known about them."""

import contextlib
import logging
import threading
import warnings
from dataclasses import dataclass, field

import cv2
import numpy as np

# OpenCV 4 has it at the top, 5 in a module of its own; both return the level before.
_opencv_log = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel

MAX_PIXELS = 250_000_000
"""The largest picture that is read, in pixels; looked up in the header, before anything is decoded.

A chest X-ray has about 10 million. Decoded, the largest takes 250 MB a channel of 8 bits.
"""


class Refused(ValueError):
    """A file that is not read. The text is this project's own and quotes nothing from the file."""


class NoPicture(Refused):
    """No picture at all: text, an archive, a directory of DICOM files. Skipped, not failed."""


@dataclass(frozen=True, eq=False)
class Raster:
    """One picture as it is stored, and as it is meant to be seen.

    Attributes:
        pixels: (H, W) grey or (H, W, 3) red, green, blue; uint8 or uint16; upright. Never three
            equal channels: those are grey.
        alpha: (H, W) of the same depth, 0 is transparent; None where everything is opaque.
        kind: "PNG", "JPEG", "TIFF", "BMP", "WebP", "GIF" or "DICOM".
        notes: fault (a key of `tree.FAULTS`) -> detail to print behind the file's name.
        settled: the grey values are final, for a DICOM's tags give them: neither scaled by the
            set nor turned round.
        spacing: height and width of a pixel in millimetres, or None if it is not known.
        aspect: height of a pixel / width of a pixel.
        view: which window or look-up table a DICOM was shown with; else "".
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    kind: str
    notes: dict[str, str] = field(default_factory=dict)
    settled: bool = False
    spacing: tuple[float, float] | None = None
    aspect: float = 1.0
    view: str = ""


def damaged(kind: str, state: str = "damaged") -> Refused:
    """Return the error for a file of which a part is lost: raise it."""
    return Refused(f"{state} {kind} file; copy it again from its origin")


def check_size(kind: str, width: int, height: int) -> None:
    """Raise Refused if a header claims no pixel, or more than `MAX_PIXELS`."""
    if width < 1 or height < 1:
        raise damaged(kind, f"damaged (a header that claims {width} x {height} pixels)")
    if width * height > MAX_PIXELS:
        raise Refused(
            f"{kind} file that claims {width} x {height} pixels; at most {MAX_PIXELS:,} are read: "
            "make it smaller"
        )


def without_colour(pixels: np.ndarray) -> np.ndarray:
    """Return (H, W) if (H, W, 3) `pixels` have three equal channels; else leave them."""
    if pixels.ndim == 3 and all(np.array_equal(pixels[..., 0], pixels[..., n]) for n in (1, 2)):
        return pixels[..., 0]
    return pixels


def as_16_bit(kind: str, values: np.ndarray) -> np.ndarray:
    """Return whole numbers of any type as (...) uint16 if every one fits exactly.

    Raises:
        Refused: fractions, negative or larger values, or such as are no number.
    """
    finite = np.isfinite(values).all()
    low, high = (values.min(), values.max()) if finite else (np.nan, np.nan)
    if finite and low >= 0 and high <= 65535 and (values == np.rint(values)).all():
        return values.astype(np.uint16)
    came = f"{low:g} to {high:g}" if finite else "some that are no number"
    raise Refused(
        f"{kind} file with {values.dtype.itemsize * 8}-bit values ({came}); expected whole numbers "
        "from 0 to 65535: scale it to that range and save it with 16 bits"
    )


_quiet_lock, _quiet_depth, _quiet_exit = threading.Lock(), 0, contextlib.ExitStack()


@contextlib.contextmanager
def quiet():
    """Silence the warnings and the log of decoders, which would quote what stands in a file.

    Several threads may be inside at once: the first one silences, the last one restores.
    """
    global _quiet_depth
    log = logging.getLogger("pydicom")
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_exit.enter_context(warnings.catch_warnings())
            _quiet_exit.callback(setattr, log, "disabled", log.disabled)
            _quiet_exit.callback(_opencv_log, _opencv_log(0))
            warnings.simplefilter("ignore")
            log.disabled = True
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0:
                _quiet_exit.close()
