"""What earlier calls of `predict` left in a folder, and what of it no longer holds."""

import os
from collections.abc import Iterable
from pathlib import Path

from unet_lib.commands import job, outputs, pictures, table
from unet_lib.commands.job import Job


def is_output(path: Path, out: Path) -> bool:
    """Tell whether a file is one that an earlier call wrote, into `out` or elsewhere."""
    if path.name in (table.TABLE, table.ABOUT) and path.resolve().is_relative_to(out.resolve()):
        return True
    return path.is_file() and outputs.read_record(path) is not None  # a pipe would wait


def tidy(out: Path) -> None:
    """Remove the half files of a call that was killed."""
    for kind in ("masks", *job.BESIDE):
        for partial in (out / kind).rglob(".partial-*"):
            partial.unlink()


def forget_gone(rows: dict[str, dict], out: Path, given: Iterable[str]) -> list[str]:
    """Drop the rows of files that lay in a folder of this call and are no longer there.

    A mask's record tells where its picture lay: rows of files from other folders stay.

    Args:
        rows: of earlier calls by their `file`; those are dropped here.
        out: folder that the call writes into.
        given: files and folders of this call.

    Returns:
        What was dropped.
    """
    folders = [Path(os.path.abspath(place)) for place in given if os.path.isdir(place)]
    gone = []
    for file in rows:
        places = (base / file for folder in folders for base in (folder, *folder.parents)
                  if (base / file).is_relative_to(folder))  # it may have been given from above
        if lost := [place for place in places if not os.path.lexists(place)]:
            masks = _masks(out, pictures.without_ending(file), file)
            own = any(job.origin(place) in masks for place in lost)
            gone += [file] * (own and rows[file]["status"] == "ok")
    for file in gone:
        del rows[file]
    return gone


def older_mask(done: Job, out: Path) -> str:
    """Return what is to be said of the mask that an earlier call made of a picture.

    Args:
        done: a picture that has failed, or that is none any more.
        out: folder that the call writes into.

    Returns:
        A sentence, or "" if there is no such mask.
    """
    file, origin = done.picture.file, job.origin(done.picture.path)
    masks = _masks(out, done.picture.name, pictures.without_ending(file), file)
    if origin not in masks:
        return ""
    had, now = outputs.read_record(masks[origin]).get("input"), done.record.get("input")
    of = "of an earlier call" if now in (None, had) else "of what the file held before"
    return f"{masks[origin].relative_to(out).as_posix()} is {of}"


def _masks(out: Path, *names: str) -> dict[str, Path]:
    """Return the masks of these names that `predict` wrote, by the origin of their pictures."""
    found = [out / "masks" / f"{name}.png" for name in names]
    records = {mask: outputs.read_record(mask) for mask in found}
    return {had["from"]: mask for mask, had in records.items() if had and "from" in had}
