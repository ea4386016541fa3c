"""When not to trust a predicted mask: one picture, its probability and its mask -> a judgement.

It rests on what is usual for the model: how large, how many parts and of which shape the masks were
that it learned from, and how its pictures looked. Nothing here knows what a hand or a photograph
is; what does not look like those pairs is told apart.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from unet_lib import datasets, runs, workspace

SHIPPED = Path(__file__).parents[1] / "weights" / "lungs.json"
_SIZE = 128  # px, side of the square on which confidence and doubt are measured
_GRID = 16  # cells a side of what is kept of shapes and pictures
_SPECK = 0.01  # share of the foreground below which a part is not counted
_NEGATIVE = -0.35  # a picture that is less like those of the training is inverted
_PAIRS = 200  # pairs of a run's data set that are looked at


@dataclass(frozen=True)
class Limits:
    """What is usual for a model, from the pairs that it was trained on; None: it is not known.

    Attributes:
        area: smallest and largest share of the picture that the foreground takes, in [0, 1].
        parts: connected parts that a mask has.
        doubt: a mask with more doubt than this is to be looked at.
        chests: whether whole frontal chests, upright and with dark lungs, are what it knows.
        shape: (16, 16) float32 in [0, 1], the mean mask, each cut to the box around it.
        likeness: the lowest correlation with `shape` that a mask may have, in [-1, 1].
        picture: (16, 16) float32, the mean picture; None where the pictures have nothing in common.
    """

    area: tuple[float, float] | None = None
    parts: int | None = None
    doubt: float | None = 0.15
    chests: bool = False
    shape: np.ndarray | None = field(default=None, compare=False, repr=False)
    likeness: float = -1.0
    picture: np.ndarray | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Judgement:
    """What is said of one predicted mask.

    Confidence and doubt are measured on 128 x 128 px, to which picture, probability and mask are
    brought by averaging.

    Attributes:
        parts: connected parts (pixels that touch at a corner are connected), not counting those
            that hold less than 1 % of the foreground.
        area_share: share of the picture that the foreground takes, in [0, 1].
        confidence_inside: mean probability inside the mask, in [0, 1]; 0 where it is empty.
        confidence_rim: mean of |2 p - 1| within 2 of the 128 px of the outline, in [0, 1]: 0
            where the model cannot tell inside from outside, 1 where it is sure; 0 without outline.
        doubt: 1 less the Dice that is expected if the probabilities are right, in [0, 1]:
            1 - 2 sum(p inside) / (pixels inside + sum(p everywhere)); 1 where the mask is empty.
        ratio: see `ratio`; None where chests are not what the model knows.
        reasons: why someone should look at it, a line each; empty where nothing speaks against it.
    """

    parts: int
    area_share: float
    confidence_inside: float
    confidence_rim: float
    doubt: float
    ratio: float | None
    reasons: tuple[str, ...]


def judge(
    image: np.ndarray, probability: np.ndarray, mask: np.ndarray, *, limits: Limits
) -> Judgement:
    """Judge a predicted mask by itself, its probability and the picture; nothing else has a say.

    Args:
        image: (H, W) uint8 in [0, 255].
        probability: (H, W) float32 in [0, 1], of all that is foreground.
        mask: (H, W) bool, as it is handed out.
        limits: what is usual for the model.
    """
    share, parts = float(mask.mean()), _count_parts(mask)
    sure, rim, doubt = _confidence(_shrink(probability, _SIZE), _shrink(mask, _SIZE) >= 0.5)
    found = [*_odd_mask(share, parts, doubt, limits), *_odd_picture(image, mask, limits)]
    width = ratio(mask) if limits.chests else None
    return Judgement(parts, share, sure, rim, doubt, width, tuple(found))


def looks_inverted(image: np.ndarray, limits: Limits) -> bool:
    """Tell whether a picture is bright where those of the training are dark and dark where bright.

    Args:
        image: (H, W) uint8.
        limits: where they hold no mean picture, no picture is called inverted.
    """
    if limits.picture is None:
        return False
    return _correlation(_shrink(image, _GRID), limits.picture) < _NEGATIVE


def ratio(mask: np.ndarray) -> float | None:
    """Return the largest width between two lungs over the largest width from wall to wall.

    The width between them is taken along the rows of the upper 20 to 80 % of the height in which
    both lungs are: below, the lungs run out beside the diaphragm. It is a cardiothoracic ratio as
    far as two outlines show one.

    Args:
        mask: (H, W) bool; the two largest of its parts are the lungs.

    Returns:
        A share in [0, 1], or None where no two parts lie beside each other.
    """
    _, places, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:2]
    if len(largest) < 2:
        return None
    left, right = (places == k for k in sorted(largest, key=lambda k: centres[k][0]))
    rows = np.flatnonzero(left.any(1) & right.any(1))
    if not len(rows):
        return None
    left, right = left[rows], right[rows]
    between = right.argmax(1) - (mask.shape[1] - left[:, ::-1].argmax(1))
    across = mask.shape[1] - right[:, ::-1].argmax(1) - left.argmax(1)
    middle = slice(len(rows) // 5, len(rows) - len(rows) // 5)
    return float(max(0, between[middle].max()) / across.max())


def learn(pairs: Iterable[tuple[np.ndarray, np.ndarray]], **known) -> Limits:
    """Find out what is usual in a training set.

    Args:
        pairs: images (H, W) uint8 and masks (H, W), 0 is background; sizes may differ.
        **known: fields of `Limits` that the pairs do not show: `doubt`, `chests`.

    Returns:
        Limits: the area's 0.5th percentile less a fifth to its 99.5th and a fifth more; as many
        parts as nine in ten masks have, if they agree; the first percentile of the masks'
        likeness less 0.1. The mean picture is kept where 99 of 100 pictures are like it.
    """
    shares, counts, shapes, pictures = [], Counter(), [], []
    for image, mask in pairs:
        mask = mask > 0
        shares.append(mask.mean())
        counts[_count_parts(mask)] += 1
        shapes.append(_shape(mask))
        pictures.append(_centred(_shrink(image, _GRID)))
    low, high = np.quantile(shares, (0.005, 0.995))
    parts, agreeing = counts.most_common(1)[0]
    shape, picture = np.mean(shapes, 0), np.mean(pictures, 0)
    alike = [np.quantile([_correlation(one, mean) for one in all_], 0.01)
             for all_, mean in ((shapes, shape), (pictures, picture))]  # fmt: skip
    return Limits(
        area=(0.8 * float(low), min(1.2 * float(high), 1.0)),
        parts=parts if agreeing >= 0.9 * len(shares) else None,
        shape=shape, likeness=float(alike[0]) - 0.1,
        picture=picture if alike[1] > 0 else None, **known,
    )  # fmt: skip


def write(limits: Limits, path: Path) -> None:
    """Write limits beside a model; `limits_for` reads them again."""
    record = dict(vars(limits), area=[round(share, 4) for share in limits.area])
    record |= {"likeness": round(limits.likeness, 3)}
    for name in ("shape", "picture"):
        record[name] = np.round(record[name], 3).tolist()
    workspace.write_json(path, record)


def limits_for(model: Path) -> Limits:
    """Return what is usual for a model.

    Args:
        model: a .keras file or the folder of a run. A JSON file of the same name beside it holds
            the limits; of a run they are learned from (at most 200 of) its training pairs, as
            long as its data set is there unchanged. Without either, only doubt has a limit.
    """
    beside, folder = model.with_suffix(".json"), model if model.is_dir() else model.parent
    if model.is_file() and beside.is_file():
        return _read(beside)
    record = runs.read_record(folder)
    if record is None:
        return Limits()
    data = workspace.data_dir(record["parameters"]["dataset"])
    try:
        manifest = datasets.load_manifest(data)
    except (FileNotFoundError, ValueError):
        return Limits()
    if manifest["data_sha256"] != record["data_sha256"]:
        return Limits()
    names = manifest["split"]["train"]
    names = names[:: max(1, -(-len(names) // _PAIRS))]
    return learn(datasets.read_pair(data, name) for name in names)


def _read(path: Path) -> Limits:
    record = json.loads(path.read_text("utf-8"))
    arrays = {name: np.float32(record[name]) for name in ("shape", "picture")}
    return Limits(**record | arrays | {"area": tuple(record["area"])})


def _odd_mask(share: float, parts: int, doubt: float, limits: Limits) -> Iterable[str]:
    """Say what is unusual about the figures of a mask."""
    if not parts:
        yield "nothing found"
    elif limits.parts is not None and parts != limits.parts:
        yield f"{parts} connected part{'s' * (parts > 1)} instead of {limits.parts}"
    if parts and limits.area and not limits.area[0] <= share <= limits.area[1]:
        low, high = limits.area
        yield f"takes {share:.0%} of the picture, usual are {low:.0%} to {high:.0%}"
    if parts and limits.doubt is not None and doubt > limits.doubt:
        yield f"doubt {doubt:.3f} is above {limits.doubt:g}"


def _odd_picture(image: np.ndarray, mask: np.ndarray, limits: Limits) -> Iterable[str]:
    """Say what is unusual about a picture and the shape of its mask."""
    if looks_inverted(image, limits):
        yield "looks inverted: try --invert auto"
    elif limits.shape is not None and mask.any():
        if _correlation(_shape(mask), limits.shape) < limits.likeness:
            what = "a frontal chest" if limits.chests else "what the model was trained on"
            yield f"does not look like {what}"


def _shrink(picture: np.ndarray, size: int) -> np.ndarray:
    """Bring a picture to (size, size) float32, averaging areas."""
    if picture.dtype == bool:
        picture = picture.astype(np.uint8)
    small = cv2.resize(picture.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return small


def _shape(mask: np.ndarray) -> np.ndarray:
    """Cut a mask to the box around it: (16, 16) float32 in [0, 1]."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return _shrink(mask[top : top + height, left : left + width], _GRID)
