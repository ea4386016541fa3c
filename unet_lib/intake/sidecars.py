"""Annotation files among the files of a tree: which pictures LabelMe and COCO files speak of."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from unet_lib import workspace
from unet_lib.intake import annotations, layouts
from unet_lib.intake.layouts import File


@dataclass
class Sidecars:
    """All files of a source, and what is known of the annotation files among them.

    `annotated` holds the LabelMe files with the names of their pictures, `listed` the images with
    the COCO files that list each. `faults` are annotation files that cannot be read or list a
    picture that is not there: (fault, file, detail).
    """

    files: list[File]
    annotated: dict[File, list[str]] = field(default_factory=dict)
    listed: dict[File, list[File]] = field(default_factory=dict)
    faults: list[tuple[str, File, str]] = field(default_factory=list)


def find(files: Iterable[File]) -> Sidecars:
    """Tell LabelMe and COCO files by their content and find the pictures that they name.

    Images that a COCO file lists belong to the home of that file, which may lie above them.
    """
    found = Sidecars(list(files))
    for file in list(found.files):
        if file.entry.refused or layouts.extension(file.path.name) != "json":
            continue
        try:
            kind = annotations.kind(file.path)
            names = annotations.images_of(file.path) if kind else []
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            why = why.removeprefix(f"{workspace.shown(file.path)}: ")
            found.faults.append(("unreadable file", file, f": {why}"))
            continue
        if kind == "labelme":
            found.annotated[file] = names
        elif kind == "coco":
            _list(found, file, names)
    return found


def troubles(found: Sidecars) -> list[str]:
    """Say of each annotation file that is of no use why, the known kinds first."""
    known = {*found.annotated, *(file for _, file, _ in found.faults)}
    known |= {coco for cocos in found.listed.values() for coco in cocos}
    told = [f"{file.path.name}{text}" for _, file, text in found.faults]
    strange = (f.path.name for f in found.files if f not in known)
    return told + [
        f"{n}: {annotations.UNKNOWN}" for n in strange if layouts.extension(n) == "json"
    ]


def _list(found: Sidecars, coco: File, names: list[str]) -> None:
    """Record the images of one COCO file, and take them into its home."""
    by_name, rehomed = {}, {}
    for file in found.files:
        picture = layouts.may_be_picture(file.path.name) and file.meaning.role != "masks"
        if picture and file is not coco and _covers(coco, file):
            by_name.setdefault(layouts.fold(file.path.name), []).append(file)
    for name in names:
        there = by_name.get(layouts.fold(_base(name)), [])
        image = _one(there, name, coco)
        if image is None:
            why = f"the name of {len(there)} pictures" if there else "which is not there"
            found.faults.append(("mask without image", coco, f": lists {name}, {why}"))
        else:
            higher = len(coco.home) < len(image.home)
            rehomed[image] = replace(image, home=coco.home) if higher else image
    found.files = [rehomed.get(file, file) for file in found.files]
    for image, moved in rehomed.items():
        found.listed[moved] = [*found.listed.pop(image, []), coco]


def _covers(coco: File, file: File) -> bool:
    """Tell whether a picture lies beside or below a COCO file, or below its home's folders."""
    scope = coco.home if coco.meaning.role == "masks" else coco.entry.folders
    return file.entry.folders[: len(scope)] == scope


def _base(name: str) -> str:
    return re.split(r"[\\/]", name)[-1]


def _one(files: list[File], name: str, coco: File) -> File | None:
    """Return the file that is meant: by its folders if they are named, by the part if not."""
    if len(files) > 1:
        folders = tuple(layouts.fold(folder) for folder in re.split(r"[\\/]", name)[:-1])
        files = [f for f in files if _ends_with(f, folders)]
    if len(files) > 1:
        part = coco.meaning.part or layouts.part_in(coco.stem)
        files = [f for f in files if (f.meaning.part or "train") == (part or "train")]
    return files[0] if len(files) == 1 else None


def _ends_with(file: File, folders: tuple[str, ...]) -> bool:
    last = file.entry.folders[len(file.entry.folders) - len(folders) :]
    return tuple(layouts.fold(folder) for folder in last) == folders
