"""Find pairs of images and masks, audit them, and write them as one clean data set.

A source is never modified. A data set appears whole or not at all: it is built beside its
place and renamed at the end, and its `manifest.json` is written last.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from unet_lib import workspace

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two runs there from building one data set at once
    fcntl = None

KAGGLE_SLUG = "azkihimmawan/chest-xray-masks-and-defect-detection"
Progress = Callable[[int, int], None]

FAULTS = {
    "path leads outside the source": "refused",
    "stray file": "ignored",
    "two files with one id": "second excluded",
    "image without mask": "excluded",
    "mask without image": "excluded",
    "unreadable file": "excluded",
    "image and mask of different size": "excluded",
    "empty mask": "excluded: a chest without lungs teaches nothing",
    "full mask": "excluded: lungs do not fill an image",
    "mask neither 0/1 nor 0/255": "thresholded at half of its range",
    "mask of 0 and 1": "stored as 0 and 255",
    "16-bit image": "scaled to 8 bits by its real depth",
    "colour image": "reduced to luminance",
    "same image twice in train": "second excluded",
    "same image in train and test": "excluded from train",
    "same id in train and test": "excluded from train",
    "mask of a test image": "ignored",
}
"""Every fault that the audit looks for, and the decision on it."""

EXPECTED = """Expected is a folder that holds one of these trees:
    train_images/<id>/images/<id>.png, train_images/<id>/masks/<id>.png, test_images/<id>/<id>.png
    train/images/<id>.png, train/masks/<id>.png, test/<id>.png
    images/<id>.png, masks/<id>.png or masks/<id>_mask.png"""

# Where images, masks, test images and test masks lie, and the folder that gives a layout away.
_LAYOUTS = {
    "primary": [
        ["train_images/*/images/*"],
        ["train_images/*/masks/*"],
        ["test_images/*/*", "test_images/*/images/*"],
        ["test_images/*/masks/*"],
    ],
    "usable": [["train/images/*"], ["train/masks/*"], ["test/*"], []],
    "flat": [["images/*"], ["masks/*"], [], []],
}
_MARKS = {"primary": "train_images", "usable": "train/images", "flat": "images"}
_TESTS = {2: "test/<id>.png", 3: "test_images/<id>/<id>.png", 4: "test_images/<id>/images/<id>.png"}


@dataclass
class Tree:
    """What a source holds, by id, and what the audit noted about it."""

    root: Path
    layout: str
    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    test: dict[str, Path] = field(default_factory=dict)
    noted: set[Path] = field(default_factory=set)
    plain: set[Path] = field(default_factory=set)
    notes: dict[str, list[str]] = field(default_factory=lambda: {fault: [] for fault in FAULTS})

    def note(self, fault: str, what: str | Path, detail: str = "") -> None:
        """Record one case of `fault`; what cannot be printed in a name becomes '?'."""
        text = what
        if isinstance(what, Path):
            self.noted.add(what)
            text = what.relative_to(self.root).as_posix()
        self.notes[fault].append("".join(c if c.isprintable() else "?" for c in text) + detail)


def resolve_source(source: str | Path, *, phantoms: int = 120) -> Path:
    """Return the folder behind the parameter `source`.

    Args:
        source: "phantom" (drawn once, into data/phantom-source), "kaggle" (downloaded into
            kagglehub's own cache), or a folder; a relative one starts at the project.
        phantoms: how many pairs to draw if the source is "phantom", up to 9000; a number other
            than 120 gets a folder of its own.

    Raises:
        RuntimeError: the download failed; the message holds the steps to do it by hand.
        ValueError: the number of phantoms is out of its range.
    """
    if source == "phantom":
        name = "phantom-source" if phantoms == 120 else f"phantom-source-{phantoms}"
        return _phantom_source(workspace.workspace() / "data" / name, phantoms)
    return _download() if source == "kaggle" else workspace.resolve(source)


def read_image(path: str | Path) -> np.ndarray:
    """Read an X-ray as (H, W) uint8 grey in [0, 255].

    16 bits are scaled by the depth that this image really uses (largest value 4095: 12 bits).
    Of a colour image the luminance is taken; transparency is dropped.

    Raises:
        ValueError: the file is empty, no PNG, truncated or damaged.
    """
    return _read(path, _image)[0]


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask as (H, W) uint8 in {0, 1}: 1 above half of the mask's own range.

    So 0/1, 0/255 and anti-aliased masks all come out binary. A mask of one value only is all 0
    if that value is 0, else all 1. The seed never thresholds its masks.

    Raises:
        ValueError: the file is empty, no PNG, truncated or damaged.
    """
    return _read(path, _mask)[0]


def split_ids(
    ids: Iterable[str], *, val_fraction: float = 0.15, seed: int = 0, split: str = "stratified"
) -> dict[str, list[str]]:
    """Divide ids into training and validation; the order in which they come does not matter.

    Args:
        ids: if each ends in `_0` or `_1`, that is its class.
        val_fraction: share of the validation set, in (0, 1); 0.15 of 500 pairs are 75.
        seed: ids are ranked by the SHA-256 of "seed:id".
        split: "stratified" keeps the share of each class; "last" takes the last sorted ids.

    Returns:
        {"train": ids, "validation": ids}, both sorted.

    Raises:
        ValueError: an unknown rule, a fraction out of range, or one that leaves a side empty.

    Source: the seed takes the last 15 % in the order of `os.listdir`; "last" sorts them first.
    """
    ids = sorted(ids)
    _check_split(val_fraction, split)
    count = round(val_fraction * len(ids))
    if not 0 < count < len(ids):
        raise ValueError(
            f"val_fraction {val_fraction} of {len(ids)} pairs gives {count} for validation and"
            f" {len(ids) - count} for training; each side needs one: change val_fraction"
        )
    chosen = set(ids[-count:] if split == "last" else _stratified(ids, count, seed))
    return {"train": [i for i in ids if i not in chosen], "validation": sorted(chosen)}


def restructure(
    source: str | Path,
    target: str | Path,
    *,
    val_fraction: float = 0.15,
    seed: int = 0,
    split: str = "stratified",
    progress: Progress | None = None,
) -> dict:
    """Audit `source` and write it as `target`/{train/images, train/masks, test}/<id>.png.

    Images become 8-bit grey PNG, masks 0/255 PNG; a file that is so already is copied unchanged.
    A second run with the same source and options writes nothing.

    Args:
        source: a folder with a known tree (see EXPECTED); it is never modified.
        target: the folder to make, usually `workspace.data_dir(dataset)`.
        val_fraction: see `split_ids`.
        seed: see `split_ids`.
        split: see `split_ids`.
        progress: called with (files examined, files in all).

    Returns:
        The manifest, and "written": False if the data set was there already, unchanged.

    Raises:
        FileNotFoundError: `source` does not exist.
        ValueError: bad options, or no usable pair; nothing has been written.
        OSError: `target` cannot be written; what it held before is still there.
    """
    source, target = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    _check_split(val_fraction, split)
    _check_apart(source, target)
    tree = _find_tree(source)
    files = [*tree.images.values(), *tree.masks.values(), *tree.test.values()]
    wanted = {"split_rule": split, "val_fraction": val_fraction, "seed": seed}
    wanted["source_sha256"] = _digest(tree.root, files, tree.layout, tree.notes)
    if manifest := _unchanged(target, wanted):
        return manifest | {"written": False}
    items = _audit(tree, progress)
    fresh = _describe(tree, items, wanted, source=source, target=target)
    with _replacing(target) as partial:
        if not (manifest := _unchanged(target, wanted)):  # not made by another run meanwhile
            _build(tree, fresh, partial)
    return (manifest or load_manifest(target)) | {"written": not manifest}


def load_manifest(folder: str | Path) -> dict:
    """Return the manifest of the data set in `folder`.

    Raises:
        FileNotFoundError: there is no data set, or not a whole one; notebook 01 makes it.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        whole = manifest["format"] == 1 and manifest["data_sha256"] == _data_hash(manifest)
        whole = whole and all((folder / name).is_file() for name in _files(manifest))
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise FileNotFoundError(
            f"{workspace.shown(folder)} holds no complete data set (a manifest.json and the files it"
            " names): notebooks/01_restructure_dataset.ipynb makes it; run that one first"
        )
    return manifest


# Finding files


def _find_tree(source: Path) -> Tree:
    """List what lies in `source`, or in the one folder inside it that holds a known tree."""
    root, layout = _locate(source)
    tree = Tree(root, layout)
    tree.images, tree.masks, tree.test, test_masks = (_collect(tree, g) for g in _LAYOUTS[layout])
    if layout == "flat":
        short = {i if i in tree.images else i.removesuffix("_mask"): i for i in tree.masks}
        tree.masks = {i: tree.masks[long] for i, long in short.items()}
    for path in test_masks.values():
        tree.note("mask of a test image", path)
    for name in sorted(tree.images.keys() ^ tree.masks.keys()):
        lacks = "image without mask" if name in tree.images else "mask without image"
        tree.note(lacks, (tree.images | tree.masks)[name])
    for name in sorted(tree.images.keys() & tree.masks.keys() & tree.test.keys()):
        tree.note("same id in train and test", name)
    _note_strays(tree)
    return tree


def _locate(source: Path) -> tuple[Path, str]:
    """Return the folder that holds a known tree, at most two folders deep, and its layout."""
    if not source.exists():
        raise FileNotFoundError(f"source {workspace.shown(source)} does not exist.\n{EXPECTED}")
    for folders in ([source], source.glob("*"), source.glob("*/*")):
        known = [(f, kind) for f in folders for kind, mark in _MARKS.items() if (f / mark).is_dir()]
        known = [k for k in known if k[0] == source or k[1] != "flat"]  # a part of another tree
        names = sorted({workspace.shown(folder) for folder, _ in known})
        if len(names) > 1:
            text = ", ".join(names[:5])
            raise ValueError(f"source {workspace.shown(source)} holds several trees; name one: {text}")
        if known:
            return known[0]
    raise ValueError(
        f"source {workspace.shown(source)} holds no tree of images and masks.\n{EXPECTED}\n"
        f"Found: {_found(source)}"
    )


def _found(folder: Path) -> str:
    """Describe a folder in a line, for an error message."""
    if folder.is_file():
        return f"a file, {folder.name}, not a folder (unpack an archive first)"
    names = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir())
    kinds = Counter(p.suffix.lower() for p in folder.rglob("*.*") if p.is_file())
    types = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    return f"{', '.join(names[:8]) or 'nothing'} (files in all folders: {types or 'none'})"


def _collect(tree: Tree, patterns: list[str]) -> dict[str, Path]:
    """Return the PNG files that match, by id; in a primary tree the folder's name is the id."""
    found = {}
    for path in sorted(p for pattern in patterns for p in tree.root.glob(pattern)):
        name = unicodedata.normalize("NFC", path.stem)
        owner = path.relative_to(tree.root).parts[1]
        if path.is_dir() or path.suffix.lower() != ".png":
            continue
        if tree.layout == "primary" and unicodedata.normalize("NFC", owner) != name:
            continue
        if not _inside(path, tree.root):
            tree.note("path leads outside the source", path)
        elif name.startswith("."):
            tree.note("stray file", path)
        elif name in found:
            tree.note("two files with one id", path)
        else:
            found[name] = path
    return found


def _inside(path: Path, root: Path) -> bool:
    """Tell whether link and name stay inside, on Windows too, where a backslash parts folders."""
    odd = re.search(r"[\\\x00-\x1f\ud800-\udfff]", path.name)
    return not odd and Path(os.path.realpath(path)).is_relative_to(root)


def _note_strays(tree: Tree) -> None:
    known = {*tree.images.values(), *tree.masks.values(), *tree.test.values(), *tree.noted}
    tops = {pattern.split("/")[0] for group in _LAYOUTS[tree.layout] for pattern in group}
    globs = ["*", *(f"{top}/**/*" for top in tops)]
    for path in sorted({path for pattern in globs for path in tree.root.glob(pattern)} - known):
        if not path.is_dir():
            tree.note("stray file", path)
        elif not os.access(path, os.R_OK | os.X_OK):
            tree.note("unreadable file", path, ": no permission to look into this folder")


# Reading and judging files


def _read(path: str | Path, decode: Callable) -> tuple:
    try:
        return decode(_pixels(Path(path).read_bytes()))
    except ValueError as error:
        raise ValueError(f"{workspace.shown(path)} cannot be read: {error}") from None


def _pixels(data: bytes) -> np.ndarray:
    """Decode a PNG as it is stored; what OpenCV would decode in part is refused."""
    if not data:
        raise ValueError("empty file of 0 bytes")
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG file")
    if b"IEND" not in data:
        raise ValueError("truncated PNG file")
    with contextlib.suppress(cv2.error):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is not None:
            return pixels
    raise ValueError("damaged PNG file")


def _grey(pixels: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return (H, W) of the stored depth, and whether the colour channels differed."""
    if pixels.ndim == 2:
        return pixels, False
    colour = pixels[..., :3]
    if (colour == colour[..., :1]).all():
        return np.ascontiguousarray(colour[..., 0]), False
    return cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_BGR2GRAY), True


def _image(pixels: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """Return the (H, W) uint8 image and its faults with a detail each."""
    grey, coloured = _grey(pixels)
    faults = {"colour image": ""} if coloured else {}
    if grey.dtype == np.uint16:
        bits = max(8, int(grey.max()).bit_length())
        faults["16-bit image"] = f" ({bits} bits used)"
        grey = np.round(grey * np.float32(255 / (2**bits - 1))).astype(np.uint8)
    return grey, faults


def _mask(pixels: np.ndarray) -> tuple[np.ndarray, dict[str, str]]:
    """Return the (H, W) uint8 mask in {0, 1} and its faults with a detail each."""
    grey, _ = _grey(pixels)
    low, high = int(grey.min()), int(grey.max())
    mask = (grey > (low + high) / 2 if low < high else grey > 0).astype(np.uint8)
    if low == high:
        return mask, {"full mask" if high else "empty mask": ""}
    if low or high not in (1, 255) or ((grey != low) & (grey != high)).any():
        return mask, {"mask neither 0/1 nor 0/255": f" ({low} to {high})"}
    return mask, {"mask of 0 and 1": ""} if high == 1 else {}


def _audit(tree: Tree, progress: Progress | None) -> dict[str, dict]:
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
        pixels, faults = judge(_pixels(data))
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
    image = _load(tree, tree.test[name] if testing else tree.images[name], _image)
    mask = None if testing else _load(tree, tree.masks[name], _mask)
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


def _pixel_hash(pixels: np.ndarray) -> str:
    """Hash size and pixels, so that a copy saved in another way is still found."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()


# Splitting


def _check_split(val_fraction: float, split: str) -> None:
    if split not in ("stratified", "last"):
        raise ValueError(f"split must be 'stratified' or 'last', got {split!r}")
    if not 0 < val_fraction < 1:
        raise ValueError(
            f"val_fraction must lie between 0 and 1 (0.15 keeps 15 % for validation),"
            f" got {val_fraction}"
        )


def _stratified(ids: list[str], count: int, seed: int) -> list[str]:
    """Return `count` ids, from each class in proportion (largest remainder first)."""
    classed = all(re.search("_[01]$", i) for i in ids)
    groups = [[i for i in ids if i[-1] == c] for c in "01"] if classed else [ids]
    exact = [count * len(group) / len(ids) for group in groups]
    sizes = [int(share) for share in exact]
    for index in sorted(range(len(sizes)), key=lambda k: sizes[k] - exact[k]):
        sizes[index] += sum(sizes) < count
    rank = {i: hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in ids}
    parts = zip(groups, sizes, strict=True)
    return [i for group, size in parts for i in sorted(group, key=rank.get)[:size]]


# Writing


def _check_apart(source: Path, target: Path) -> None:
    if source.is_relative_to(target) or target.is_relative_to(source):
        raise ValueError(
            f"source {workspace.shown(source)} and target {workspace.shown(target)} must not hold each"
            " other, or the source would change; choose another dataset name"
        )
    if target.exists() and not (target / "manifest.json").exists() and any(target.iterdir()):
        raise FileExistsError(
            f"{workspace.shown(target)} holds files but no manifest.json, so it may be yours; choose"
            " another dataset name, or remove or rename that folder"
        )


def _digest(root: Path, files: Iterable[Path], *more: object) -> str:
    """Hash names and bytes of `files`, whatever their order, and `more`."""
    total = hashlib.sha256(json.dumps(more).encode())
    for path in sorted(files):
        with contextlib.suppress(OSError), path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return total.hexdigest()


def _data_hash(manifest: dict) -> str:
    parts = [manifest["split"], manifest["test"], manifest["items"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _files(manifest: dict) -> list[str]:
    """Return the paths of all PNG files that a data set must hold."""
    pairs = [i for part in manifest["split"].values() for i in part]
    trained = [f"train/{kind}/{i}.png" for kind in ("images", "masks") for i in pairs]
    return trained + [f"test/{i}.png" for i in manifest["test"]]


def _unchanged(target: Path, wanted: dict) -> dict | None:
    """Return the manifest in `target` if it holds just what is wanted, down to the bytes."""
    with contextlib.suppress(FileNotFoundError):
        manifest = load_manifest(target)
        files = _digest(target, [target / name for name in _files(manifest)])
        if (manifest | wanted | {"files_sha256": files}) == manifest:
            return manifest
    return None


def _describe(tree: Tree, items: dict, wanted: dict, *, source: Path, target: Path) -> dict:
    """Return the manifest but for the hash of the files; refuse a source without a usable pair."""
    findings = [
        {"fault": f, "count": len(n), "examples": sorted(n)[:5], "decision": FAULTS[f]}
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
            f"source {workspace.shown(source)} holds no readable pair of image and mask.\n{EXPECTED}\n"
            f"Found: {_found(source)}; of these could not be used:\n{faults or '    none'}"
        )
    depths = {len(path.relative_to(tree.root).parts) for path in tree.test.values()}
    options = {"val_fraction": wanted["val_fraction"], "seed": wanted["seed"]}
    manifest = {
        "format": 1,
        "dataset": target.name,
        "source": workspace.shown(source),
        "layout": tree.layout,
        "test_layout": [form for depth, form in _TESTS.items() if depth in depths],
        **wanted,
        "split": split_ids(pairs, **options, split=wanted["split_rule"]),
        "test": [i for i, item in items.items() if not item["mask_sha256"]],
        "items": items,
        "findings": findings,
    }
    return manifest | {"data_sha256": _data_hash(manifest)}


def _build(tree: Tree, manifest: dict, partial: Path) -> None:
    """Write a whole data set into the empty folder `partial`; the manifest comes last."""
    for folder in ("train/images", "train/masks", "test"):
        (partial / folder).mkdir(parents=True)
    origins = {"images": tree.images, "masks": tree.masks, "test": tree.test}
    names = _files(manifest)
    for name in names:
        kind, stem = Path(name).parent.name, Path(name).stem
        _put(tree, origins[kind][stem], partial / name, is_mask=kind == "masks")
    manifest["files_sha256"] = _digest(partial, [partial / name for name in names])
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (partial / "manifest.json").write_text(text, "utf-8")


def _put(tree: Tree, origin: Path, copy: Path, *, is_mask: bool) -> None:
    if origin in tree.plain:
        copy.write_bytes(origin.read_bytes())
    else:
        pixels = read_mask(origin) * np.uint8(255) if is_mask else read_image(origin)
        copy.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give the path of a folder to make; what is there in the end takes the place of `target`.

    A killed run leaves `target` as it was, or for an instant beside itself; the next run tidies up.
    """
    partial, old = (target.with_name(f".{target.name}.{kind}") for kind in ("partial", "old"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent):
            _tidy(target, old, partial)
            try:
                yield partial
                if partial.exists():
                    if target.exists():
                        os.rename(target, old)
                    os.rename(partial, target)
            finally:
                _tidy(target, old, partial)
    except OSError as error:
        raise OSError(
            f"cannot write {workspace.shown(target)}: {error}; make room or get permission, or set"
            " UNET_LOWERED_WORKSPACE to a folder that has both"
        ) from error


def _tidy(target: Path, old: Path, partial: Path) -> None:
    """Remove what a build left over; put back a data set that it was about to replace."""
    if old.exists() and not target.exists():
        os.rename(old, target)
    drafts = target.parent.glob(f".{partial.name}-*")  # of phantoms, drawn by a killed run
    for leftover in (old, partial, *drafts):
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process builds in `folder`; a killed one does not block it."""
    handle = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        if fcntl:
            with contextlib.suppress(OSError):  # some network disks know no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if fcntl:
            os.close(handle)


# Sources that are made or fetched


def _phantom_source(folder: Path, count: int) -> Path:
    """Draw the phantoms, unless they are there from this very version of the drawing code."""
    from unet_lib import phantom

    stamp = hashlib.sha256(Path(phantom.__file__).read_bytes()).hexdigest()
    marker = folder.with_name(f".{folder.name}.sha256")
    with _replacing(folder) as partial:
        if not (folder.exists() and marker.exists() and marker.read_text("utf-8") == stamp):
            phantom.write_primary_tree(partial, train=count)
    marker.write_text(stamp, "utf-8")
    return folder


def _download() -> Path:
    """Return kagglehub's folder with the Kaggle data set; download it if it is not there."""
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(KAGGLE_SLUG))
    except Exception as error:
        raise RuntimeError(
            f"Kaggle data set {KAGGLE_SLUG} could not be downloaded: {_reason(error)}\nBy hand:\n"
            f"  1. open https://www.kaggle.com/datasets/{KAGGLE_SLUG}, sign in and download it\n"
            "  2. unpack the archive into data/kaggle-download\n"
            '  3. run this notebook with source = "data/kaggle-download"'
        ) from error


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, ImportError):
        return "the package kagglehub is missing; install it with: pip install kagglehub"
    if status in (401, 403):
        return f"Kaggle refuses access ({status}): it asks for an account's token or consent"
    if isinstance(error, OSError) and status is None:
        return f"no connection to Kaggle, or no room: {error}"
    return f"{type(error).__name__}: {error}"
