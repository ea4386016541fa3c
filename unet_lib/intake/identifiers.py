"""One id for each image: its name, or with the names of folders before it where names are alike."""

import os
import re
import statistics
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from unet_lib.intake import layouts
from unet_lib.intake.layouts import File

_FOLDERS = 4  # with images, at least, that may be patients
_FILMS = 4  # of a patient, at most, in the middle of all
_PATTERNS = ("^(.+)_", "^([^_]+)_")


def alike(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that some systems take for one."""
    groups = {}
    for name in sorted(names):
        groups.setdefault(layouts.fold(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


@dataclass
class Naming:
    """The id of each image, which ids took a folder's name, and files whose id was taken."""

    ids: dict[File, str] = field(default_factory=dict)
    joined: dict[str, list[str]] = field(default_factory=dict)
    seconds: list[tuple[File, File]] = field(default_factory=list)


def name_all(stems: Mapping[File, str]) -> Naming:
    """Return a distinct id for each image; where stems are alike, folders' names come before them.

    `COVID/images/1.png` and `Normal/images/1.png` become COVID_1 and Normal_1. An empty stem
    (`P1/image.png`) takes the folder's name.
    """
    naming, alike, owners = Naming(), {}, {}
    for file, text in stems.items():
        alike.setdefault(text, []).append(file)
    for text, files in alike.items():
        ways = differing([_ways(f) for f in files]) if len(files) > 1 else [_own(files[0], text)]
        for file, way in zip(files, ways, strict=True):
            name = "_".join([*way, *[text] * bool(text)]) or file.stem
            name = re.sub(r"[\\/\x00-\x1f\ud800-\udfff]", "_", name)
            if (owner := owners.setdefault(name, file)) is not file:
                naming.seconds.append((file, owner))
                continue
            naming.ids[file] = name
        if text and len(files) > 1:
            naming.joined[text] = [naming.ids[f] for f in files if f in naming.ids]
    return naming


def patients(ids: Mapping[File, str]) -> str:
    """Say how the images of each folder stay together, where folders may be patients.

    Args:
        ids: of all training images.

    Returns:
        A hint with a `group_by` that captures one text in all ids of a folder, and in no other's;
        "" where folders are few or hold many images, or one each.
    """
    folders: dict[tuple[str, ...], list[str]] = {}
    for file, name in ids.items():
        folders.setdefault(_ways(file), []).append(name)
    sizes = [len(held) for held in folders.values()]
    if len(sizes) < _FOLDERS or max(sizes) == 1 or statistics.median(sizes) > _FILMS:
        return ""
    way = "a list with the column group keeps"
    one_deep = all(len(way) == 1 for way in differing([*folders]))  # else they may be visits
    for pattern in _PATTERNS if one_deep else ():
        found = [{(re.findall(pattern, name) or [""])[0] for name in held}
                 for held in folders.values()]  # fmt: skip
        texts = set().union(*found)
        if "" not in texts and len(texts) == len(found) == sum(map(len, found)):
            way = f"group_by: '{pattern}' keeps"
            break
    return f"; patients? {way} the films of each on one side"


def _own(file: File, text: str) -> tuple[str, ...]:
    """Return the name of the folder that stands for an empty stem."""
    return () if text else _ways(file)[-1:]


def _ways(file: File) -> tuple[str, ...]:
    """Return the folders above a file, in composed form, but for those that only name a role."""
    below = file.entry.folders[len(file.home) :]
    said = {name: layouts.meaning(name) for name in below}
    names = [name for name, means in said.items() if means.part or not means.role]
    return tuple(unicodedata.normalize("NFC", name) for name in (*file.home, *names))


def differing(ways: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Cut what all ways have in common, first from their beginning, then from their end."""
    start = len(os.path.commonprefix(ways))
    ways = [way[start:] for way in ways]
    end = len(os.path.commonprefix([way[::-1] for way in ways]))
    return [way[: len(way) - end] for way in ways]
