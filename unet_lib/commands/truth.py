"""True masks for predicted ones: read one by one, scored, summed up.

Which file belongs to which picture and what its values mean is told by the rooms of the intake.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unet_lib import metrics, workspace
from unet_lib.commands import truth_files
from unet_lib.intake import masks, partners, reading, values
from unet_lib.intake.looks import TURNED, Progress
from unet_lib.intake.partners import Partners
from unet_lib.intake.values import Counts

_NAMED = 5  # pictures that a message names
_TURNED = "its true mask fits far better"
_DOUBTFUL = ("stray value in a mask", "foreground along the border")


@dataclass(frozen=True)
class Truth:
    """The true masks of a set of pictures; none is held in memory.

    Attributes:
        files: by its real path, the mask files of each picture that has some; several are joined.
        faults: by its real path, why the mask of a picture cannot be used.
        notes: sentences to print: what was left out or is doubtful.
        meaning: what the values of the masks mean.
    """

    files: dict[str, tuple[Path, ...]]
    faults: dict[str, str]
    notes: list[str]
    meaning: masks.Meaning

    def read(self, picture: Path, *, shape: tuple[int, int]) -> np.ndarray | None:
        """Return the true mask of a picture, or None if it has none.

        It is (H, W) bool, or uint8 numbers of the classes that the masks tell apart.

        Args:
            picture: one of those that `find` was given.
            shape: height and width of the prediction in px; a mask of another size but the same
                proportions is resized to it, each pixel the nearest one.

        Raises:
            OSError, ValueError: its mask cannot be used; the message says why.
        """
        key = os.path.realpath(picture)
        if key in self.faults:
            raise ValueError(self.faults[key])
        if key not in self.files:
            return None
        found = [each for path in self.files[key] for each in truth_files.read(path, picture)[0]]
        for each in found:
            _check_size(each.codes.shape, shape, picture)
        mask = reading.finish_mask(found, self.meaning, shape)
        return mask if self.meaning.classes else mask > 0


def find(
    pictures: Iterable[Path],
    folder: Path,
    *,
    mask_values: str = "auto",
    classes: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> Truth:
    """Find the true masks of pictures in a folder, and what the values of all of them mean.

    Args:
        pictures: files with one picture each.
        folder: masks, or a whole data set with masks in it; links are followed.
        mask_values: see `masks.decide`.
        classes: names of those that the prediction tells apart; "auto" takes them where the masks
            hold such labels, as LabelMe's do, else their numbers.
        progress: called with (masks examined, masks in all).

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no mask of these pictures that can be used, what they mean is not
            plain, or they tell other classes apart.
    """
    wanted = {os.path.realpath(picture): Path(picture) for picture in pictures}
    found = partners.find(wanted.values(), Path(folder))
    counts = _look_at_all(found, wanted, progress)
    line = _line(counts, classes)
    mask_values = line if classes and mask_values.strip() == "auto" else mask_values
    meaning = _decide(counts, mask_values)
    if classes and meaning.classes != classes:
        raise ValueError(
            f"the model tells {', '.join(classes)} apart, the true masks"
            f" {', '.join(meaning.classes) or 'foreground and background'}; name what their values"
            f" mean in the model's order, as in --mask-values {line!r}"
        )
    for key, held in counts.items():
        if fault := _without_meaning(held.values(), meaning):
            found.faults[key] = fault
    files = {key: paths for key, paths in found.masks.items() if key not in found.faults}
    if not files:
        why = next(iter(found.faults.values()))
        raise ValueError(f"no true mask in {workspace.shown(folder)} can be used; the first: {why}")
    notes = [f"{fault}: {name}{more}" for fault, name, more in meaning.notes if fault in _DOUBTFUL]
    notes += truth_files.empty(counts, files, meaning)
    notes += truth_files.second_readers(counts, files, wanted)
    notes += truth_files.copies(counts, files, wanted)
    return Truth(files, found.faults, found.notes + notes, meaning)


def score(
    mask: np.ndarray, prediction: np.ndarray, *, spacing: tuple[float, float] | None = None
) -> dict[str, float | None]:
    """Score a prediction against the true mask.

    Args:
        mask: (H, W) bool, the truth.
        prediction: (H, W) bool.
        spacing: height and width of a pixel in mm, if they are known.

    Returns:
        dice; hd95_px, the 95th percentile of the distances between the outlines in pixels; hd95_mm,
        the same in mm, or None where a pixel's size is not known or it is not square within 1 %.

    Raises:
        ValueError: the shapes differ.
    """
    dice = metrics.dice(mask, prediction)
    box = _box_of_both(mask, prediction)
    distance = metrics.surface_score(mask[box], prediction[box], tolerance=1)["hd95"]
    square = spacing and abs(spacing[0] / spacing[1] - 1) <= 0.01
    length = distance * (spacing[0] + spacing[1]) / 2 if square else None
    return {"dice": dice, "hd95_px": distance, "hd95_mm": length}


def score_classes(
    mask: np.ndarray,
    prediction: np.ndarray,
    classes: tuple[str, ...],
    *,
    spacing: tuple[float, float] | None = None,
) -> dict[str, float | None]:
    """Score a prediction of several classes: the means of what `score` gives for each of them.

    Args:
        mask: (H, W) uint8, numbers of classes, the truth.
        prediction: (H, W) uint8, the same.
        classes: names of the classes, in the order of their numbers; none for one class.
        spacing: see `score`.

    Returns:
        As `score`, and "dice:<name>" for each class.
    """
    if not classes:
        return score(mask > 0, prediction > 0, spacing=spacing)
    each = [score(mask == n, prediction == n, spacing=spacing) for n in range(1, len(classes) + 1)]
    found = {
        name: None if each[0][name] is None else float(np.mean([one[name] for one in each]))
        for name in each[0]
    }
    return found | {f"dice:{n}": one["dice"] for n, one in zip(classes, each, strict=True)}


def turned(mask: np.ndarray, prediction: np.ndarray) -> str:
    """Return how a true mask would fit a prediction far better, or "": one of both was turned.

    Args:
        mask: (H, W) bool, or numbers of classes, the truth.
        prediction: (H, W), the same.
    """
    mask, prediction = mask > 0, prediction > 0
    own = metrics.dice(mask, prediction)
    if own > 0.8:
        return ""
    ways = [np.rot90(each, n) for each in (mask, mask[:, ::-1]) for n in range(4)][1:]
    fits = [metrics.dice(w, prediction) if w.shape == mask.shape else 0.0 for w in ways]
    best = int(np.argmax(fits))
    if fits[best] < max(0.7, own + 0.2):
        return ""
    return f"{_TURNED} {TURNED[best]} (Dice {fits[best]:.2f}): mask or picture was turned"


def summary(rows: Iterable[dict]) -> str:
    """Return in two sentences how good predictions are.

    Args:
        rows: of predictions.csv, with "file", and "dice" and "hd95_px" as numbers or text; empty
            or missing where a picture was not scored.
    """
    rows = list(rows)
    scored = [row for row in rows if row.get("dice") not in (None, "")]
    left = [str(row["file"]) for row in rows if row.get("dice") in (None, "")]
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    told = f"Not scored: {len(left)} ({', '.join(left[:_NAMED])}{more})." if left else ""
    if not scored:
        return f"No picture was scored. {told}".strip()
    dice, distance = ([float(row[name]) for row in scored] for name in ("dice", "hd95_px"))
    mean = metrics.summarize(dice)
    classes = [name for name in scored[0] if name.startswith("dice:")]
    each = [f"{name[5:]} {np.mean([float(row[name]) for row in scored]):.3f}" for name in classes]
    told = f"Dice of {', '.join(each)}. {told}" if each else told
    if odd := sum(_TURNED in row.get("notes", "") for row in scored):
        told = f"{odd} true mask(s) fit far better when they are turned: see `notes`. {told}"
    return (
        f"Against the true masks of {len(scored)} picture(s): Dice {mean['mean']:.3f} on average"
        f" (95 % interval {mean['low']:.3f} to {mean['high']:.3f}), median {mean['median']:.3f},"
        f" 5th percentile {np.percentile(dice, 5):.3f}; HD95 {np.median(distance):.1f} px (median)."
        f" {told}"
    ).strip()


def _look_at_all(
    found: Partners, wanted: dict[str, Path], progress: Progress | None
) -> dict[str, dict[str, Counts]]:
    """Return what the masks of each picture hold; those that cannot be used become faults."""
    counts = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = pool.map(lambda key: _look(found.masks[key], wanted[key]), found.masks)
        for number, (key, look) in enumerate(zip(found.masks, looks, strict=True), 1):
            if isinstance(look, str):
                found.faults[key] = look
            else:
                counts[key] = look
            if progress:
                progress(number, len(found.masks))
    return counts


def _line(counts: dict[str, dict[str, Counts]], classes: tuple[str, ...]) -> str:
    """Return `mask_values` for classes: by their names if masks hold such labels, or by number."""
    held = {key for looks in counts.values() for count in looks.values() for key in count.pixels}
    named = not held.isdisjoint(classes)
    return ", ".join(f"{c}={c if named else number}" for number, c in enumerate(classes, 1))


def _decide(counts: dict[str, dict[str, Counts]], mask_values: str) -> masks.Meaning:
    """Decide what the values of all masks mean, but of none if there are none."""
    joined = {name: count for held in counts.values() for name, count in held.items()}
    try:
        return masks.decide(joined, mask_values if joined else "auto")
    except ValueError as error:
        raise ValueError(f"{error}; with predict: --mask-values, and these values") from None


def _look(paths: tuple[Path, ...], picture: Path) -> dict[str, Counts] | str:
    """Return what the masks of a picture hold, by a name to show, or why they cannot be used."""
    held = {}
    for path in paths:
        shown = workspace.shown(path)
        try:
            found, notes = truth_files.read(path, picture)
        except (OSError, ValueError) as error:
            return f"{shown}: {getattr(error, 'strerror', None) or error}"
        if "no annotation" in notes:
            return f"{shown} holds no annotation of it; annotate it"
        for each in found:
            label = f" ({picture.name}, {each.keys[-1]})" if each.form == "label" else ""
            held[shown + label] = count = values.count(each)
            if count.broad:
                return f"{shown} is a grey picture, not a mask; name the folder of the masks"
    return held


def _without_meaning(held: Iterable[Counts], meaning: masks.Meaning) -> str:
    """Return why masks cannot be used whose values are plain, or ""."""
    held = list(held)
    if any(masks.covers(count, meaning) == "full" for count in held):
        return "its true mask covers the whole picture; draw or export it again"
    if meaning.asked == "auto" and any(count.faint for count in held):
        return "its true mask is scattered and faint: noise, not a drawing; export it again"
    return ""


def _check_size(size: tuple[int, int], shape: tuple[int, int], picture: Path) -> None:
    """Refuse a mask of other proportions, unless it lies on the pixels that the file stores."""
    fits = size == shape or reading.same_proportions(size, shape)
    if not fits and size != truth_files.stored(picture):
        raise ValueError(
            "its true mask has {} x {} px (height x width), the picture {} x {} px; a mask has its"
            " picture's proportions within 1 %: draw or export it again".format(*size, *shape)
        )


def _box_of_both(mask: np.ndarray, prediction: np.ndarray) -> tuple[slice, slice]:
    """Return the box around two masks, in which their distances are as in the whole picture."""
    if not (mask.any() and prediction.any()):
        return slice(None), slice(None)  # then the picture's diagonal counts
    left, top, width, height = cv2.boundingRect((mask | prediction).astype(np.uint8))
    return slice(top, top + height), slice(left, left + width)
