"""One image and its masks -> the few figures that the audit keeps of them, on all cores."""

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from unet_lib import workspace
from unet_lib.intake import intensity, reading
from unet_lib.intake.formats import Raster
from unet_lib.intake.intensity import Depth
from unet_lib.intake.tree import Tree
from unet_lib.intake.values import Counts, Key, Values, count, tally

Progress = Callable[[int, int], None]

_SMALL = 16  # px, side of the picture by which near copies are found
_SKETCH = 128  # px, side of the picture by which negatives and overlaps are found
_READERS = 8  # mask files of an image above which they are no readers but single objects

TURNED = ("on its side", "upside down", "on its side", "mirrored", "on its side", "upside down",
          "on its side")
"""How a mask lies that is turned by quarters, once, twice, three times, and the same mirrored."""


class Sketch(NamedTuple):
    """A small copy of one mask.

    Attributes:
        path: the file.
        labels: what it holds; for an annotation those of one label alone.
        places: (128, 128) int, which of the labels lies there, -1 for the border's main one.
        drawn: whether it is a label of an annotation.
    """

    path: Path
    labels: tuple[Key, ...]
    places: np.ndarray
    drawn: bool


@dataclass
class Look:
    """What the audit keeps of one image and its masks.

    Attributes:
        shape: height and width of the image in px, with square pixels.
        stored: the same as the file has it.
        kind: format of the image file.
        digest: hash of the pixels.
        settled: whether the file says by itself what black and white are (DICOM).
        depth: spread of a 16-bit image's values.
        levels: distinct grey levels that an 8-bit image uses.
        counts: what each of its masks holds, by file and, of an annotation, label.
        outlines: hash of what each label of an annotation covers, by file and label; of several
            mask files, but of empty ones, hash of what each holds, by file and "".
        overlaps: labels of two mask files that share more than half of the smaller one's area, as
            (file, label, file, label); of annotations none, nor of more than eight files.
        contrast: by how many standard deviations the foreground is darker than what surrounds it.
        turned: the same of the mask turned as `TURNED` says; empty where there is no contrast.
        one_sided: whether the foreground lies mostly in the left or in the right of the picture.
        small: (256,) float32, the picture at 16 x 16 px with mean 0 and norm 1.
        plain: files that can be copied as they are.
        notes: faults as (fault, file, detail).
        usable: whether none of them forbids it to be used.
    """

    shape: tuple[int, int] = (0, 0)
    stored: tuple[int, int] = (0, 0)
    kind: str = ""
    digest: str = ""
    settled: bool = False
    depth: Depth | None = None
    levels: int = 256
    counts: dict[tuple[Path, str], Counts] = field(default_factory=dict)
    outlines: dict[tuple[Path, str], str] = field(default_factory=dict)
    overlaps: list[tuple[Path, Key, Path, Key]] = field(default_factory=list)
    contrast: float | None = None
    turned: tuple[float, ...] = ()
    one_sided: bool = False
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
        inside, sketches = np.zeros((_SKETCH, _SKETCH), np.uint8), []
        for path in () if testing else tree.masks[name]:
            sketches += _look_at_mask(look, path, image, several=len(tree.masks[name]) > 1)
        for sketch in sketches:
            inside |= sketch.places >= 0
        look.overlaps = list(_overlaps(sketches))
        look.contrast, *look.turned = _contrasts(grey, inside) or [None]
        look.one_sided = 2 * np.sum(inside & inside[:, ::-1]) < np.sum(inside)
    except (OSError, ValueError) as error:
        why = str(getattr(error, "strerror", None) or error)
        why = why.removeprefix(f"{workspace.shown(path)}: ")
        of = f" ({image.name})" if path.suffix.lower() == ".json" else ""
        look.notes.append(("unreadable file", path, f"{of}: {why}"))
        look.usable = False
    if look.counts:  # of several annotation files one may be silent
        look.notes = [note for note in look.notes if note[0] != "no annotation"]
    look.usable &= testing or bool(look.counts)
    return look


def _measure(look: Look, grey: np.ndarray, raster: Raster, path: Path) -> None:
    look.shape, look.stored = grey.shape, raster.pixels.shape[:2]
    look.kind, look.settled = raster.kind, raster.settled
    look.digest = hash_pixels(grey)
    look.depth = intensity.measure(grey)
    look.levels = np.count_nonzero(tally(grey, 256)) if grey.dtype == np.uint8 else 256
    small = cv2.resize(grey, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
    small = small.ravel() - small.mean(dtype=np.float32)
    look.small = small / max(float(np.linalg.norm(small)), 1e-6)
    look.notes += [(fault, path, detail) for fault, detail in raster.notes.items()]
    if not raster.notes and _is_grey_png(path):
        look.plain.add(path)


def _look_at_mask(look: Look, path: Path, image: Path, *, several: bool) -> list[Sketch]:
    """Count the values of a mask file; return its sketches, one for each label it draws."""
    found, notes = reading.read_mask(path, image, look.stored)
    look.notes += [(fault, path, detail) for fault, detail in notes.items()]
    sketches = []
    for each in found:
        size = each.codes.shape
        if size != look.stored and not reading.same_proportions(size, look.shape):
            sizes = " (image {} x {}, mask {} x {}{})".format(
                *look.shape, *size, ": transposed" * (size == look.shape[::-1]))
            look.notes.append(("image and mask of different size", path, sizes))
            look.usable = False
            break
        if size not in (look.shape, look.stored):
            sizes = " ({} x {} to {} x {})".format(*size, *look.shape)
            look.notes.append(("mask of another size", path, sizes))
        counted = count(each)
        label = str(each.keys[-1]) if each.form == "label" else ""
        look.counts[path, label] = counted
        if label or (several and sum(map(bool, counted.pixels.values())) > 1):
            look.outlines[path, label] = hash_pixels(each.codes)
        if counted.broad:
            detail = f" ({counted.soft} px hold no label)"
            look.notes.append(("mask is a grey picture", path, detail))
            look.usable = False
        same = size == look.shape and each.keys in ((0, 255), (0,)) and not each.form
        if same and not notes and _is_grey_png(path):
            look.plain.add(path)
        sketches.append(_sketch(path, each, counted))
    return sketches


def _sketch(path: Path, each: Values, counted: Counts) -> Sketch:
    """Return a mask at 128 x 128 px, without the border's main label."""
    places, labels, _ = each.labels
    border = labels.index(max(counted.border, key=counted.border.get))
    places = np.where(places == border, -1, places)[reading.fit(each.codes, (_SKETCH, _SKETCH))]
    return Sketch(path, labels, places, each.form == "label")


def _overlaps(sketches: list[Sketch]) -> Iterator[tuple[Path, Key, Path, Key]]:
    """Give labels of two files that share more than half of the smaller one's area."""
    files = {sketch.path for sketch in sketches}
    for one, other in itertools.combinations(sketches if len(files) <= _READERS else (), 2):
        if one.path == other.path or (one.drawn and other.drawn):
            continue
        both = (one.places >= 0) & (other.places >= 0)
        met = Counter(zip(one.places[both].tolist(), other.places[both].tolist(), strict=True))
        for (a, b), shared in met.items():
            if 2 * shared > min(np.sum(one.places == a), np.sum(other.places == b)):
                yield one.path, one.labels[a], other.path, other.labels[b]


def _contrasts(grey: np.ndarray, inside: np.ndarray) -> list[float]:
    """Return by how many standard deviations the foreground is darker than a ring around it.

    First as the mask lies, then turned as `TURNED` says; nothing if there is no foreground, no
    ring, or no contrast in the picture at all.
    """
    ring = cv2.dilate(inside, np.ones((7, 7), np.uint8)) - inside
    small = cv2.resize(grey, inside.shape, interpolation=cv2.INTER_AREA).astype(np.float32)
    if not inside.any() or not ring.any() or small.std() == 0:
        return []
    parts = np.stack([ring, inside], axis=-1) > 0
    ways = [np.rot90(each, n) for each in (parts, parts[:, ::-1]) for n in range(4)]
    means = [[small[way[..., n]].mean() for n in (0, 1)] for way in ways]
    return [float((around - within) / small.std()) for around, within in means]


def _is_grey_png(path: Path) -> bool:
    """Tell whether a file is a PNG of 8 bits, grey, which needs no rewriting."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:] == b"\x08\x00"


def hash_pixels(pixels: np.ndarray) -> str:
    """Hash size and pixels, so that a copy saved in another way is still found."""
    total = hashlib.sha256(str(pixels.shape).encode())
    total.update(np.ascontiguousarray(pixels).data)
    return total.hexdigest()
