"""Outlines, discs, PNG patches and run lengths -> the planes of one picture, by label.

What belongs to an outline: the pixel of row r and column c covers [c, c + 1] x [r, r + 1], so its
centre lies at (c + 0.5, r + 0.5); it belongs to an outline if its centre lies inside (even-odd
rule, where an outline crosses itself). So areas are right without bias, and neighbours share no
pixel. `cv2.fillPoly`, Pillow and LabelMe's own export draw the pixels under the line as well, half
a pixel more on each side.

Coordinates are those of the upright picture, as LabelMe shows it: x to the right, y down, in
pixels. Several outlines of one label are a union, each filled alone; only run lengths (RLE) and
patches can hold a hole.
"""

import base64
import io
import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from PIL import Image

FARTHEST = 1_000_000
"""No coordinate may lie farther than this from the picture's corner, in pixels."""

Piece = tuple[int, int, np.ndarray]
"""Top row, left column, and the (h, w) bool pixels of a small part of a plane."""


@dataclass(frozen=True)
class Planes:
    """The annotations of one picture.

    Attributes:
        masks: label name -> (H, W) bool, at the size of the picture. Planes may overlap. A label
            of which every shape was ignored is missing.
        notes: fault -> detail, to be printed right behind the file's name.
    """

    masks: dict[str, np.ndarray]
    notes: dict[str, str]


class Drawing:
    """The planes of one picture while they are drawn, and what is noted on the way.

    Everywhere, `label` names the plane and `owner` the shape, for notes and refusals.

    Attributes:
        shape: rows and columns of the picture.
    """

    def __init__(self, shape: tuple[int, int]):
        self.shape = tuple(shape)
        self._masks, self._outlines = {}, defaultdict(list)
        self._notes = defaultdict(list)

    def planes(self) -> Planes:
        """Return what was drawn; if that is nothing, a note says so."""
        if not self._masks:
            ignored = any(fault.endswith("ignored") for fault in self._notes)
            self.note("no annotation", "all was ignored" if ignored else "none is listed")
        details = {fault: ": " + "; ".join(texts) for fault, texts in self._notes.items()}
        return Planes(self._masks, details)

    def note(self, fault: str, text: str) -> None:
        """Note one case of a fault."""
        self._notes[fault].append(text)

    def check_size(self, height, width) -> None:
        """Compare the picture's size with the one that its annotations name.

        Args:
            height: as it stands in the file; a whole number in text is taken as one.
            width: likewise.

        Raises:
            ValueError: it is another one, or no number.
        """
        height, width = _number(height), _number(width)
        if None in (height, width):
            return self.note("annotation without picture size", "taken to be this picture's")
        if (height, width) == self.shape:
            return None
        if odd := [value for value in (height, width) if not isinstance(value, int | float)]:
            raise ValueError(
                f"the height and width of its picture must be numbers, got {short(odd[0])}; export"
                f" the annotations again (this picture has {self.shape[0]} x {self.shape[1]} px)"
            )
        remedy = "annotate this picture, or put the annotated one in its place"
        if (width, height) == self.shape:
            remedy = (
                "exactly transposed: an orientation flag is the likely cause; annotate the picture"
                " as it is shown upright, or store it upright without the flag"
            )
        raise ValueError(
            f"made for a picture of {short(height)} x {short(width)} px (height x width), but the"
            f" picture has {self.shape[0]} x {self.shape[1]} px; {remedy}"
        )

    def polygon(self, label: str, owner: str, corners: np.ndarray) -> None:
        """Draw a filled polygon; corners: (n, 2) float64."""
        self._outline(label, owner, corners, fill(corners, self.shape))

    def circle(self, label: str, owner: str, centre: np.ndarray, rim: np.ndarray) -> None:
        """Draw the disc around `centre` whose rim passes through `rim`; (2,) float64 each."""
        radius = math.dist(centre, rim)
        y, x = np.ogrid[: self.shape[0], : self.shape[1]]
        disc = np.hypot(x + 0.5 - centre[0], y + 0.5 - centre[1]) <= radius
        self._outline(label, owner, np.array([centre - radius, centre + radius]), (0, 0, disc))

    def patch(self, label: str, owner: str, corners: np.ndarray, text: str) -> None:
        """Draw LabelMe's mask: a PNG in base64 (not black: inside), at its box of two corners.

        Raises:
            ValueError: no PNG, or its size is not that of the box.
        """
        pixels = _decode_patch(text, corners, owner)
        self._note_clipping(owner, corners)
        (left, top), (height, width) = corners.min(0).round().astype(int), self.shape
        pixels = pixels[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
        self._paste(label, (max(top, 0), max(left, 0), pixels))

    def runs(self, label: str, owner: str, encoded: dict) -> None:
        """Draw COCO's run lengths {"size": [H, W], "counts": list or string}.

        Raises:
            ValueError: they belong to another size, or do not sum up to it.
        """
        self._paste(label, (0, 0, _decode_runs(encoded, self.shape, owner)))

    def _paste(self, label: str, piece: Piece) -> None:
        top, left, pixels = piece
        plane = self._masks.setdefault(label, np.zeros(self.shape, bool))
        plane[top : top + pixels.shape[0], left : left + pixels.shape[1]] |= pixels

    def _outline(self, label: str, owner: str, corners: np.ndarray, piece: Piece) -> None:
        """Join a filled outline to its plane and compare it with the label's other outlines."""
        if not piece[2].any():
            return self.note("annotation ignored", f"{owner} covers no pixel of the picture")
        self._note_clipping(owner, corners)
        piece = _trim(piece)
        for other, older in self._outlines[label]:
            if _holds(older, piece):
                self.note("ring inside a ring", f"{owner} in {other}")
            elif _holds(piece, older):
                self.note("ring inside a ring", f"{other} in {owner}")
        self._outlines[label].append((owner, piece))
        self._paste(label, piece)

    def _note_clipping(self, owner: str, corners: np.ndarray) -> None:
        """Note what reaches out of the picture by more than a pixel."""
        if (corners < -1).any() or (corners > np.array(self.shape[::-1]) + 1).any():
            self.note("annotation clipped", f"{owner} reaches out of the picture")


def points(values: list, owner: str) -> np.ndarray:
    """Return x, y, x, y ... as (n, 2) float64.

    Raises:
        ValueError: not a list of finite numbers in pairs; the message names the `owner`.
    """
    if not isinstance(values, list):
        raise ValueError(f"{owner} needs a list of points, got {short(values)}; draw it again")
    for value in values:
        if type(value) not in (int, float) or not abs(value) <= FARTHEST:
            raise ValueError(
                f"{owner} needs finite numbers as coordinates, up to {FARTHEST:,} px, got"
                f" {short(value)}; draw it again"
            )
    if len(values) % 2:
        raise ValueError(f"{owner} needs pairs x, y, got {len(values)} numbers; draw it again")
    return np.array(values, float).reshape(-1, 2)


def fill(corners: np.ndarray, shape: tuple[int, int]) -> Piece:
    """Return the pixels of a picture whose centres lie in a polygon.

    By hand, for OpenCV and Pillow cannot leave out the pixels under the line. Each edge crosses
    rows of pixel centres; right of an odd number of crossings is inside.

    Args:
        corners: (n, 2) float64, x and y in pixels; the last joins the first.
        shape: rows and columns of the picture.

    Returns:
        Top row, left column and (h, w) bool pixels; what lies outside the picture is cut off.
    """
    following = np.roll(corners, -1, 0)
    down = (corners[:, 1] <= following[:, 1])[:, None]  # an edge is the same in both directions
    upper, lower = np.where(down, corners, following), np.where(down, following, corners)
    first, stop = (np.ceil(e[:, 1] - 0.5).clip(0, shape[0]).astype(int) for e in (upper, lower))
    count = stop - first
    edge = np.repeat(np.arange(len(corners)), count)
    if not len(edge):
        return 0, 0, np.zeros((0, 0), bool)
    row = np.arange(len(edge)) + np.repeat(stop - np.cumsum(count), count)
    run, rise = (lower - upper)[edge].T
    x = upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * run / rise
    column = np.ceil(x - 0.5).clip(0, shape[1]).astype(int)
    top, left = int(row.min()), int(column.min())
    crossings = np.zeros((row.max() + 1 - top, column.max() + 1 - left), np.uint8)
    np.add.at(crossings, (row - top, column - left), 1)
    np.cumsum(crossings, axis=1, dtype=np.uint8, out=crossings)
    return top, left, (crossings[:, :-1] & 1).view(bool)


def _number(value):
    """Return a whole number that was written as text, "256"; all else as it is."""
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else value


def short(value) -> str:
    """Return a value for an error message, in plain letters and at most 60 of them."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _trim(piece: Piece) -> Piece:
    """Cut a piece down to the box around its pixels."""
    top, left, pixels = piece
    rows, columns = (np.flatnonzero(pixels.any(axis)) for axis in (1, 0))
    box = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return top + int(rows[0]), left + int(columns[0]), box


def _holds(outer: Piece, inner: Piece) -> bool:
    """Tell whether a trimmed piece lies in a larger one."""
    (top, left, pixels), (row, column, small) = outer, inner
    row, column = row - top, column - left
    if row < 0 or column < 0:
        return False
    window = pixels[row : row + small.shape[0], column : column + small.shape[1]]
    if window.shape != small.shape or (small > window).any():
        return False
    return np.count_nonzero(small) < np.count_nonzero(pixels)


def _decode_patch(text: str, corners: np.ndarray, owner: str) -> np.ndarray:
    try:
        if len(corners) != 2:
            raise ValueError(f"its box needs two corners, got {len(corners)}")
        width, height = np.ptp(corners, axis=0).round().astype(int) + 1  # the last pixel counts
        with Image.open(io.BytesIO(base64.b64decode(text)), formats=["PNG"]) as picture:
            if max(abs(picture.width - width), abs(picture.height - height)) > 1:
                raise ValueError(
                    f"its PNG has {picture.width} x {picture.height} px (width x height), its box"
                    f" {width} x {height}"
                )
            return np.asarray(picture.convert("L")) > 0  # 16 bits are clipped, so 1 stays 1
    except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{owner} cannot be read as a mask: {error}; draw it again") from None


def _decode_runs(encoded: dict, shape: tuple[int, int], owner: str) -> np.ndarray:
    """Return the (H, W) bool behind run lengths: down the columns, the first run is background."""
    size, counts = encoded.get("size"), encoded.get("counts")
    size = [*map(_number, size)] if isinstance(size, list) else size
    if size != list(shape):
        raise ValueError(
            f"{owner} has run lengths for a picture of {short(size)} (height, width), but the"
            f" picture has {list(shape)}; export the annotations again"
        )
    counts = _unpack(counts) if isinstance(counts, str) else counts
    good = isinstance(counts, list) and all(type(n) is int and n >= 0 for n in counts)
    if not good or sum(counts) != math.prod(size):
        came = f"a sum of {sum(counts)}" if good else short(encoded.get("counts"))
        raise ValueError(
            f"{owner} needs run lengths that sum up to the picture's {math.prod(size)} pixels, got"
            f" {came}; export the annotations again"
        )
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(size[::-1]).T


def _unpack(text: str) -> list[int] | None:
    """Return the run lengths in COCO's string, or None if it is none.

    By hand, for pycocotools would be a compiled dependency for these lines. A character holds five
    bits, the lowest first, above a code of 48; bit 6 says that more follow, bit 5 of the last is
    the sign. From the fourth on, a number is the difference to the one before the last.
    """
    counts, value, shift = [], 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return None if shift else counts
