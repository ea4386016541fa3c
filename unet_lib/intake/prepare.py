"""Make `data/<dataset>/` out of a source: audited, 8-bit grey, split, with a manifest.

A source is never modified. A data set appears whole or not at all: it is built beside its
place and renamed at the end, and its `manifest.json` is written last.
"""

import contextlib
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from unet_lib import datasets, workspace
from unet_lib.intake import reading, sources, splits
from unet_lib.intake import tree as trees
from unet_lib.intake.audit import Audited, audit
from unet_lib.intake.looks import Progress, hash_pixels
from unet_lib.intake.manifest import Options, describe
from unet_lib.intake.tree import Tree


def find_source(
    source: str | Path, target: str | Path, *, phantoms: int = 120, **options: object
) -> Path:
    """Return the folder to read for `restructure`, without a network wherever that is possible.

    Args:
        source: see `sources.resolve_source`.
        target: the folder to make, usually `workspace.data_dir(dataset)`.
        phantoms: see `sources.resolve_source`.
        **options: see `Options`.

    Returns:
        The source's folder; or `target`, if it holds a whole data set that was made of the same
        source with the same options, and the source would have to be fetched first.

    Raises:
        RuntimeError: as `sources.resolve_source`.
    """
    if sources.needs_network(source):
        wanted = _wanted(datasets.source_name(source, phantoms=phantoms), Options(**options))
        if _unchanged(Path(target), wanted):
            print(
                f"unchanged: {workspace.shown(target)} is there; its source, {source}, is not"
                " cached and was not asked",
                flush=True,
            )
            return Path(target)
    return sources.resolve_source(source, phantoms=phantoms)


def examine(
    source: str | Path, options: Options, progress: Progress | None = None
) -> tuple[Tree, Audited]:
    """Find a source's tree and audit it; nothing is written.

    Args:
        source: a folder with a known tree, or a CSV list (see `tree.EXPECTED`).
        options: how the data set would be made.
        progress: called with (images examined, images in all).

    Raises:
        FileNotFoundError: `source` does not exist.
        ValueError: there is no known tree, or what the masks mean is not plain.
    """
    tree = trees.find_tree(Path(os.path.realpath(source)), follow_links=options.follow_links)
    return tree, _audit(tree, options, progress)


def restructure(
    source: str | Path,
    target: str | Path,
    *,
    asked: str | None = None,
    progress: Progress | None = None,
    **options: object,
) -> dict:
    """Audit `source` and write it as `target`/{train/images, train/masks, test}/<id>.png.

    Images become 8-bit grey PNG, masks 0/255 PNG; a file that is so already is copied unchanged.
    A second run with the same source and options writes nothing.

    Args:
        source: a folder with a known tree, or a CSV list (see `tree.EXPECTED`); it is never
            modified. It may be `target` itself, as `find_source` gives it: then nothing is done.
        target: the folder to make, usually `workspace.data_dir(dataset)`.
        asked: `datasets.source_name` of the parameter `source`; else the folder is named.
        progress: called with (images examined, images in all).
        **options: see `Options`.

    Returns:
        The manifest, and "written": False if the data set was there already, unchanged.

    Raises:
        FileNotFoundError: `source` does not exist.
        ValueError: bad options, masks whose meaning is not plain, or no usable pair; nothing has
            been written.
        OSError: `target` cannot be written; what it held before is still there.
    """
    wish = Options(**options)
    source, target = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    splits.check_split(wish.val_fraction, wish.split)
    wanted = _wanted(asked or workspace.shown(source), wish)
    if source == target and (manifest := _unchanged(target, wanted)):  # from `find_source`
        return manifest | {"written": False}
    _check_apart(source, target)
    tree = trees.find_tree(source, follow_links=wish.follow_links)
    wanted["source_sha256"] = _source_digest(tree)
    if manifest := _unchanged(target, wanted):
        return manifest | {"written": False}
    audited = _audit(tree, wish, progress)
    fresh = describe(tree, audited, wish, source=source) | wanted
    with workspace.replacing_folder(target) as partial:
        if not (manifest := _unchanged(target, wanted)):  # not made by another run meanwhile
            _build(tree, audited, {"format": 1, "dataset": target.name} | fresh, partial)
    return (manifest or datasets.load_manifest(target)) | {"written": not manifest}


def _audit(tree: Tree, options: Options, progress: Progress | None) -> Audited:
    return audit(
        tree, progress, mask_values=options.mask_values, intensity_range=options.intensity,
        invert=options.invert, empty_masks=options.empty_masks,
        grouped=bool(options.group_by or tree.group),
    )


def _wanted(source: str, options: Options) -> dict:
    """Return what the manifest of such a data set says about how it was made."""
    named = {("split_rule" if k == "split" else k): v for k, v in asdict(options).items()}
    return {"source": source, **named}


def _check_apart(source: Path, target: Path) -> None:
    if source.is_relative_to(target) or target.is_relative_to(source):
        raise ValueError(
            f"source {workspace.shown(source)} and target {workspace.shown(target)} must not"
            " hold each other, or the source would change; choose another dataset name"
        )
    if target.exists() and not (target / "manifest.json").exists() and any(target.iterdir()):
        raise FileExistsError(
            f"{workspace.shown(target)} holds files but no manifest.json, so it may be yours;"
            " choose another dataset name, or remove or rename that folder"
        )


def _digest(root: Path, files: Iterable[Path], *more: object) -> str:
    """Hash names and bytes of `files`, whatever their order, and `more`."""
    total = hashlib.sha256(json.dumps(more, sort_keys=True).encode())
    for path in sorted(files):
        with contextlib.suppress(OSError), path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
            name = Path(os.path.relpath(path, root)).as_posix()
            total.update(f"{name} {content}\n".encode())
    return total.hexdigest()


def _source_digest(tree: Tree) -> str:
    """Hash all that a source says: its files, and what belongs to what."""
    named = [
        {name: tree.name(path) for name, path in tree.images.items()},
        {name: [tree.name(path) for path in paths] for name, paths in tree.masks.items()},
        {name: tree.name(path) for name, path in tree.test.items()},
    ]
    return _digest(
        tree.root, tree.files(), tree.layout, tree.notes, sorted(tree.validation), tree.group, named
    )


def _unchanged(target: Path, wanted: dict) -> dict | None:
    """Return the manifest in `target` if it holds just what is wanted, down to the bytes."""
    with contextlib.suppress(FileNotFoundError):
        manifest = datasets.load_manifest(target)
        files = _digest(target, [target / name for name in datasets.files(manifest)])
        if (manifest | wanted | {"files_sha256": files}) == manifest:
            return manifest
    return None


def _build(tree: Tree, audited: Audited, manifest: dict, partial: Path) -> None:
    """Write a whole data set into the empty folder `partial`; the manifest comes last."""
    for folder in ("train/images", "train/masks", "test"):
        (partial / folder).mkdir(parents=True)
    names = list(audited.looks)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        written = pool.map(lambda name: _put(tree, audited, name, partial), names)
        manifest["items"] = dict(zip(names, written, strict=True))
    manifest["data_sha256"] = datasets.data_hash(manifest)
    files = [partial / name for name in datasets.files(manifest)]
    manifest["files_sha256"] = _digest(partial, files)
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (partial / "manifest.json").write_text(text, "utf-8")


def read_image(tree: Tree, audited: Audited, name: str) -> np.ndarray:
    """Return an image as the data set would hold it: (H, W) uint8."""
    grey, _ = reading.read_image(tree.test[name] if name in tree.test else tree.images[name])
    reach = audited.scales.ranges.get(name)
    return reading.finish_image(grey, reach=reach, turned=name in audited.turned)


def read_mask(tree: Tree, audited: Audited, name: str) -> np.ndarray:
    """Return the mask of a pair as the data set would hold it: (H, W) uint8 in {0, 1}."""
    look, image = audited.looks[name], tree.images[name]
    read = (reading.read_mask(path, image, look.stored)[0] for path in tree.masks[name])
    return reading.finish_mask(itertools.chain(*read), audited.meaning, look.shape)


def _put(tree: Tree, audited: Audited, name: str, partial: Path) -> dict:
    """Write one image and its mask; return what the manifest says of them."""
    look, testing = audited.looks[name], name in tree.test
    origin = tree.test[name] if testing else tree.images[name]
    copy = partial / ("test" if testing else "train/images") / f"{name}.png"
    digest = look.digest
    if origin in look.plain and name not in audited.turned:
        copy.write_bytes(origin.read_bytes())
    else:
        image = read_image(tree, audited, name)
        copy.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        digest = hash_pixels(image)
    kind = re.search(r"_([01])$", name)
    return {
        "height": look.shape[0],
        "width": look.shape[1],
        "image_sha256": digest,
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
        copy.write_bytes(cv2.imencode(".png", mask * np.uint8(255))[1].tobytes())
    return hash_pixels(mask)
