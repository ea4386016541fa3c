"""Make `data/<dataset>/` out of a source: audited, 8-bit grey, split, with a manifest.

A source is never modified. A data set appears whole or not at all: it is built beside its
place and renamed at the end, and its `manifest.json` is written last.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from unet_lib import datasets, workspace
from unet_lib.intake import audit, formats, masks, splits
from unet_lib.intake import tree as trees
from unet_lib.intake.tree import Tree


def restructure(
    source: str | Path,
    target: str | Path,
    *,
    val_fraction: float = 0.15,
    split_seed: int = 0,
    split: str = "stratified",
    asked: str | None = None,
    progress: audit.Progress | None = None,
) -> dict:
    """Audit `source` and write it as `target`/{train/images, train/masks, test}/<id>.png.

    Images become 8-bit grey PNG, masks 0/255 PNG; a file that is so already is copied unchanged.
    A second run with the same source and options writes nothing.

    Args:
        source: a folder with a known tree (see `tree.EXPECTED`); it is never modified.
        target: the folder to make, usually `workspace.data_dir(dataset)`.
        val_fraction: see `split_ids`.
        split_seed: see `split_ids`.
        split: see `split_ids`.
        asked: `datasets.source_name` of the parameter `source`; else the folder is named.
        progress: called with (files examined, files in all).

    Returns:
        The manifest, and "written": False if the data set was there already, unchanged.

    Raises:
        FileNotFoundError: `source` does not exist.
        ValueError: bad options, or no usable pair; nothing has been written.
        OSError: `target` cannot be written; what it held before is still there.
    """
    source, target = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    splits.check_split(val_fraction, split)
    _check_apart(source, target)
    tree = trees.find_tree(source)
    wanted = {"source": asked or workspace.shown(source), "split_rule": split}
    wanted |= {"val_fraction": val_fraction, "split_seed": split_seed}
    wanted["source_sha256"] = _digest(tree.root, tree.files(), tree.layout, tree.notes)
    if manifest := _unchanged(target, wanted):
        return manifest | {"written": False}
    items = audit.audit(tree, progress)
    fresh = _describe(tree, items, wanted, source=source, target=target)
    with workspace.replacing_folder(target) as partial:
        if not (manifest := _unchanged(target, wanted)):  # not made by another run meanwhile
            _build(tree, fresh, partial)
    return (manifest or datasets.load_manifest(target)) | {"written": not manifest}


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
    total = hashlib.sha256(json.dumps(more).encode())
    for path in sorted(files):
        with contextlib.suppress(OSError), path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
            name = Path(os.path.relpath(path, root)).as_posix()
            total.update(f"{name} {content}\n".encode())
    return total.hexdigest()


def _unchanged(target: Path, wanted: dict) -> dict | None:
    """Return the manifest in `target` if it holds just what is wanted, down to the bytes."""
    with contextlib.suppress(FileNotFoundError):
        manifest = datasets.load_manifest(target)
        files = _digest(target, [target / name for name in datasets.files(manifest)])
        if (manifest | wanted | {"files_sha256": files}) == manifest:
            return manifest
    return None


def _describe(tree: Tree, items: dict, wanted: dict, *, source: Path, target: Path) -> dict:
    """Return the manifest but for the hash of the files; refuse a source without a usable pair."""
    findings = [
        {"fault": f, "count": len(n), "examples": sorted(n)[:5], "decision": trees.FAULTS[f]}
        for f, n in tree.notes.items()
    ]
    pairs = [i for i, item in items.items() if item["mask_sha256"]]
    if not pairs:
        faults = "\n".join(
            f"    {f['fault']}: {f['count']}, such as {f['examples'][0]}"
            for f in findings
            if f["count"]
        )
        raise ValueError(
            f"source {workspace.shown(source)} holds no readable pair of image and mask.\n"
            f"{trees.EXPECTED}\nFound: {trees.describe(source)}; of these could not be used:\n"
            f"{faults or '    none'}"
        )
    options = {"val_fraction": wanted["val_fraction"], "split_seed": wanted["split_seed"]}
    manifest = {
        "format": 1,
        "dataset": target.name,
        "layout": tree.layout,
        "test_layout": tree.test_forms,
        **wanted,
        "split": splits.split_ids(pairs, **options, split=wanted["split_rule"]),
        "test": [i for i, item in items.items() if not item["mask_sha256"]],
        "items": items,
        "findings": findings,
    }
    return manifest | {"data_sha256": datasets.data_hash(manifest)}


def _build(tree: Tree, manifest: dict, partial: Path) -> None:
    """Write a whole data set into the empty folder `partial`; the manifest comes last."""
    for folder in ("train/images", "train/masks", "test"):
        (partial / folder).mkdir(parents=True)
    origins = {"images": _single(tree.images), "masks": tree.masks, "test": _single(tree.test)}
    names = datasets.files(manifest)
    for name in names:
        kind, stem = Path(name).parent.name, Path(name).stem
        _put(tree, origins[kind][stem], partial / name, is_mask=kind == "masks")
    manifest["files_sha256"] = _digest(partial, [partial / name for name in names])
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (partial / "manifest.json").write_text(text, "utf-8")


def _single(files: dict[str, Path]) -> dict[str, tuple[Path]]:
    return {name: (path,) for name, path in files.items()}


def _put(tree: Tree, origins: tuple[Path, ...], copy: Path, *, is_mask: bool) -> None:
    if len(origins) == 1 and origins[0] in tree.plain:
        copy.write_bytes(origins[0].read_bytes())
    else:
        judge = masks.judge_mask if is_mask else formats.judge_image
        pixels = np.maximum.reduce([formats.read(origin, judge)[0] for origin in origins])
        pixels = pixels * np.uint8(255) if is_mask else pixels
        copy.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
