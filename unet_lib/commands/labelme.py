"""A mask -> polygons in a LabelMe file, for a person to correct.

Coordinates are those of the upright picture as its file stores it: LabelMe knows nothing of the
size of a pixel. The file says what was drawn, so that a corrected one is told apart. LabelMe's
polygons have no holes: a hole is joined to the outline around it by a cut, there and back along
the same line, which `intake.annotations` and every other reader by the even-odd rule sees as a
hole. Readers that also paint the line itself fill a seam of one pixel.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from scipy import spatial

from unet_lib import workspace
from unet_lib.intake import outlines

_VERSION = "5.5.0"  # of LabelMe, whose form this is
_DRAWN = "drawn by U-Net Lowered"  # the key of the digest of the shapes; LabelMe keeps it
_TOLERANCES = (1.0, 0.75, 0.5, 0.25)  # px by which an outline may stray, the coarsest that will do
_ALIKE = 0.99  # IoU of what is written with the part that is meant
_BOX = np.ones((3, 3), np.uint8)


def write(
    path: Path, mask: np.ndarray, *, picture: str, labels: Sequence[str] = ("lung",)
) -> None:
    """Write the outlines of a mask as a LabelMe 5 file, whole or not at all.

    Every part becomes a polygon with as few points as keep its outline within 1 px and its IoU at
    0.99 or more; holes see above.

    Args:
        path: the JSON file.
        mask: (H, W) bool or whole numbers, at the size of the upright picture as it is stored; 0 is
            background, n stands for the n-th label.
        picture: name of the picture that LabelMe is to open, in the same folder: a path that leads
            elsewhere would lead nowhere as soon as someone copies the file.
        labels: names of the classes, in the order of their numbers.

    Raises:
        ValueError: the mask is not (H, W), or holds a number without a label.
    """
    mask = np.asarray(mask)
    highest = int(mask.max(initial=0))
    if mask.ndim != 2 or mask.min(initial=0) < 0 or highest > len(labels):
        raise ValueError(
            f"mask must be (height, width) with numbers from 0 to {len(labels)}, one for each of"
            f" the labels {', '.join(labels)}; got shape {mask.shape} and numbers up to {highest}"
        )
    parts = [(labels[n - 1], p) for n in range(1, highest + 1) for p in polygons(mask == n)]
    shapes = [_shape(label, corners) for label, corners in parts]
    content = {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": picture,
        "imageData": None,
        "imageHeight": mask.shape[0],
        "imageWidth": mask.shape[1],
        _DRAWN: _digest(shapes),
    }
    workspace.write_json(path, content)


def is_ours(path: Path) -> bool:
    """Tell whether a file may be replaced: it is as `write` left it, or there is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
        return content[_DRAWN] == _digest(content["shapes"])
    except FileNotFoundError:
        return True
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _digest(shapes: list) -> str:
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()


def polygons(mask: np.ndarray) -> Iterator[np.ndarray]:
    """Give the outline of each part of a mask, holes joined by cuts.

    Args:
        mask: (H, W) bool.

    Yields:
        (n, 2) float64, x and y in pixels; the pixel of row r and column c covers [c, c + 1] x
        [r, r + 1].
    """
    fine = np.zeros((2 * mask.shape[0] + 1, 2 * mask.shape[1] + 1), np.uint8)
    fine[1::2, 1::2] = mask
    fine = cv2.dilate(fine, _BOX)  # OpenCV's lines run on pixels: these lie on the mask's edges
    rings, family = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for ring, (*_, first, parent) in zip(rings, _rows(family), strict=True):
        if parent < 0:
            holes = [rings[n] for n in _brothers(family, first)]
            yield _simplify([ring, *holes], mask.shape)


def _rows(family: np.ndarray | None) -> np.ndarray:
    """Return OpenCV's hierarchy: next, previous, first child and parent of each ring."""
    return np.empty((0, 4), int) if family is None else family[0]


def _brothers(family: np.ndarray, number: int) -> Iterator[int]:
    while number >= 0:
        yield number
        number = family[0, number, 0]


def _simplify(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Return one outline for a part and its holes, with as few points as show it truly."""
    rings = [_middles(ring) for ring in rings]
    exact = _join([_pixels(ring) for ring in rings])
    top, left, meant = outlines.fill(exact, shape)
    for tolerance in _TOLERANCES:
        reduced = _join([_pixels(_reduce(ring, 2 * tolerance)) for ring in rings])
        row, column, drawn = outlines.fill(reduced, shape)  # never reaches out of `meant`
        rows, columns = drawn.shape
        window = meant[row - top :, column - left :][:rows, :columns]
        both = np.count_nonzero(window & drawn)
        if both >= _ALIKE * (np.count_nonzero(meant) + np.count_nonzero(drawn) - both):
            return reduced
    return exact


def _middles(ring: np.ndarray) -> np.ndarray:
    """Return the middles of the pixels' edges, without the corners that make stairs of a slope."""
    return ring[ring.sum(2).ravel() % 2 == 1]


def _reduce(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Leave out points of a closed line, unless fewer than three would be left."""
    fewer = cv2.approxPolyDP(ring, tolerance, closed=True)
    return fewer if len(fewer) >= 3 else ring


def _pixels(ring: np.ndarray) -> np.ndarray:
    """Return the points of a ring in pixels of the mask."""
    return ring.reshape(-1, 2) / 2


def _join(rings: list[np.ndarray]) -> np.ndarray:
    """Join holes to the first ring, each by a cut between the two points that are closest."""
    outer, trips = rings[0], {}
    if len(rings) == 1:
        return outer
    nearest = spatial.KDTree(outer)
    for hole in rings[1:]:
        gaps, places = nearest.query(hole)
        start = gaps.argmin()
        here = places[start]
        around = [hole[start:], hole[: start + 1], outer[here : here + 1]]
        trips.setdefault(here, []).extend(around)
    line = []
    for number, point in enumerate(outer):
        line += [point[None], *trips.get(number, ())]
    return np.concatenate(line)


def _shape(label: str, corners: np.ndarray) -> dict:
    return {
        "label": label,
        "points": corners.tolist(),
        "group_id": None,
        "description": "",
        "shape_type": "polygon",
        "flags": {},
        "mask": None,
    }
