"""An audited source -> the files of a data set, on all cores; the manifest comes last."""

import contextlib
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from unet_lib import datasets
from unet_lib.intake import reading
from unet_lib.intake.audit import Audited
from unet_lib.intake.looks import hash_pixels
from unet_lib.intake.tree import Tree


def build(tree: Tree, audited: Audited, manifest: dict, partial: Path) -> None:
    """Write a whole data set into the empty folder `partial`; the manifest comes last.

    Args:
        tree: what the source holds.
        audited: what can be used of it, and how.
        manifest: all but what is known only when the files are written.
        partial: an empty folder.
    """
    for folder in ("train/images", "train/masks", "test"):
        (partial / folder).mkdir(parents=True)
    names = list(audited.looks)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        written = pool.map(lambda name: _put(tree, audited, name, partial), names)
        manifest["items"] = dict(zip(names, written, strict=True))
    manifest["data_sha256"] = datasets.data_hash(manifest)
    files = [partial / name for name in datasets.files(manifest)]
    manifest["files_sha256"] = digest(partial, files)
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (partial / "manifest.json").write_text(text, "utf-8")


def set_truth_aside(
    partial: Path, known: Iterable[tuple[str, np.ndarray, np.ndarray]]
) -> None:
    """Write true masks of test images into `partial`/test_truth, which no training looks at.

    Args:
        partial: what `build` has written.
        known: id, image (H, W) uint8 in [0, 255] and mask (H, W) uint8, 0 and 255. Where the image
            is not the one in `partial`, its mask would be no truth, and is left out.
    """
    for name, image, mask in known:
        if np.array_equal(image, datasets.read_image(partial / "test" / f"{name}.png")):
            (partial / "test_truth").mkdir(exist_ok=True)
            code = cv2.imencode(".png", mask)[1].tobytes()
            (partial / "test_truth" / f"{name}.png").write_bytes(code)


def read_image(tree: Tree, audited: Audited, name: str) -> np.ndarray:
    """Return an image as the data set would hold it: (H, W) uint8."""
    grey, _ = reading.read_image(tree.test[name] if name in tree.test else tree.images[name])
    reach = audited.scales.ranges.get(name)
    return reading.finish_image(grey, reach=reach, turned=name in audited.turned)


def read_mask(tree: Tree, audited: Audited, name: str) -> np.ndarray:
    """Return the mask of a pair: (H, W) uint8 in {0, 1}, or numbers of several classes."""
    look, image = audited.looks[name], tree.images[name]
    read = (reading.read_mask(path, image, look.stored)[0] for path in tree.masks[name])
    return reading.finish_mask(itertools.chain(*read), audited.meaning, look.shape)


def digest(root: Path, files: Iterable[Path], *more: object) -> str:
    """Hash names and bytes of `files`, whatever their order, and `more`."""
    total = hashlib.sha256(json.dumps(more, sort_keys=True).encode())
    for path in sorted(files):
        with contextlib.suppress(OSError), path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
            name = Path(os.path.relpath(path, root)).as_posix()
            total.update(f"{name} {content}\n".encode())
    return total.hexdigest()


def _put(tree: Tree, audited: Audited, name: str, partial: Path) -> dict:
    """Write one image and its mask; return what the manifest says of them."""
    look, testing = audited.looks[name], name in tree.test
    origin = tree.test[name] if testing else tree.images[name]
    copy = partial / ("test" if testing else "train/images") / f"{name}.png"
    pixels_sha256 = look.digest
    if origin in look.plain and name not in audited.turned:
        copy.write_bytes(origin.read_bytes())
    else:
        image = read_image(tree, audited, name)
        copy.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        pixels_sha256 = hash_pixels(image)
    kind = re.search(r"_([01])$", name)
    return {
        "height": look.shape[0],
        "width": look.shape[1],
        "image_sha256": pixels_sha256,
        "mask_sha256": None if testing else _put_mask(tree, audited, name, partial),
        "class": int(kind[1]) if kind else None,
    }


def _put_mask(tree: Tree, audited: Audited, name: str, partial: Path) -> str:
    """Write the mask of a pair and return its hash."""
    paths = tree.masks[name]
    copy = partial / "train/masks" / f"{name}.png"
    mask = read_mask(tree, audited, name)
    plain = len(paths) == 1 and paths[0] in audited.looks[name].plain
    if plain and audited.meaning.foreground == {255}:
        copy.write_bytes(paths[0].read_bytes())
    else:
        white = np.uint8(1 if audited.meaning.classes else 255)
        copy.write_bytes(cv2.imencode(".png", mask * white)[1].tobytes())
    return hash_pixels(mask)
