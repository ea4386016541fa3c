"""What lies in a folder: every file once, links only where they may be followed."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

LINK = "path leads outside the source"
ODD = "name that not every system allows"
STRAY = "stray file"

_ODD = re.compile(r"[\\\x00-\x1f\ud800-\udfff]")
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r", "$recycle.bin"}
_HOPS = 3  # linked folders on one way down
_PEEK = 1  # levels below a refused folder that are listed, so that its masks are not called lonely


@dataclass(frozen=True, eq=False)
class Entry:
    """A file: the names of the folders from the source down to it, its own name, its path.

    `refused` files are listed so that their partners are not missed; nothing is read of them.
    """

    folders: tuple[str, ...]
    name: str
    path: Path
    refused: bool = False


@dataclass
class Listing:
    """All files of a folder in sorted order, and what was noted: (fault, path, detail)."""

    entries: list[Entry] = field(default_factory=list)
    notes: list[tuple[str, Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Folder:
    path: str
    names: tuple[str, ...]
    real: str
    above: tuple[str, ...] = ()  # the real folders that hold it, on this way
    hops: int = 0
    peek: int | None = None  # levels left to list, in a folder that is refused


def walk(source: Path, *, follow_links: bool = False) -> Listing:
    """List the files in `source` and all folders below.

    Args:
        source: a folder.
        follow_links: enter links that lead out of `source`; those that stay inside always are.

    Returns:
        The listing. A link that leads outside is noted once, whatever it holds; what the systems
        of others leave behind (dotfiles, Thumbs.db, __MACOSX) is noted and not entered.
    """
    root, listing = os.path.realpath(source), Listing()
    waiting = [_Folder(str(source), (), root)]
    while waiting:
        folder = waiting.pop()
        for entry in _scan(listing, folder):
            if below := _look(listing, folder, entry, root, follow_links):
                waiting.append(below)
    listing.entries.sort(key=lambda entry: (entry.folders, entry.name))
    return listing


def _scan(listing: Listing, folder: _Folder) -> list[os.DirEntry]:
    """Return what lies in a folder, sorted; note one that may not be looked into."""
    try:
        if os.access(folder.path, os.R_OK | os.X_OK):
            with os.scandir(folder.path) as entries:
                return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        pass
    if folder.peek is None:
        detail = ": no permission to look into this folder"
        listing.notes.append(("unreadable file", Path(folder.path), detail))
    return []


def _look(
    listing: Listing, folder: _Folder, entry: os.DirEntry, root: str, follow: bool
) -> _Folder | None:
    """Record a file or a note about it; return a folder that is to be entered."""
    refused = folder.peek is not None
    fault, detail = _judge(folder, entry, root, follow)
    if fault and not refused:
        listing.notes.append((fault, Path(entry.path), detail))
    if fault in (STRAY, "unreadable file"):
        return None
    if entry.is_dir():
        return _below(folder, entry, fault)
    refused = refused or bool(fault)
    listing.entries.append(Entry(folder.names, entry.name, Path(entry.path), refused))
    return None


def _judge(folder: _Folder, entry: os.DirEntry, root: str, follow: bool) -> tuple[str, str]:
    """Return the fault of a file or folder that is known without reading it, and its detail."""
    if _ODD.search(entry.name) and not entry.is_dir():
        return ODD, ""
    if is_junk(entry.name):
        return STRAY, ""
    if not entry.is_symlink():
        return ("", "") if entry.is_file() or entry.is_dir() else (STRAY, ": no regular file")
    real = os.path.realpath(entry.path)
    if not os.path.exists(entry.path):
        return "unreadable file", ": a link to nothing"
    if entry.is_dir() and (real in (folder.real, *folder.above) or folder.hops == _HOPS):
        return STRAY, ": a link back to a folder that holds it"
    if not follow and not Path(real).is_relative_to(root):
        return LINK, ": a linked folder" if entry.is_dir() else ""
    return "", ""


def is_junk(name: str) -> bool:
    """Tell whether a file or folder is hidden, or one that systems leave behind."""
    return name.casefold() in _JUNK or (name.startswith(".") and not _ODD.search(name))


def _below(folder: _Folder, entry: os.DirEntry, fault: str) -> _Folder | None:
    """Return the folder `entry` to enter, unless enough of what is refused has been listed."""
    linked = entry.is_symlink()
    peek = _PEEK if fault and folder.peek is None else folder.peek and folder.peek - 1
    if folder.peek == 0:
        return None
    real = os.path.realpath(entry.path) if linked else os.path.join(folder.real, entry.name)
    above = (*folder.above, folder.real)
    return _Folder(entry.path, (*folder.names, entry.name), real, above, folder.hops + linked, peek)
