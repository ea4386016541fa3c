"""Which pictures are to be predicted, and under which name each mask is written."""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from unet_lib.intake import layouts, walk


@dataclass(frozen=True)
class Picture:
    r"""A file that may be a picture.

    Attributes:
        path: where it is.
        file: its path from the folder that was given, with "/": `a/b.dcm`; bytes that are no text
            as `\udcff`. No other picture has it.
        name: what its mask is called, without the ending: `a/b`. No other picture has it.
    """

    path: Path
    file: str
    name: str


def find(given: Iterable[str | Path], *, made: Callable[[Path], bool]) -> list[Picture]:
    """List the files to predict, before anything is written.

    A folder gives every file in it and below it, but for hidden ones and what systems leave
    behind (Thumbs.db, __MACOSX); links are followed. A file is taken under its own name. What is
    reached twice is taken once.

    Args:
        given: files and folders.
        made: tells whether a file is an earlier call's output, which is left out of a folder.

    Returns:
        The files in the order of what was given, those of a folder sorted; and folders that cannot
        be looked into.

    Raises:
        FileNotFoundError: one of `given` is not there.
        PermissionError: one of them is a folder that cannot be looked into.
        ValueError: two of the files would get one name.
    """
    found, seen = [], set()
    for place in map(Path, given):
        if not place.exists():
            raise FileNotFoundError(
                f"{os.fspath(place)!r} is not there; expected a picture, or a folder of pictures"
                f" (looked for {place.absolute()})"
            )
        top = os.path.basename(os.path.realpath(place if place.is_dir() else place.parent))
        for path, file in _files(place, made):
            if (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                found.append((path, file, top))
    return _name(found)


def _files(place: Path, made: Callable[[Path], bool]) -> list[tuple[Path, str]]:
    """Return path and relative name of the files that one argument stands for."""
    if not place.is_dir():
        return [(place, place.name)]
    if not os.access(place, os.R_OK | os.X_OK):
        raise PermissionError(f"{os.fspath(place)!r} cannot be looked into: get leave to read it")
    files, entered = [], set()

    def note(error: OSError) -> None:  # a folder that cannot be looked into
        files.append(Path(error.filename))

    for folder, below, names in os.walk(place, followlinks=True, onerror=note):
        entered.add(os.path.realpath(folder))
        below[:] = [name for name in sorted(below) if not walk.is_junk(name)
                    and os.path.realpath(os.path.join(folder, name)) not in entered]
        paths = [Path(folder, name) for name in names if not walk.is_junk(name)]
        files += [path for path in paths if not made(path)]
    return [(path, path.relative_to(place).as_posix()) for path in sorted(files)]


def _name(found: list[tuple[Path, str, str]]) -> list[Picture]:
    """Give each file a name of its own: without its ending, with it, with its folder's name."""
    files = [file for _, file, _ in found]
    twice = Counter(map(_key, files))
    files = [f"{top}/{file}" if twice[_key(file)] > 1 else file for _, file, top in found]
    bare = [without_ending(file) for file in files]
    shared = Counter(map(_key, bare))
    names = [file if shared[_key(stem)] > 1 else stem
             for file, stem in zip(files, bare, strict=True)]
    paths, owners = [path for path, *_ in found], {}
    for path, name in zip(paths, names, strict=True):
        if (other := owners.setdefault(_key(name), path)) is not path:
            raise ValueError(
                f"{os.fspath(other)!r} and {os.fspath(path)!r} would get the same name (not every"
                " disk tells capitals apart); rename one, or predict it in a call of its own, with"
                " an --out of its own"
            )
    files = [file.encode("utf-8", "backslashreplace").decode() for file in files]
    return [Picture(*each) for each in zip(paths, files, names, strict=True)]


def without_ending(file: str) -> str:
    """Return a file without a picture's ending; "1.2.840.113" has none."""
    known = layouts.extension(file)
    return file[: -len(known) - 1] if known in layouts.PICTURES else file


def _key(name: str) -> str:
    """Return what a disk compares that knows neither case nor ways to write an accent."""
    return unicodedata.normalize("NFC", name).casefold()
