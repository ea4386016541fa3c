"""Files of true masks: read one; say what is doubtful about all of them, before any is scored."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from unet_lib import workspace
from unet_lib.intake import formats, masks, reading
from unet_lib.intake.values import Counts, Values


def read(path: Path, picture: Path) -> tuple[list[Values], dict[str, str]]:
    """Return what `reading.read_mask` does; an annotation is drawn at its picture's own size."""
    drawn = path.suffix.lower() == ".json"
    return reading.read_mask(path, picture, stored(picture) if drawn else (0, 0))


def stored(picture: Path) -> tuple[int, int]:
    return formats.read_picture(picture).pixels.shape[:2]


def empty(
    counts: dict[str, dict[str, Counts]], files: dict[str, tuple[Path, ...]], meaning: masks.Meaning
) -> list[str]:
    """Say how many true masks hold no foreground, and how they count; nothing if none does."""
    found = [key for key in files
             if {masks.covers(count, meaning) for count in counts[key].values()} == {"empty"}]
    if not found:
        return []
    return [f"{len(found)} of {len(files)} true masks are empty, such as"
            f" {workspace.shown(files[found[0]][0])}: there Dice is 1 if nothing is predicted and 0"
            " if anything is, and both count in the mean; if empty means not drawn, move these"
            " masks away"]


def second_readers(
    counts: dict[str, dict[str, Counts]], files: dict[str, tuple[Path, ...]],
    wanted: dict[str, Path],
) -> list[str]:
    """Say that two annotation files draw one label of a picture otherwise; nothing if none do."""
    doubled = [key for key, paths in files.items()
               if _differ(counts[key].values(), paths, wanted[key])]
    if not doubled:
        return []
    names = " and ".join(path.name for path in files[doubled[0]])
    return [f"label in two annotation files, for {len(doubled)} pictures joined: {names}; if they"
            " are two readers, name with --truth a folder that holds one of the files"]


def _differ(held: Iterable[Counts], paths: tuple[Path, ...], picture: Path) -> bool:
    """Tell whether one label covers other pixels in one annotation file than in another."""
    sizes: dict[object, list[int]] = {}
    for label, size in (item for c in held if c.form == "label" for item in c.pixels.items()):
        sizes.setdefault(label, []).append(size)
    shared = [each for label, each in sizes.items() if label != 0 and len(each) > 1]
    if not shared or any(len({*each}) > 1 for each in shared):
        return bool(shared)  # without a second look at the files
    drawn: dict[object, np.ndarray] = {}
    for path in (path for path in paths if path.suffix.lower() == ".json"):
        for each in read(path, picture)[0]:
            if not np.array_equal(drawn.setdefault(each.keys[-1], each.codes), each.codes):
                return True
    return False


def copies(
    counts: dict[str, dict[str, Counts]], files: dict[str, tuple[Path, ...]],
    wanted: dict[str, Path],
) -> list[str]:
    """Say that masks of two lungs are one and the same; nothing if none are."""
    alike = []
    for key, paths in files.items():
        pixels = [count.pixels for count in counts[key].values()]
        drawn = sum(map(bool, pixels[0].values())) > 1
        masks_alone = len(paths) > 1 and not any(p.suffix.lower() == ".json" for p in paths)
        if masks_alone and drawn and all(each == pixels[0] for each in pixels):  # worth a look
            codes = [each.codes for path in paths for each in read(path, wanted[key])[0]]
            alike += [paths] * all(np.array_equal(codes[0], each) for each in codes)
    if not alike:
        return []
    names = " and ".join(workspace.shown(path) for path in alike[0])
    return [f"two masks of a picture are the same, for {len(alike)} pictures, such as {names}: is"
            " one a copy of the other, left and right? Export the one that lacks"]
