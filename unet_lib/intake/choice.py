"""Which of the trees in a source is meant, what its layout is called, and what it leaves out."""

import functools
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from unet_lib.intake import advice, identifiers, layouts
from unet_lib.intake.layouts import File
from unet_lib.intake.pairs import Pairing
from unet_lib.intake.walk import STRAY, Entry

Way = tuple[str, ...]
"""Names of folders, from the source down."""


def place_like_masks(files: Iterable[File]) -> list[File]:
    """Return files so that pictures in folders of unknown names count by the masks' inner folders.

    `radios/A/1.png` lies in A then, where `masks/A/` does, and gets no mask of `masks/B/`.
    """
    files = list(files)
    known = {f.inner for f in files if f.meaning.role == "masks"} - {()}
    placed = []
    for file in files:
        folders = file.entry.folders
        ends = (folders[n:] for n in range(len(folders)))
        end = next((end for end in ends if end in known), ())
        named = file.meaning.role or layouts.extension(file.entry.name) == "json" or not end
        placed.append(file if named else replace(file, inner=end))
    return placed


def without_links(source: Path, trees: Mapping[Way, Pairing]) -> dict[Way, Pairing]:
    """Leave out trees that hold the images of another one, under the name of a link in `source`."""
    if len(trees) < 2:
        return dict(trees)
    real, own = functools.cache(os.path.realpath), {}
    for home, pairing in trees.items():
        places = [(real(image.path.parent), image.entry) for image in pairing.images]
        ways = [(place, entry.name) for place, entry in places]
        linked = any(place != os.path.join(real(source), *e.folders) for place, e in places)
        own.setdefault(frozenset(ways), []).append((linked, home))
    return {home: trees[home] for _, home in map(min, own.values())}


def rivals(pairings: Iterable[Pairing]) -> tuple[File, File] | None:
    """Return two files of one id where whole folders rival, such as masks/lungs and masks/bones.

    The names of most images then occur in both folders, and nothing says which one is meant. A
    second file here and there is no rival, nor is an annotation beside the mask made of it, nor
    what belongs to a test image, whose mask is not needed, nor the mask of one lung that gave way
    to that of both.
    """
    pairings, ways, shown = list(pairings), Counter(), {}
    owners = {f: image for p in pairings for image, held in p.masks.items() for f in held.values()}
    for second, first in (both for pairing in pairings for both in pairing.seconds):
        folders = [second.entry.folders, first.entry.folders]
        annotated = "json" in {layouts.extension(f.entry.name) for f in (second, first)}
        image = owners.get(first, first)
        if annotated or "test" in (second.meaning.part, image.meaning.part):
            continue
        plain = first.inner == image.inner != second.inner
        beside = folders[0][:-1] == folders[1][:-1] and not first.inner  # bones beside lungs
        half = second.meaning.side and not first.meaning.side
        alike = replace(second.meaning, side="") == replace(first.meaning, side="") and not half
        if alike and folders[0] != folders[1] and (beside or not plain):
            way = tuple(identifiers.differing(folders))
            ways[way] += 1
            shown.setdefault(way, (first, second))
    way, count = ways.most_common(1)[0] if ways else (None, 0)
    needed = sum(image.meaning.part != "test" for pairing in pairings for image in pairing.masks)
    return shown[way] if count > 1 and 2 * count >= needed else None


def choose(source: Path, trees: Mapping[Way, Pairing]) -> list[Way]:
    """Return the home that holds all others, or homes that are classes of one set.

    Args:
        source: the folder in which all homes lie, for the message.
        trees: what each home holds.

    Returns:
        Sorted homes; none if there is no tree.

    Raises:
        ValueError: several trees; the message names each with the line that settles it.
    """
    homes = sorted(trees)
    if not homes or all(home[: len(homes[0])] == homes[0] for home in homes):
        return homes[:1]
    if _are_classes(trees):
        return homes
    shared, below = len(os.path.commonprefix(homes)), {}
    for home in homes:
        below.setdefault(home[: shared + 1], []).append(home)
    names = [held[0] if len(held) == 1 else top for top, held in below.items()]
    raise ValueError(advice.several(source, names))


def _are_classes(trees: Mapping[Way, Pairing]) -> bool:
    """Tell whether homes without parts lie beside each other, or hold one image each.

    Such an image bears a name of its own, or one that says no more than "image".
    """
    if any(f.meaning.part for pairing in trees.values() for f in pairing.images):
        return False
    names = {f.stem for pairing in trees.values() for f in pairing.images}
    single = all(len(pairing.images) == 1 for pairing in trees.values())
    if single and (len(names) == len(trees) or not any(map(layouts.image_core, names))):
        return True
    alike = len({home[:-1] for home in trees}) == 1
    return alike and not any(layouts.is_version(home[-1]) for home in trees)


def layout(ways: Collection[Way], homes: Collection[Way]) -> str:
    """Return a word for a layout, for the manifest.

    Args:
        ways: the folders above each image.
        homes: where the trees begin, as `choose` returned them.
    """
    if len(homes) > 1:
        return "classes" if len(homes) < len(ways) else "a folder for each image"
    inner = [way[len(home) :] for way in ways for home in homes]
    tops = {way[0] for way in inner if way}
    if "train_images" in tops:
        return "primary"
    if any(top.casefold() == "imagestr" for top in tops):
        return "nnU-Net"
    if any(layouts.meaning(name).part for way in inner for name in way):
        return "usable"
    return "flat" if tops else "one folder"


def leftovers(
    entries: Iterable[Entry], used: Collection[Path], others: Collection[Way]
) -> list[tuple[str, Way, str]]:
    """Return what is left out: a file beside used ones alone, a folder with all that it holds.

    Args:
        entries: everything that was listed.
        used: files that are used, or noted already.
        others: homes of trees that were not chosen.

    Returns:
        (fault, names of folders and file, detail) for each.
    """
    entries = list(entries)
    entered = {e.folders[:n] for e in entries if e.path in used for n in range(len(e.folders) + 1)}
    found, folders = [], {}
    for entry in entries:
        if entry.path in used or entry.refused:
            continue
        ways = (entry.folders[:n] for n in range(1, len(entry.folders) + 1))
        if way := next((way for way in ways if way not in entered), None):
            folders.setdefault(way, []).append(entry)
        else:
            found.append((STRAY, (*entry.folders, entry.name), ""))
    for way, held in folders.items():
        own = any(home[: len(way)] == way for home in others)
        detail = f" ({advice.kinds(held)}){': a tree of its own' if own else ''}"
        found.append(("folder ignored", way, detail))
    return found
