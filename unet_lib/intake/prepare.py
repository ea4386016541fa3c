"""Make `data/<dataset>/` out of a source: audited, 8-bit grey, split, with a manifest.

A source is never modified. A data set appears whole or not at all: it is built beside its
place and renamed at the end, and its `manifest.json` is written last.
"""

import contextlib
import os
from dataclasses import asdict
from pathlib import Path

from unet_lib import datasets, workspace
from unet_lib.intake import safekeeping, sources, splits, writing
from unet_lib.intake import tree as trees
from unet_lib.intake.audit import Audited, audit
from unet_lib.intake.looks import Progress
from unet_lib.intake.manifest import Options, describe
from unet_lib.intake.tree import Tree


def find_source(
    source: str | Path, target: str | Path, *, phantoms: int = 120, phantom_masks: str = "both",
    **options: object,
) -> Path:
    """Return the folder to read for `restructure`, without a network wherever that is possible.

    Args:
        source: see `sources.resolve_source`.
        target: the folder to make, usually `workspace.data_dir(dataset)`.
        phantoms: see `sources.resolve_source`.
        phantom_masks: see `sources.resolve_source`.
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
    return sources.resolve_source(source, phantoms=phantoms, phantom_masks=phantom_masks)


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
    tree = find_tree(source, options)
    return tree, audit_tree(tree, options, progress)


def find_tree(source: str | Path, options: Options) -> Tree:
    """Find a source's tree; see `tree.find_tree`."""
    return trees.find_tree(Path(os.path.realpath(source)), follow_links=options.follow_links)


def audit_tree(tree: Tree, options: Options, progress: Progress | None = None) -> Audited:
    """Audit a tree; see `audit.audit`."""
    return audit(
        tree, progress, mask_values=options.mask_values, intensity_range=options.intensity,
        invert=options.invert, empty_masks=options.empty_masks,
        grouped=bool(options.group_by or tree.group),
    )


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
    Where `mask_values` names several classes, masks hold their numbers 1, 2, ... instead. Where
    the source is phantoms, the masks of the test images go to `target`/test_truth, for one look
    at the very end. A second run with the same source and options writes nothing.

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
        OSError: `target` cannot be written, or (BlockingIOError) a run uses it that asked for
            another data set; what it held before is still there.
    """
    wish = Options(**options)
    source, target = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    splits.check_split(wish.val_fraction, wish.split)
    wanted = _wanted(asked or workspace.shown(source), wish)
    if source == target and (manifest := _unchanged(target, wanted)):  # from `find_source`
        return manifest | {"written": False}
    _check_apart(source, target)
    tree = find_tree(source, wish)
    wanted["source_sha256"] = _source_digest(tree)
    if manifest := _unchanged(target, wanted):
        return manifest | {"written": False}
    audited = audit_tree(tree, wish, progress)
    fresh = describe(tree, audited, wish, source=source) | wanted
    record = _wanted(wanted["source"], wish)
    with (safekeeping.using(target, record, who="notebook 01"),
          safekeeping.replacing_folder(target) as partial):
        if not (manifest := _unchanged(target, wanted)):  # not made by another run meanwhile
            writing.build(tree, audited, {"format": 1, "dataset": target.name} | fresh, partial)
            writing.set_truth_aside(partial, sources.known_truth(wanted["source"], list(tree.test)))
    return (manifest or datasets.load_manifest(target)) | {"written": not manifest}


def _wanted(source: str, options: Options) -> dict:
    """Return what the manifest of such a data set says about how it was made."""
    return {"source": source, **datasets.record(asdict(options))}


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


def _source_digest(tree: Tree) -> str:
    """Hash all that a source says: its files, and what belongs to what."""
    named = [
        {name: tree.name(path) for name, path in tree.images.items()},
        {name: [tree.name(path) for path in paths] for name, paths in tree.masks.items()},
        {name: tree.name(path) for name, path in tree.test.items()},
    ]
    return writing.digest(
        tree.root, tree.files(), tree.layout, tree.notes, sorted(tree.validation), tree.group, named
    )


def _unchanged(target: Path, wanted: dict) -> dict | None:
    """Return the manifest in `target` if it holds just what is wanted, down to the bytes."""
    with contextlib.suppress(FileNotFoundError):
        manifest = datasets.load_manifest(target)
        files = writing.digest(target, [target / name for name in datasets.files(manifest)])
        if (manifest | wanted | {"files_sha256": files}) == manifest:
            return manifest
    return None


