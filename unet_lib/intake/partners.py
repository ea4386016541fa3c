"""Masks of pictures that may lie anywhere: which files in a folder belong to which of them.

A picture that lies in the folder itself gets the masks that the folder's own pairs give it, or one
that no other picture there owns. One from elsewhere is found by its name, and where a name occurs
in several folders by the nearest ones above it.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from unet_lib import workspace
from unet_lib.intake import layouts, pairs, sidecars, walk
from unet_lib.intake.layouts import File
from unet_lib.intake.pairs import Pairing
from unet_lib.intake.sidecars import Sidecars

_NAMED = 3  # files that a message names
_SIDES = {"left": "right", "right": "left"}


@dataclass
class Partners:
    """What was found; a picture is named by its real path.

    Attributes:
        masks: the mask files of each picture that has some; several are joined.
        faults: pictures whose masks cannot be told, and why.
        notes: sentences about files that are not used.
    """

    masks: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find(pictures: Iterable[Path], folder: Path) -> Partners:
    """Find the masks of pictures in a folder; of the files only JSON is read.

    Args:
        pictures: files with one picture each; what is none by its name is passed over.
        folder: masks, or a whole data set with masks in it; links are followed.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it is a file, or holds the mask of none of the pictures.
    """
    if not folder.is_dir():
        came, kind = "does not exist", FileNotFoundError
        if folder.exists():
            came, kind = "is a file", ValueError
        raise kind(f"{workspace.shown(folder)} {came}; name the folder that holds the true masks")
    listed = sidecars.find(layouts.locate(walk.walk(folder, follow_links=True).entries))
    pictures = [path for path in pictures if _is_picture(path)]
    search = _Search({os.path.realpath(path): path.absolute() for path in pictures}, folder)
    owned = _own_pairs(listed)
    masks = _masks(listed, owned, search.wanted)
    placed = pairs.of_lungs(_placed([mask.entry for mask in masks], "masks"))
    search.sides = _sides(placed)
    for pairing in owned:
        search.take(pairing)
    there = {os.path.realpath(file.path) for file in listed.files}
    own = {m.path for pairing in owned for held in pairing.masks.values() for m in held.values()}
    search.by_name(there, [mask for mask in placed if mask.path not in own])
    search.by_name(search.wanted.keys() - there, placed)
    if not search.found.masks and not search.found.faults:
        rest = [] if there & search.wanted.keys() else listed.files
        raise ValueError(_nothing(search.wanted.values(), folder, masks, rest))
    return search.finish()


class _Search:
    """Pictures by their real paths, and what was found for them."""

    def __init__(self, wanted: dict[str, Path], folder: Path) -> None:
        self.wanted, self.found, self.sides, self.shown = wanted, Partners(), set(), set()
        self.place = Path(os.path.abspath(folder)).parts

    def by_name(self, keys: Iterable[str], masks: list[File]) -> None:
        """Match pictures with masks by name, those in folders of the same names first."""
        known = {mask.inner for mask in masks}
        entries = [walk.Entry(self._way(path), path.name, path) for path in self._left(keys)]
        images = [replace(f, inner=_end(f.inner, known)) for f in _placed(entries, "images")]
        near = {image.inner for image in images}
        self._match(images, [mask for mask in masks if mask.inner in near])
        left = set(self._left(keys))
        self._match([replace(f, inner=()) for f in images if f.path in left], masks)

    def _way(self, path: Path) -> tuple[str, ...]:
        """Return the folders above a picture that do not lie above the masks as well.

        Those tell no mask from another: in `liver/`, pictures have masks of lungs too.
        """
        parts = Path(os.path.abspath(path.parent)).parts
        shared = len(os.path.commonprefix([parts, self.place]))
        return parts[max(shared, 1) :]

    def _left(self, keys: Iterable[str]) -> list[Path]:
        settled = self.found.masks.keys() | self.found.faults.keys()
        return [path for k, path in self.wanted.items() if k in keys and k not in settled]

    def _match(self, images: list[File], masks: list[File]) -> None:
        listed = sidecars.find([*images, *masks])
        self.take(pairs.pair(listed.files, listed.annotated, listed.listed))

    def take(self, pairing: Pairing) -> None:
        """Keep the masks of pictures that are wanted, and what is doubtful about them."""
        owners = {}
        for image, held in pairing.masks.items():
            key = os.path.realpath(image.path)
            if key in self.wanted:
                self.found.masks[key] = tuple(mask.path for mask in held.values())
                owners |= dict.fromkeys(held.values(), key)
                self._check_sides(key, [*held])
                self.shown |= held.keys()
        if first := pairs.shifted(pairing):
            names = " and ".join(workspace.shown(file.path) for file in first)
            self.found.notes.append(f"numbers may be shifted by one: pictures and masks begin with"
                                    f" {names}, and equal numbers were compared; rename if so")
        for second, first in pairing.seconds:
            if first in owners:
                self._doubt(owners[first], second, first)
            elif first in pairing.masks:
                self._part(second, first)

    def _check_sides(self, key: str, held: list[str]) -> None:
        if len(held) == 1 and _SIDES.get(held[0]) in self.sides:
            self.found.faults[key] = (
                f"only the mask of the {held[0]} lung is there; add that of the {_SIDES[held[0]]}"
            )

    def _doubt(self, key: str, second: File, first: File) -> None:
        """Refuse two masks alike in name; note one that gives way to a plainer one."""
        one, other = workspace.shown(first.path), workspace.shown(second.path)
        if second.stem == first.stem and not {"json"} & _endings(first, second):
            self.found.faults[key] = f"{one} and {other} may both be its mask; name one's folder"
        else:
            self.found.notes.append(f"{other} is not used: {one} is the mask of that picture")

    def _part(self, second: File, first: File) -> None:
        """Refuse a mask to pictures that both are wanted and that no name keeps apart."""
        keys = [os.path.realpath(file.path) for file in (first, second)]
        if self.wanted.keys() >= set(keys):
            one, other = workspace.shown(first.path), workspace.shown(second.path)
            why = f"{one} and {other} bear one name: whose the mask is cannot be told; rename one"
            self.found.faults |= dict.fromkeys(keys, why)

    def finish(self) -> Partners:
        """Return what was found; a picture at fault has no masks."""
        for key in self.found.faults:
            self.found.masks.pop(key, None)
        if self.shown in ({"left"}, {"right"}):
            side, other = min(self.shown), _SIDES[min(self.shown)]
            self.found.notes.append(f"masks of the {side} lung alone are compared; if both are to"
                                    f" be found, add those of the {other} one")
        return self.found


def _is_picture(path: Path) -> bool:
    return layouts.may_be_picture(path.name) and layouts.extension(path.name) != "json"


def _own_pairs(listed: Sidecars) -> list[Pairing]:
    """Return what the folder itself pairs: tree by tree, or as a whole if it holds none."""
    homes = {}
    for file in listed.files:
        homes.setdefault(file.home, []).append(file)
    held = [pairs.pair(files, listed.annotated, listed.listed) for files in homes.values()]
    if any(pairing.is_tree for pairing in held):
        return held
    return [pairs.pair(listed.files, listed.annotated, listed.listed)]


def _masks(listed: Sidecars, owned: list[Pairing], wanted: Mapping[str, Path]) -> list[File]:
    """Return the masks of a folder: by their folder's name or their own, or else all files."""
    named = [file for file in listed.files if file.meaning.role == "masks"]
    paired = [m for pairing in owned for held in pairing.masks.values() for m in held.values()]
    rest = [file for file in listed.files if os.path.realpath(file.path) not in wanted]
    masks = dict.fromkeys(named + paired or rest)
    return [file for file in masks if layouts.may_be_picture(file.entry.name)]


def _placed(entries: Iterable[walk.Entry], role: str) -> list[File]:
    """Return files as if they lay in one folder of a role, training and test together."""
    moved = [replace(entry, folders=(role, *entry.folders), refused=False) for entry in entries]
    files = layouts.locate(moved)
    return [replace(f, home=(), meaning=replace(f.meaning, role=role, part="")) for f in files]


def _end(folders: tuple[str, ...], known: set[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the longest end of a picture's folders that is known of masks."""
    ends = (folders[n:] for n in range(len(folders)))
    return next((end for end in ends if end in known), ())


def _sides(masks: Iterable[File]) -> set[str]:
    """Return the sides that masks are of, by their names or their folders'."""
    masks = list(masks)
    named = {side for mask in masks for _, side, _ in layouts.mask_names(mask.stem)}
    return named | {mask.meaning.side for mask in masks}


def _endings(*files: File) -> set[str]:
    return {layouts.extension(file.entry.name) for file in files}


def _nothing(
    pictures: Iterable[Path], folder: Path, masks: list[File], rest: list[File]
) -> str:
    names = ", ".join([path.name for path in pictures][:_NAMED]) or "none"
    there = ", ".join([mask.entry.name for mask in masks][:_NAMED])
    if rest and not there:  # arrays, archives, tables
        held = ", ".join([file.entry.name for file in rest][:_NAMED])
        there = f"no picture or annotation, but {held} (unpack them, or save masks as PNG)"
    there = there or "no file but such as are among the pictures (name the folder of images alone)"
    return (
        f"{workspace.shown(folder)} holds a true mask of no picture: pictures are such as {names},"
        f" masks such as {there}. A mask bears its picture's name, perhaps with _mask, _left or"
        " _right behind it, in any folder below; or name the folder of the whole data set"
    )
