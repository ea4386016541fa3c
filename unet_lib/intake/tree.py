"""Which image belongs to which mask: what a source holds, and what the audit notes."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from unet_lib import workspace
from unet_lib.intake import advice, choice, identifiers, layouts, lists, pairs, sidecars, walk
from unet_lib.intake.advice import EXPECTED, describe
from unet_lib.intake.faults import FAULTS
from unet_lib.intake.layouts import File
from unet_lib.intake.pairs import Pairing

__all__ = ["EXPECTED", "Tree", "describe", "find_tree"]


@dataclass
class Tree:
    """What a source holds, by id, and what the audit noted about it.

    Every id of `images` has masks in `masks`: several are joined (left and right lung), and a
    .json file is an annotation of that image, perhaps of others too. `test` are images without
    the need of a mask; `truth` are their masks, where there are some. `validation` are ids that
    the source itself sets apart; empty, if it does not. `group` is what a list says of an id.
    """

    root: Path
    layout: str
    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    test: dict[str, Path] = field(default_factory=dict)
    truth: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    validation: set[str] = field(default_factory=set)
    group: dict[str, str] = field(default_factory=dict)
    test_forms: list[str] = field(default_factory=list)
    noted: set[Path] = field(default_factory=set)
    notes: dict[str, list[str]] = field(default_factory=lambda: {fault: [] for fault in FAULTS})

    def name(self, path: Path) -> str:
        """Return a file's name from the root on, or its whole path on another drive."""
        if path.is_relative_to(self.root):
            return path.relative_to(self.root).as_posix()
        try:
            return Path(os.path.relpath(path, self.root)).as_posix()
        except ValueError:
            return path.as_posix()

    def note(self, fault: str, what: str | Path, detail: str = "") -> None:
        """Record one case of `fault`; what cannot be printed in a name becomes '?'."""
        text = what
        if isinstance(what, Path):
            self.noted.add(what)
            text = self.name(what)
        self.notes[fault].append("".join(c if c.isprintable() else "?" for c in text + detail))

    def files(self) -> list[Path]:
        """Return every file that is used, each once."""
        masks = [*self.masks.values(), *self.truth.values()]
        joined = [path for group in masks for path in group]
        return [*dict.fromkeys([*self.images.values(), *joined, *self.test.values()])]


def find_tree(source: Path, *, follow_links: bool = False) -> Tree:
    """Find what a folder or a list holds.

    Args:
        source: a folder with a known tree in it (see EXPECTED), or a CSV list (see `lists.FORM`).
        follow_links: follow links that lead out of the folder; a list names what it likes.

    Returns:
        The tree; every file and folder of `source` that it does not use is noted.

    Raises:
        FileNotFoundError: `source` does not exist.
        ValueError: no tree, several, or no pair; the message says what to do.
    """
    source = Path(source)
    if not source.exists():
        told = f"source {workspace.shown(source)} does not exist"
        raise FileNotFoundError(f"{told}.\n{EXPECTED}")
    if source.is_file() and source.suffix.lower() in lists.ENDINGS:
        tree = _from_list(source)
    elif source.is_file():
        raise ValueError(advice.refusal(source, "holds no tree of images and masks"))
    else:
        tree = _from_folder(source, follow_links)
    for name in sorted(tree.images.keys() & tree.test.keys()):
        tree.note("same id in train and test", name)
    for names in identifiers.alike(tree.images.keys() | tree.test.keys()):
        tree.note("ids that differ only in case", " and ".join(names))
    return tree


def _from_folder(source: Path, follow_links: bool) -> Tree:
    listing = walk.walk(source, follow_links=follow_links)
    tree = Tree(source, "")
    for note in listing.notes:
        tree.note(*note)
    found = sidecars.find(layouts.locate(listing.entries))
    homes = {}
    for file in found.files:
        homes.setdefault(file.home, []).append(file)
    pairings = {h: pairs.pair(files, found.annotated, found.listed) for h, files in homes.items()}
    trees = choice.without_links(source, {h: p for h, p in pairings.items() if p.is_tree})
    if not trees:  # images in one folder, masks in another, as two archives leave them
        files = choice.place_like_masks(found.files)
        whole = pairs.pair(files, found.annotated, found.listed)
        trees = {(): whole} if whole.is_tree else {}
    chosen = {home: trees[home] for home in choice.choose(source, trees)}
    closed = tree.notes["unreadable file"][:3]
    for fault, file, detail in found.faults:
        tree.note(fault, file.path, detail)
    if rivals := choice.rivals(chosen.values()):
        raise ValueError(advice.rivals(source, *rivals))
    _fill(tree, list(chosen.values()))
    if not tree.images:
        linked = bool(tree.notes[walk.LINK])
        troubles = sidecars.troubles(found)
        raise ValueError(advice.no_tree(
            source, found.files, linked=linked, troubles=troubles, closed=closed))
    ways = {entry.path: entry.folders for entry in listing.entries}
    tree.layout = choice.layout([ways[p] for p in tree.images.values()], list(chosen))
    if len(chosen) > 1 and tree.layout == "classes":
        for home, pairing in chosen.items():
            detail = f" ({len(pairing.masks)} images with masks)"
            tree.note("folders taken together", "/".join(home), detail)
    others = [home for home in trees if home not in chosen]
    for note in choice.leftovers(listing.entries, {*tree.files(), *tree.noted}, others):
        tree.note(note[0], source.joinpath(*note[1]), note[2])
    return tree


# Ids, pairs and what is left


def _fill(tree: Tree, pairings: list[Pairing]) -> None:
    """Put the pairs of all homes into the tree, and note what has no partner."""
    masks, stems = {}, ({}, {})
    for pairing in pairings:
        masks |= pairing.masks
        for image in pairing.images:
            name = layouts.image_core(image.stem, pairing.short)
            stems[image.meaning.part == "test"][image] = name
        for second, first in pairing.seconds:
            _note_second(tree, second, first)
        for image, mask in pairing.folded:
            tree.note("image and mask differ in case", tree.name(image.path), f", {mask.stem}")
        if first := pairs.shifted(pairing):
            rows = " with ".join(tree.name(file.path) for file in first)
            tree.note("numbers may be shifted by one", rows)
        for fault, file in pairs.lonely(pairing):
            tree.note(fault, file.path)
    for image, held in masks.items():
        if _refused(image, *held.values()):
            tree.noted |= {image.path, *_paths(held.values())}
    if pairs.sides(masks) in ({"left"}, {"right"}):
        for path in (path for held in masks.values() for path in _paths(held.values())):
            tree.note("masks of one lung alone", tree.name(path))
    for image, mask, missing in pairs.halves(masks):
        del masks[image]
        tree.noted.add(image.path)
        if not _refused(mask):
            tree.note("only one lung's mask", mask.path, f": no {missing} one")
    _fill_train(tree, {f: n for f, n in stems[False].items() if f in masks}, masks)
    _fill_test(tree, {f: n for f, n in stems[True].items() if f.path not in tree.noted}, masks)


def _fill_train(tree: Tree, stems: dict[File, str], masks: dict[File, dict[str, File]]) -> None:
    for file, name in _named(tree, stems).items():
        held = _paths(masks[file].values())
        if not _refused(file, *masks[file].values()):
            tree.images[name], tree.masks[name] = file.path, held
            tree.validation |= {name} if file.meaning.part == "validation" else set()
    if tree.validation == tree.images.keys():
        tree.validation = set()


def _fill_test(tree: Tree, stems: dict[File, str], masks: dict[File, dict[str, File]]) -> None:
    forms = set()
    for file, name in _named(tree, stems).items():
        if _refused(file):
            continue
        tree.test[name] = file.path
        way = tree.name(file.path).split("/")[len(file.home) :]
        forms.add((len(way), "/".join(layouts.form(part, stems[file]) for part in way)))
        if held := [m for m in masks.get(file, {}).values() if not _refused(m)]:
            tree.truth[name] = _paths(held)
            for mask in held:
                tree.note("mask of a test image", mask.path)
    tree.test_forms = [form for _, form in sorted(forms)[:5]]


def _named(tree: Tree, stems: dict[File, str]) -> dict[File, str]:
    """Return one id for each file; note those that took a folder's name, and what was too much."""
    naming = identifiers.name_all(stems)
    learnt = {file: name for file, name in naming.ids.items() if file.meaning.part != "test"}
    for text, ids in naming.joined.items():
        hint = identifiers.patients(learnt) if text == min(naming.joined) else ""
        tree.note("one id in several folders", f"{text}: {', '.join(ids)}", hint)
    for second, first in naming.seconds:
        _note_second(tree, second, first)
    return naming.ids


def _paths(masks: Iterable[File]) -> tuple[Path, ...]:
    return tuple(mask.path for mask in masks)


def _refused(*files: File) -> bool:
    return any(file.entry.refused for file in files)


def _note_second(tree: Tree, second: File, first: File) -> None:
    if not _refused(second):
        tree.note("two files with one id", second.path, f" ({tree.name(first.path)} is used)")


# Lists


def _from_list(source: Path) -> Tree:
    """Return what a list names; its rows have been checked by `lists.read`."""
    listed = lists.read(source)
    tree = Tree(source.parent, "list")
    for name, hint in listed.ignored:
        tree.note("column ignored", name, hint)
    for number in listed.repeated:
        tree.note("row twice in the list", f"row {number}")
    _fill(tree, [lists.pairing(listed)])
    if not tree.images:
        told = "names no image with a mask, so there is nothing to learn from"
        raise ValueError(advice.refusal(source, told, advice.PREDICT))
    tree.test_forms = []
    _note_masks(tree)
    for mask, image in lists.crossed(listed):
        tree.note("mask bears another image's name", mask, f" ({image.name})")
    groups = {row.image: row.group for row in listed.rows if row.group}
    named = [*tree.images.items(), *tree.test.items()]
    tree.group = {name: groups[path] for name, path in named if path in groups}
    _note_groups(tree)
    return tree


def _note_masks(tree: Tree) -> None:
    """Note masks that a list gives to several images, and images with fewer masks than most."""
    owners = Counter(path for held in tree.masks.values() for path in held)
    most, count = Counter(len(held) for held in tree.masks.values()).most_common(1)[0]
    for name, held in tree.masks.items():
        for path in held:
            if owners[path] > 1 and layouts.extension(path.name) != "json":
                tree.note("one mask of several images", path, f" ({name})")
        if len(held) < most and 2 * count > len(tree.masks):
            tree.note("fewer masks than most images have", name, f" ({len(held)}, not {most})")


def _note_groups(tree: Tree) -> None:
    """Note groups that the list itself puts on several sides."""
    sides = {}
    for name, group in tree.group.items():
        side = "test" if name in tree.test else "validation" if name in tree.validation else "train"
        sides.setdefault(group, set()).add(side)
    for group, found in sorted(sides.items()):
        if len(found) > 1 and (tree.validation or "test" in found):
            tree.note("group on both sides", group, f" ({', '.join(sorted(found))})")
