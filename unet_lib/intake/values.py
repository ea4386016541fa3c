"""One mask file -> which values it holds, and which of them are labels.

A mask that was drawn holds a few values in solid areas: **labels**. A mask that was resized, or
saved as JPEG, holds others besides, along the borders between two labels and close to them; they
say nothing of their own and belong to the nearest label. A thin line amid one label is a label too.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from unet_lib.intake import edges
from unet_lib.intake.formats import Raster

Key = int | str
"""What a pixel says: a grey value, a colour as "#rrggbb", "transparent", or the name of a label."""

TRANSPARENT = "transparent"

_SOLID = 0.3  # share of a label's pixels, at least, whose eight neighbours hold the same value
_WIDE = 128  # levels between two labels, at least, between which a border can be soft
_NEAR = 16  # levels by which JPEG changes a label
_MANY = 8  # values without a solid area, at least, that tell of JPEG or resizing
_LINE = 32  # pixels, at least, of a line that is a label though it fills no area
_FAINT = 15
_COLOURS = 64  # distinct colours above which JPEG or resizing made some: taken in steps of 64
_STEP = 64


@dataclass(frozen=True)
class Values:
    """One mask, each pixel an index into `keys`.

    Attributes:
        codes: (H, W) uint8 or uint16.
        keys: what each index means.
        form: "" for grey values, "colour", "alpha" (the mask was the alpha channel), "transparent"
            (colours and alpha both vary), or "label" (drawn from an annotation).
        coarse: whether there were so many colours that they were rounded to steps of 64.
    """

    codes: np.ndarray
    keys: tuple[Key, ...]
    form: str = ""
    coarse: bool = False

    @cached_property
    def pixels(self) -> np.ndarray:
        """Number of pixels of each key, (len(keys),) int64."""
        return tally(self.codes, len(self.keys))

    @cached_property
    def solid(self) -> np.ndarray:
        """Number of pixels of each key that lie amid their like, (len(keys),) int64."""
        return tally(self.codes, len(self.keys), where=_amid(self.codes))

    @cached_property
    def labels(self) -> tuple[np.ndarray, tuple[Key, ...], np.ndarray]:
        """What `find_labels` returns."""
        return find_labels(self)


@dataclass(frozen=True)
class Counts:
    """What one mask holds, label by label; the pixels of a soft border count for the nearest label.

    Attributes:
        shape: height and width in px.
        pixels: label to number of pixels.
        border: label to number of pixels on the edge of the picture; a narrow frame of 0, such as
            padding leaves, is cut off before.
        soft: number of pixels that hold no label themselves.
        broad: whether more of these lie together than a soft border explains.
        faint: whether all that is not 0 is scattered and at most 15: noise, not a drawing.
        form: see `Values`.
        framed: whether there was such a frame.
        between: the values that are no labels themselves.
    """

    shape: tuple[int, int]
    pixels: dict[Key, int]
    border: dict[Key, int]
    soft: int
    broad: bool
    faint: bool
    form: str
    framed: bool = False
    between: frozenset[Key] = frozenset()


def read_values(raster: Raster) -> Values:
    """Return the values of a mask file as it is stored.

    An alpha channel that is the same everywhere is dropped. One that varies over a single colour is
    the mask. Where both vary, pixels hold no colour that have at most half of their colour's alpha:
    of the largest that it has in a solid area, for tools draw at an opacity of 40 % as well.
    """
    pixels, alpha = raster.pixels, raster.alpha
    if alpha is None or alpha.min() == alpha.max():
        return _index(pixels)
    if (pixels == pixels[:1, :1]).all():
        grey = _index(alpha)
        return Values(grey.codes, grey.keys, "alpha")
    seen = _index(pixels)
    solid = (_amid(seen.codes) & _amid(alpha)) > 0
    full = np.zeros(len(seen.keys), alpha.dtype)
    np.maximum.at(full, seen.codes[solid], alpha[solid])
    full[full <= alpha.max() // 8] = alpha.max()  # without such an area, or one that nobody sees
    opaque = alpha > full[seen.codes] // 2
    codes = np.where(opaque, seen.codes.astype(np.uint16), np.uint16(len(seen.keys)))
    left, codes = np.unique(codes, return_inverse=True)  # without colours that nobody sees
    keys = (*seen.keys, TRANSPARENT)
    codes = codes.reshape(alpha.shape).astype(np.uint16)
    return Values(codes, tuple(keys[k] for k in left), "transparent")


def _amid(codes: np.ndarray) -> np.ndarray:
    """Return (H, W) uint8, 255 where all eight neighbours hold the same, else 0."""
    box = np.ones((3, 3), np.uint8)
    return cv2.compare(cv2.erode(codes, box), cv2.dilate(codes, box), cv2.CMP_EQ)


def from_plane(plane: np.ndarray, name: str) -> Values:
    """Return the values of one label of an annotation.

    Args:
        plane: (H, W) bool, true where the label was drawn.
        name: the label's name.
    """
    return Values(plane.astype(np.uint8), (0, name), "label")


def tally(codes: np.ndarray, length: int, *, where: np.ndarray | None = None) -> np.ndarray:
    """Count each number below `length`, as `np.bincount` does but for its copy as int64.

    Args:
        codes: (H, W) uint8 or uint16.
        length: above the largest of them.
        where: (H, W) uint8, 0 where a pixel is not counted.
    """
    total = np.zeros(length, np.int64)
    rows = max(1, 2**22 // codes.shape[1])  # the histogram counts in float32
    for start in range(0, len(codes), rows):
        part = slice(start, start + rows)
        inside = None if where is None else where[part]
        total += cv2.calcHist([codes[part]], [0], inside, [length], [0, length]).ravel().astype(int)
    return total


def find_labels(values: Values) -> tuple[np.ndarray, tuple[Key, ...], np.ndarray]:
    """Tell labels from what lies between them.

    A grey mask with a soft border between a label of at most 16 and one of at least 240 has the
    labels 0 and 255, whatever its own two are: 3 and 252 in a JPEG, say.

    Returns:
        The place of each value's label among the labels, (len(keys),) int; the labels; and which
        values are labels themselves, (len(keys),) bool.
    """
    if len(values.keys) <= 2:
        return np.arange(len(values.keys)), values.keys, np.ones(len(values.keys), bool)
    points, pixels = np.array([_point(key) for key in values.keys], float), values.pixels
    drawn, lossy = _drawn(values, points)
    near = (_STEP if values.coarse else _NEAR) if lossy else 0
    drawn |= _line(values, drawn)
    labels: list[int] = []
    for k in sorted(np.flatnonzero(drawn), key=lambda k: -pixels[k]):
        if not (near and labels and _gap(points[labels], points[k]) <= near):
            labels.append(k)  # the largest first: what JPEG made of it joins it
    labels += [k for k in np.flatnonzero(~drawn) if not _between(points[labels], points[k], near)]
    places = np.abs(points[:, None] - points[None, labels]).max(2).argmin(1)
    names = [values.keys[k] for k in labels]
    if len(values.keys) > len(labels) == 2 and all(isinstance(name, int) for name in names):
        if min(names) <= _NEAR and max(names) >= 255 - _NEAR + 1:
            names = [0 if name == min(names) else 255 for name in names]
    return places, tuple(names), np.isin(np.arange(len(points)), labels)


def _drawn(values: Values, points: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return which values fill areas, and whether JPEG or resizing made others."""
    if (points.max(0) - points.min(0)).max() < _WIDE:
        return np.ones(len(points), bool), False  # too close for a soft border
    drawn = values.solid >= _SOLID * values.pixels
    drawn[values.pixels.argmax()] = True
    lossy = values.coarse or (~drawn).sum() >= _MANY
    if lossy and not values.form:
        drawn[[points[:, 0].argmin(), points[:, 0].argmax()]] = True
    return drawn, bool(lossy)


def _line(values: Values, drawn: np.ndarray) -> np.ndarray:
    """Return which value is a thin line, a tube say, if it is the one grey beside the labels.

    A border has darker and brighter pixels beside it, a line only one of both. Where there are more
    greys, lines that were resized or blurred look alike.
    """
    grey = all(isinstance(key, int) for key in values.keys)
    if np.count_nonzero(~drawn) != 1 or not grey:
        return np.zeros_like(drawn)
    grey = np.array(values.keys, np.uint16)[values.codes]
    box = np.ones((7, 7), np.uint8)
    border = (cv2.erode(grey, box) < grey) & (grey < cv2.dilate(grey, box))
    amid = values.pixels - tally(values.codes, len(drawn), where=border.astype(np.uint8))
    return ~drawn & (amid >= _LINE) & (2 * amid > values.pixels)


def count(values: Values) -> Counts:
    """Count a mask's labels; see `Counts`."""
    places, labels, own = values.labels
    edge, framed = edges.along(values.codes, places, labels)
    numbers, borders = (
        np.bincount(places, weights=found, minlength=len(labels)).astype(int).tolist()
        for found in (values.pixels, tally(edge, len(values.keys)))
    )
    soft = int(values.pixels[~own].sum())
    return Counts(
        shape=values.codes.shape,
        pixels=dict(zip(labels, numbers, strict=True)),
        border=dict(zip(labels, borders, strict=True)),
        soft=soft,
        broad=bool(soft) and _is_broad(values, places, own),
        faint=_is_faint(values),
        form=values.form,
        framed=framed,
        between=frozenset(values.keys).difference(labels),
    )


def _index(pixels: np.ndarray) -> Values:
    """Return the values of grey or colour pixels; grey ones as numbers, others as "#rrggbb"."""
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        deep = pixels.max() > 255  # else labels as small as those of 8 bits
        pixels = (pixels >> 8 if deep else pixels).astype(np.uint8)
    if pixels.ndim == 2:
        return _index_grey(pixels)
    packed = _pack(pixels)
    colours, codes = np.unique(packed, return_inverse=True)
    if coarse := len(colours) > _COLOURS:
        packed = _pack(np.minimum(np.round(pixels / _STEP) * _STEP, 255))
        colours, codes = np.unique(packed, return_inverse=True)
    codes = codes.reshape(packed.shape).astype(np.uint16)
    return Values(codes, tuple(map(_name, colours)), "colour", coarse)


def _index_grey(pixels: np.ndarray) -> Values:
    """Return the values of (H, W) uint8 or uint16 pixels."""
    most = np.iinfo(pixels.dtype).max
    present = np.flatnonzero(tally(pixels, most + 1))
    if len(present) > 256 and present[-1] > 2**15:  # a soft border of 16 bits
        return _index((pixels >> 8).astype(np.uint8))
    table = np.zeros(most + 1, pixels.dtype)
    table[present] = np.arange(len(present))
    codes = cv2.LUT(pixels, table) if most == 255 else table[pixels]
    return Values(codes, tuple(present.tolist()))


def _pack(pixels: np.ndarray) -> np.ndarray:
    wide = np.asarray(pixels, np.int32)
    return (wide[..., 0] << 16) + (wide[..., 1] << 8) + wide[..., 2]


def _name(colour: int) -> Key:
    red, green, blue = colour >> 16, colour >> 8 & 255, colour & 255
    return int(red) if red == green == blue else f"#{colour:06x}"


def _point(key: Key) -> tuple[float, float, float]:
    """Return where a value lies among the colours; names and transparency lie far from all."""
    if isinstance(key, int):
        return (key, key, key)
    if key.startswith("#"):
        return tuple(int(key[i : i + 2], 16) for i in (1, 3, 5))
    return (-1000, -1000, -1000)


def _gap(points: np.ndarray, point: np.ndarray) -> float:
    """Return the distance to the nearest of `points`, in levels of the most different channel."""
    return float(np.abs(points - point).max(1).min())


def _between(labels: np.ndarray, point: np.ndarray, near: float) -> bool:
    """Tell whether a value can be a soft border: close to a label, or between two far ones."""
    if _gap(labels, point) <= near:
        return True
    way = labels[None] - labels[:, None]
    length = np.maximum((way**2).sum(2), 1)
    share = ((point - labels)[:, None] * way).sum(2) / length
    off = np.abs(labels[:, None] + share[..., None] * way - point).max(2)
    far = np.abs(way).max(2) >= _WIDE
    return bool((far & (share > 0) & (share < 1) & (off <= max(near, 4))).any())


def _is_faint(values: Values) -> bool:
    if values.form or values.keys in ((0,), (0, 1)) or max(values.keys) > _FAINT:
        return False
    drawn = values.solid >= _SOLID * values.pixels
    return not drawn[np.array(values.keys) > 0].any()


def _is_broad(values: Values, places: np.ndarray, own: np.ndarray) -> bool:
    """Tell whether what is soft is an area rather than a border, as in a photograph."""
    points = np.array([_point(key) for key in values.keys], float)
    centres = np.array([points[own & (places == p)][0] for p in range(places.max() + 1)])
    soft = (np.abs(points - centres[places]).max(1) > 2 * _NEAR)[values.codes].astype(np.uint8)
    side = 2 * max(4, min(soft.shape) // 32) + 1
    deep = cv2.erode(soft, np.ones((side, side), np.uint8), borderValue=0)
    return bool(soft.mean() > 0.4 or deep.sum() > 0.01 * soft.sum())
