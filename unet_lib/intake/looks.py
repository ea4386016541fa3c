"""One image and its masks -> the few figures that the audit keeps of them, on all cores."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from unet_lib.intake import intensity, masks, reading
from unet_lib.intake.formats import Raster
from unet_lib.intake.intensity import Depth
from unet_lib.intake.masks import Meaning
from unet_lib.intake.tree import Tree
from unet_lib.intake.values import Counts, Values, count

Progress = Callable[[int, int], None]

_SMALL = 16  # px, side of the picture by which near copies are found
_SKETCH = 128  # px, side of the picture by which negatives are found


@dataclass
class Look:
    """What the audit keeps of one image and its masks.

    Attributes:
        shape: height and width of the image in px, with square pixels.
        kind: format of the image file.
        digest: hash of the pixels.
        settled: whether the file says by itself what black and white are (DICOM).
        depth: spread of a 16-bit image's values.
        levels: distinct grey levels that an 8-bit image uses.
        counts: what each of its masks holds.
        contrast: by how many standard deviations the foreground is darker than what surrounds it.
        small: (256,) float32, the picture at 16 x 16 px with mean 0 and norm 1.
        plain: files that can be copied as they are.
        notes: faults as (fault, file, detail).
    """

    shape: tuple[int, int] = (0, 0)
    kind: str = ""
    digest: str = ""
    settled: bool = False
    depth: Depth | None = None
    levels: int = 256
    counts: list[Counts] = field(default_factory=list)
    contrast: float | None = None
    small: np.ndarray | None = None
    plain: set[Path] = field(default_factory=set)
    notes: list[tuple[str, Path, str]] = field(default_factory=list)
    usable: bool = True


def look_at_all(tree: Tree, progress: Progress | None = None) -> dict[str, Look]:
    """Read every test image and pair of a tree once, on all cores.

    Args:
        tree: from `tree.find_tree`; it is not changed.
        progress: called with (images examined, images in all).

    Returns:
        id to what is kept of it, test images first; those that cannot be used as well.
    """
    names = [*sorted(tree.test), *sorted(tree.images.keys() & tree.masks.keys() - tree.test.keys())]
    looks = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, look in enumerate(pool.map(lambda name: _look(tree, name), names), 1):
            looks[names[number - 1]] = look
            if progress:
                progress(number, len(names))
    return looks


def _look(tree: Tree, name: str) -> Look:
    """Read one image and its masks; whatever is wrong with them stands in the result's notes."""
    look, testing = Look(), name in tree.test
    image = tree.test[name] if testing else tree.images[name]
    path = image
    try:
        grey, raster = reading.read_image(image)
        _measure(look, grey, raster, image)
        for path in () if testing else tree.masks[name]:
            _look_at_mask(look, path, image, grey)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        look.notes.append(("unreadable file", path, f": {why}"))
        look.usable = False
    if look.usable and not testing and not look.counts:
        look.notes.append(("image without mask", image, ": nothing is annotated"))
        look.usable = False
    return look


def _measure(look: Look, grey: np.ndarray, raster: Raster, path: Path) -> None:
    look.shape, look.kind, look.settled = grey.shape, raster.kind, raster.settled
    look.digest = hash_pixels(grey)
    look.depth = intensity.measure(grey)
    look.levels = np.count_nonzero(np.bincount(grey.ravel())) if grey.dtype == np.uint8 else 256
    small = cv2.resize(grey, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
    small = small.ravel() - small.mean(dtype=np.float32)
    look.small = small / max(float(np.linalg.norm(small)), 1e-6)
    look.notes += [(fault, path, detail) for fault, detail in raster.notes.items()]
    if not raster.notes and _is_grey_png(path):
        look.plain.add(path)


def _look_at_mask(look: Look, path: Path, image: Path, grey: np.ndarray) -> None:
    found = reading.read_masks([path], image, grey.shape)
    for each in found:
        if not reading.same_proportions(each.codes.shape, grey.shape):
            sizes = " (image {} x {}, mask {} x {})".format(*grey.shape, *each.codes.shape)
            look.notes.append(("image and mask of different size", path, sizes))
            look.usable = False
            return
        if each.codes.shape != grey.shape:
            sizes = " ({} x {} to {} x {})".format(*each.codes.shape, *grey.shape)
            look.notes.append(("mask of another size", path, sizes))
        counted = count(each)
        look.counts.append(counted)
        if counted.broad:
            detail = f" ({counted.soft} px hold no label)"
            look.notes.append(("mask is a grey picture", path, detail))
            look.usable = False
        same = each.codes.shape == grey.shape and each.keys in ((0, 255), (0,)) and not each.form
        if same and _is_grey_png(path):
            look.plain.add(path)
    look.contrast = _contrast(grey, found, look.counts[-len(found) :] if found else [])


def _contrast(grey: np.ndarray, found: list[Values], counts: list[Counts]) -> float | None:
    """Return by how many standard deviations the foreground is darker than a ring around it."""
    small = cv2.resize(grey, (_SKETCH, _SKETCH), interpolation=cv2.INTER_AREA).astype(np.float32)
    inside = np.zeros((_SKETCH, _SKETCH), np.uint8)
    for each, counted in zip(found, counts, strict=True):
        border = max(counted.border, key=counted.border.get)
        part = masks.apply(each, Meaning(frozenset(counted.pixels) - {border}, {}, (), ()))
        inside |= reading.fit(part, (_SKETCH, _SKETCH))
    ring = cv2.dilate(inside, np.ones((7, 7), np.uint8)) - inside
    if not inside.any() or not ring.any() or small.std() == 0:
        return None
    return float((small[ring > 0].mean() - small[inside > 0].mean()) / small.std())


def _is_grey_png(path: Path) -> bool:
    """Tell whether a file is a PNG of 8 bits, grey, which needs no rewriting."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:] == b"\x08\x00"


def hash_pixels(pixels: np.ndarray) -> str:
    """Hash size and pixels, so that a copy saved in another way is still found."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
