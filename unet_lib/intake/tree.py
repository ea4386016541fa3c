"""Which image belongs to which mask: the layouts that are known, and what the audit notes."""

import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from unet_lib import workspace

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

TEST_FORMS = {
    2: "test/<id>.png",
    3: "test_images/<id>/<id>.png",
    4: "test_images/<id>/images/<id>.png",
}


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


def find_tree(source: Path) -> Tree:
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
            raise ValueError(
                f"source {workspace.shown(source)} holds several trees; name one: {text}"
            )
        if known:
            return known[0]
    raise ValueError(
        f"source {workspace.shown(source)} holds no tree of images and masks.\n{EXPECTED}\n"
        f"Found: {describe(source)}"
    )


def describe(folder: Path) -> str:
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
