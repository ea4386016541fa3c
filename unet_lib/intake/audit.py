"""Look at every file once: what can be used, and what is wrong with the rest."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from unet_lib.intake import formats, masks
from unet_lib.intake.tree import Tree

Progress = Callable[[int, int], None]


def audit(tree: Tree, progress: Progress | None) -> dict[str, dict]:
    """Decode every file once and note its faults; return the items that can be used, by id."""
    pairs = sorted(tree.images.keys() & tree.masks.keys() - tree.test.keys())
    items, tests, train = {}, {}, {}
    for number, name in enumerate([*sorted(tree.test), *pairs], 1):
        item = _examine(tree, name)
        pixels = item and item["image_sha256"]
        if item and name in tree.test:
            tests.setdefault(pixels, name)
        elif item and pixels in tests:
            item = tree.note("same image in train and test", f"{name} = {tests[pixels]}")
        elif item and train.setdefault(pixels, name) != name:
            item = tree.note("same image twice in train", f"{name} = {train[pixels]}")
        if item:
            items[name] = item
        if progress:
            progress(number, len(tree.test) + len(pairs))
    return items


def _load(tree: Tree, path: Path, judge: Callable) -> np.ndarray | None:
    """Return what `judge` makes of the file, or None if it is unreadable; note its faults."""
    try:
        data = path.read_bytes()
        pixels, faults = judge(formats.decode(data))
    except (OSError, ValueError) as error:
        return tree.note("unreadable file", path, f": {getattr(error, 'strerror', None) or error}")
    for fault, detail in faults.items():
        tree.note(fault, path, detail)
    if not faults and data[24:26] == b"\x08\x00":  # PNG header: 8 bits, grey
        tree.plain.add(path)
    return pixels


def _examine(tree: Tree, name: str) -> dict | None:
    """Decode a test image or a pair; return its manifest entry, or None if it is unfit."""
    testing = name in tree.test
    image = _load(tree, tree.test[name] if testing else tree.images[name], formats.judge_image)
    mask = None if testing else _join([_load(tree, p, masks.judge_mask) for p in tree.masks[name]])
    if image is None or (mask is None and not testing):
        return None
    if not testing and image.shape != mask.shape:
        sizes = " (image {} x {}, mask {} x {})".format(*image.shape, *mask.shape)
        return tree.note("image and mask of different size", name, sizes)
    if not testing and mask.min() == mask.max():
        return None  # empty or full: noted already
    kind = re.search(r"_([01])$", name)
    return {
        "height": image.shape[0],
        "width": image.shape[1],
        "image_sha256": _pixel_hash(image),
        "mask_sha256": None if testing else _pixel_hash(mask),
        "class": int(kind[1]) if kind else None,
    }


def _join(planes: list[np.ndarray | None]) -> np.ndarray | None:
    """Return what any of the masks marks (left and right lung); None if they do not fit."""
    if any(plane is None or plane.shape != planes[0].shape for plane in planes):
        return None
    return np.maximum.reduce(planes)


def _pixel_hash(pixels: np.ndarray) -> str:
    """Hash size and pixels, so that a copy saved in another way is still found."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
