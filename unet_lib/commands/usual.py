"""What is usual for a model: learned from the pairs that it was trained on, kept beside it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from unet_lib import datasets, runs, workspace

SHIPPED = Path(__file__).parents[1] / "weights" / "lungs.json"
_GRID = 16  # cells a side of what is kept of shapes and pictures
_SPECK = 0.01  # share of the foreground below which a part is not counted
_SAME = 0.8  # correlation with the mean mask and picture of lungs.json above which it is a chest
_PAIRS = 100  # pairs of a run's data set that are looked at


@dataclass(frozen=True)
class Limits:
    """What is usual for a model; None: it is not known.

    Attributes:
        area: smallest and largest share of the picture that the foreground takes, in [0, 1].
        parts: connected parts that a mask has.
        doubt: a mask with more doubt than this is to be looked at.
        chests: whether frontal chests are what it knows.
        shape: (16, 16) float in [0, 1], the mean mask, each cut to the box around it.
        likeness: the lowest correlation with `shape` that a mask may have, in [-1, 1].
        picture: (16, 16) float in [0, 255], the mean picture; None where the pictures have
            nothing in common.
        sizes: sides in px at which the model looks at each picture; the mean counts. None: its
            own side alone.
        keep: of a mask this many of its largest parts are kept, their holes filled; None: all as
            they are.
    """

    area: tuple[float, float] | None = None
    parts: int | None = None
    doubt: float | None = 0.1
    chests: bool = False
    shape: np.ndarray | None = field(default=None, compare=False, repr=False)
    likeness: float = -1.0
    picture: np.ndarray | None = field(default=None, compare=False, repr=False)
    sizes: tuple[int, ...] | None = None
    keep: int | None = None


def learn(pairs: Iterable[tuple[np.ndarray, np.ndarray]], **known) -> Limits:
    """Find out what is usual in a training set.

    Args:
        pairs: images (H, W) uint8 and masks (H, W), 0 being background; sizes may differ.
        **known: fields of `Limits` that pairs do not show: `doubt`, `chests`, `sizes`, `keep`.

    Returns:
        Limits: the area's 0.5th percentile less a fifth to its 99.5th and a fifth more; as many
        parts as nine in ten masks have, if they agree; the first percentile of the masks'
        likeness less 0.05. The mean picture is kept where 99 in 100 pictures are rather like the
        mean of the others than unlike it.
    """
    shares, counts, shapes, pictures = [], Counter(), [], []
    for image, mask in pairs:
        mask = mask > 0
        shares.append(mask.mean())
        counts[count_parts(mask)] += 1
        shapes.append(shape_of(mask))
        pictures.append(shrink(image))
    low, high = np.quantile(shares, (0.005, 0.995))
    parts, agreeing = counts.most_common(1)[0]
    shape, lowest = _common(shapes)
    picture, least = _common(pictures)
    return Limits(
        area=(0.8 * float(low), min(1.2 * float(high), 1.0)),
        parts=parts if agreeing >= 0.9 * len(shares) else None,
        shape=shape,
        likeness=lowest - 0.05,
        picture=picture if least > 0 else None,
        **known,
    )


def _common(arrays: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Return their mean, and the first percentile of how like the mean of the others they are."""
    total, others = np.sum(arrays, 0, dtype=float), max(1, len(arrays) - 1)
    likeness = [alike(one, (total - one) / others) for one in arrays]
    return total / len(arrays), float(np.quantile(likeness, 0.01))


def write(limits: Limits, path: Path) -> None:
    """Write limits that were learned beside their model; `limits_for` reads them again."""
    workspace.write_json(path, to_record(limits))


def to_record(limits: Limits) -> dict:
    """Return limits as JSON can hold them; `from_record` makes limits of it again."""
    record = vars(limits) | {"likeness": round(limits.likeness, 3)}
    if limits.area is not None:
        record |= {"area": [round(share, 4) for share in limits.area]}
    if limits.shape is not None:
        record |= {"shape": np.round(limits.shape, 2).tolist()}
    if limits.picture is not None:
        record |= {"picture": np.round(limits.picture).astype(int).tolist()}
    return record


def from_record(record: dict) -> Limits:
    """Return the limits that `to_record` has written down."""
    record = dict(record)
    for name in ("shape", "picture"):
        record[name] = record[name] and np.reshape(record[name], (_GRID, _GRID))
    for name in ("area", "sizes"):
        record[name] = record[name] and tuple(record[name])
    return Limits(**record)


def limits_for(model: Path) -> Limits:
    """Return what is usual for a model.

    Args:
        model: a .keras file or the folder of a run.

    Returns:
        Limits: from the JSON file of the same name beside the model; for a run from its training
        pairs (at most 100), as long as its data set is there unchanged. They are chests if mean
        mask and mean picture are like those of lungs.json. Without either, doubt alone is limited.

    Raises:
        ValueError: the JSON file beside it cannot be read as limits.
    """
    if model.is_file() and model.with_suffix(".json").is_file():
        return _read(model.with_suffix(".json"))
    pairs = _training_pairs(model if model.is_dir() else model.parent)
    if pairs is None:
        return Limits()
    found, lungs = learn(pairs), _read(SHIPPED)
    same = found.picture is not None and alike(found.picture, lungs.picture) > _SAME
    return replace(found, chests=same and alike(found.shape, lungs.shape) > _SAME)


def _training_pairs(run: Path) -> Iterator[tuple[np.ndarray, np.ndarray]] | None:
    """Give pairs that a run was trained on; None if they are not there as they were then."""
    try:
        record = runs.read_record(run)
        folder = workspace.data_dir(record["parameters"]["dataset"])
        manifest = datasets.load_manifest(folder)
        runs.require_same_data(record, manifest["data_sha256"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    names = manifest["split"]["train"]
    return (datasets.read_pair(folder, name) for name in names[:: -(-len(names) // _PAIRS)])


def _read(path: Path) -> Limits:
    try:
        return from_record(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} cannot be read as what is usual for the model beside it ({error!r}); take it"
            " from the same place as the model again, or move it away"
        ) from error


def shrink(picture: np.ndarray, size: int = _GRID) -> np.ndarray:
    """Bring (H, W) to (size, size) float32, averaging areas; bool becomes [0, 1]."""
    if picture.dtype == bool:
        return shrink(picture.astype(np.uint8) * np.uint8(255), size) / 255
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32)


def shape_of(mask: np.ndarray) -> np.ndarray:
    """Cut a mask (H, W) bool to the box around it: (16, 16) float32 in [0, 1]; 0 if empty."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return shrink(mask[top : top + height, left : left + width] if width else mask)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two arrays of one shape, in [-1, 1]; 0 where one is flat."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / size if size > 1e-6 else 0.0


def count_parts(mask: np.ndarray) -> int:
    """Count the connected parts of a mask (H, W) bool, but for those below 1 % of its area."""
    sizes = cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:, cv2.CC_STAT_AREA]
    return int(np.count_nonzero(sizes >= _SPECK * sizes.sum()))
