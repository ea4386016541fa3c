"""What is said of a source that cannot be used: what was expected, what came, what to do."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from unet_lib import workspace
from unet_lib.intake import layouts, lists, walk
from unet_lib.intake.layouts import File

EXPECTED = """Expected is a folder that holds one of these trees:
    train_images/<id>/images/<id>.png, train_images/<id>/masks/<id>.png, test_images/<id>/<id>.png
    train/images/<id>.png, train/masks/<id>.png, test/<id>.png; val/ like train/ if there is one
    images/<id>.png, masks/<id>.png or masks/<id>_mask.png; masks/left/ and masks/right/ are joined
    <class>/images/<id>.png, <class>/masks/<id>.png
    imagesTr/<id>_0000.png, labelsTr/<id>.png, imagesTs/<id>_0000.png
    <id>.png and <id>_mask.png or <id>.json (LabelMe) in one folder, or a COCO file above images
or a list, source: "list.csv", with the columns image,mask,group,part (only image must be there).
Any picture's format and other common names (img, cxr, labels, _seg) do as well."""

FOLLOW = (
    "Links that lead outside are not followed: follow_links: true follows them, and `cp -rL` makes"
    " a copy without links."
)

PREDICT = (
    "To have masks made by a trained model, none are needed:"
    " `python -m unet_lib predict IMAGES --out masks`."
)

_ARCHIVES = {"zip", "gz", "tgz", "tar", "rar", "7z", "bz2", "xz"}
_TABLES = {"xls", "xlsx", "ods"}
_ARRAYS = {"npy", "npz", "mat", "h5", "hdf5", "pkl", "parquet", "tfrecord"}


def describe(source: Path) -> str:
    """Describe a folder or file in a line, for an error message."""
    if source.is_file():
        return _describe_file(source)
    try:
        names = sorted(p.name + "/" * p.is_dir() for p in source.iterdir())
    except OSError as error:
        return f"a folder that cannot be looked into ({error.strerror})"
    entries = walk.walk(source).entries
    return f"{', '.join(names[:8]) or 'nothing'} (files in all folders: {kinds(entries)})"


def kinds(entries: Iterable[walk.Entry]) -> str:
    """Count files by their endings: "12 .png, 2 .txt"."""
    counts = Counter(Path(entry.name).suffix.lower() or "without ending" for entry in entries)
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common(5)) or "none"


def _describe_file(file: Path) -> str:
    ending = layouts.extension(file.name)
    if file.suffix.lower() in lists.ENDINGS:
        return f"a list, {file.name}"
    told = "name a folder or a CSV list; unpack an archive first"
    if ending in _ARCHIVES:
        told = "unpack this archive first, then name its folder"
    elif ending in _TABLES:
        told = "save a table as CSV in UTF-8, then name that list"
    elif ending == "json":
        told = "name the folder that holds it and its pictures, or write a CSV list of the pairs"
    elif ending in layouts.PICTURES:
        told = "name the folder that holds images and masks; `python -m unet_lib predict` takes"
        told += " single pictures"
    return f"a file, {file.name}, not a folder ({told})"


def refusal(source: Path, what: str, advice: str = "") -> str:
    """Return the text of a refusal: what failed, what to do, what was expected, what came."""
    told = f"source {workspace.shown(source)} {what}.\n"
    return told + (advice and advice + "\n") + f"{EXPECTED}\nFound: {describe(source)}"


def no_tree(
    source: Path, files: list[File], *, linked: bool, troubles: Iterable[str] = (),
    closed: Iterable[str] = (),
) -> str:
    """Say why no pair could be made of `files`.

    Args:
        source: the folder.
        files: what lies in it.
        linked: whether links were not followed.
        troubles: what is wrong with annotations, a line each.
        closed: folders that may not be looked into, and the like.
    """
    kinds = layouts.PICTURES - {"json"}
    pictures = [f for f in files if layouts.extension(f.path.name) in kinds]
    masks = [f for f in pictures if f.meaning.role == "masks"]
    images = [f for f in pictures if f.meaning.role != "masks"]
    closed = "; ".join(closed)
    advice = [f"Not looked into: {closed}"] * bool(closed) + [FOLLOW] * linked
    advice += _lists_in(source) + _unread(files, pictures)
    if any(f.entry.refused for f in pictures):
        told = "holds no pair that may be read: images or masks are links that lead outside"
        return refusal(source, told, "\n".join(advice))
    if images and masks:
        return _unmatched(source, images, masks, advice)
    if masks:
        told = "holds masks, but no folder's name tells of images"
        return refusal(source, told, "\n".join(advice))
    told = "holds no tree of images and masks"
    if images:
        lines = list(troubles)
        more = [f"and {len(lines) - 3} more such files"] * (len(lines) > 3)
        advice = [*lines[:3], *more, *advice]
        silent = f": of {len(images)} pictures neither folders nor names tell which are masks"
        told += ", but annotations that cannot be used" if lines else silent
        advice.append("If there are masks among them, call their folder `masks` and that of the"
                      " images `images`, or write a list.")
        advice.append(PREDICT.replace("IMAGES", f'"{workspace.shown(source)}"'))
    return refusal(source, told, "\n".join(advice))


def _unmatched(source: Path, images: list[File], masks: list[File], advice: list[str]) -> str:
    """Say why no mask could be given to any image."""
    told = "holds images and masks, but no name of an image fits that of a mask"
    shared = {f.stem for f in images} & {f.stem for f in masks}
    kept = [[f for f in held if f.stem in shared] for held in (images, masks)]
    images, masks = kept if shared else (images, masks)
    parts = [{f.meaning.part or default for f in held} for held, default in zip(
        kept, ("train", ""), strict=True)]
    organs = sorted({f.meaning.organ for f in masks})
    several = sorted(stem for stem, n in Counter(f.stem for f in kept[0]).items() if n > 1)
    if shared and parts[0] == {"test"}:
        told = "holds masks of test images alone, so there is nothing to learn from"
    elif len(organs) > 1 and all(organs):
        told = f"holds masks of {' and '.join(organs)}, but none of lungs"
        advice.append("Those of one organ alone are taken: move the others out of the source.")
    elif shared and "" not in parts[1] and not parts[0] & parts[1]:
        told = "holds {} images, but {} masks".format(*(" and ".join(sorted(p)) for p in parts))
    elif several:
        told = "holds images and masks, but several images bear the name of a mask"
        images, masks = ([f for f in held if f.stem == several[0]] for held in kept)
        advice.append("A mask lies in a folder that is called as its image's is, or the names of"
                      " all images differ.")
    elif shared:
        told = "holds images and masks of the same names, but no image has those that it needs"
        advice.append("A mask lies in a folder that is called as its image's is; where left and"
                      " right lung have a mask each, both are needed.")
    advice.append(f"Images are such as {_names(images)}; masks such as {_names(masks)}.")
    return refusal(source, told, "\n".join([*advice, "Rename them, or write a list."]))


def rivals(source: Path, first: File, second: File) -> str:
    """Say that two folders hold what may be the images, or the masks, of one set."""
    kind = "masks" if first.meaning.role == "masks" else "images"
    one, other = (_names([file]) for file in (first, second))
    return (
        f"source {workspace.shown(source)} holds two folders of {kind} under the same names, and"
        f" nothing says which are meant:\n    {one}\n    {other}\nMove the {kind} that are not"
        " meant out of the source, or write a list of the pairs that you want. Masks of the left"
        " and of the right lung are joined if their folders' names say left and right.\n"
        + lists.FORM
    )


def several(source: Path, folders: Iterable[tuple[str, ...]]) -> str:
    """Name the trees in a source, each with the line that settles it."""
    lines = sorted(line(source, folder) for folder in folders)
    more = f"\n    and {len(lines) - 8} more" if len(lines) > 8 else ""
    return (
        f"source {workspace.shown(source)} holds several trees; name one:\n    "
        + "\n    ".join(lines[:8])
        + more
        + "\nor write a list of the pairs that you want.\n"
        + lists.FORM
    )


def line(source: Path, folder: Iterable[str]) -> str:
    """Return the parameter's line that names a folder or file in a source."""
    return f'source: "{workspace.shown(source.joinpath(*folder))}"'


def _lists_in(source: Path) -> list[str]:
    if not source.is_dir() or not os.access(source, os.R_OK | os.X_OK):
        return []
    found = [line(source, [p.name]) for p in sorted(source.iterdir()) if lists.is_list(p)]
    return [f"It holds a list, though; to use it: {' or '.join(found[:3])}"] if found else []


def _unread(files: list[File], pictures: list[File]) -> list[str]:
    """Name files that may well hold the masks and are not read, a line for each kind of them."""
    stems = {file.stem for file in pictures}
    outlines = [f for f in files if f.path.suffix.lower() == ".xml"]
    outlines += [f for f in files if f.path.suffix.lower() == ".txt" and f.path.stem in stems]
    tables = [f for f in files if f.path.suffix.lower() in lists.ENDINGS]
    tables = [f for f in tables if not lists.is_list(f.path)]
    told = {
        "Packed; unpack first": [f for f in files if layouts.extension(f.path.name) in _ARCHIVES],
        "Arrays, which are not read; save each picture as PNG": [
            f for f in files if layouts.extension(f.path.name) in _ARRAYS],
        "No annotations that are read; export them as LabelMe or COCO JSON, or as PNG": outlines,
        "No lists, for no column is called image (rename; draw run lengths as PNG)": tables,
    }  # fmt: skip
    return [f"{what}: {_names(held)}" for what, held in told.items() if held]


def _names(files: list[File]) -> str:
    ways = ("/".join([*f.entry.folders, f.entry.name]) for f in files[:3])
    return ", ".join("".join(c if c.isprintable() else "?" for c in way) for way in ways)
