"""The folder of a data set: it appears whole or not at all, and stays as it is while it is used."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from unet_lib import workspace


@contextlib.contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Give the path of a folder to make; what is there in the end takes the place of `target`.

    A killed run leaves `target` as it was, or for an instant beside itself; the next run tidies up.
    Other processes that replace a folder beside `target` wait.

    Raises:
        OSError: `target` cannot be written; the message says what to do.
    """
    partial, old = (target.with_name(f".{target.name}.{kind}") for kind in ("partial", "old"))
    try:
        with workspace.alone(target.parent):
            _tidy(target, old, partial)
            try:
                yield partial
                if partial.exists():
                    if target.exists():
                        _set_aside(target, old, partial)
                    os.rename(partial, target)
            finally:
                _tidy(target, old, partial)
    except OSError as error:
        raise OSError(
            f"cannot write {workspace.shown(target)}: {error}; make room or get permission, or set"
            " UNET_LOWERED_WORKSPACE to a folder that has both"
        ) from error


def _set_aside(target: Path, old: Path, partial: Path) -> None:
    """Rename a folder, or copy it where a layered file system cannot; `old` is always whole."""
    try:
        os.rename(target, old)
    except OSError as error:
        if error.errno != errno.EXDEV:  # such as a file that is open on Windows: it would be lost
            raise
        draft = partial.with_name(f".{partial.name}-old")
        shutil.copytree(target, draft, symlinks=True)
        os.rename(draft, old)
        shutil.rmtree(target)


def _tidy(target: Path, old: Path, partial: Path) -> None:
    """Remove what a build left over; put back a folder that it was about to replace."""
    if old.exists() and (partial.exists() or not target.exists()):  # the swap has not ended
        shutil.rmtree(target, ignore_errors=True)
        os.rename(old, target)  # fails if there is still something; then `old` stays
    drafts = target.parent.glob(f".{partial.name}-*")  # a copy, or phantoms, of a killed run
    for leftover in (old, partial, *drafts):
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def using(folder: Path, record: dict, *, who: str) -> Iterator[None]:
    """Keep a folder from being made in another way while it is used.

    Any number of processes may use it at once, as long as they name the same record.

    Args:
        folder: it need not exist; a hidden file beside it says who uses it, and with which record.
        record: how the folder is made, as JSON can hold it.
        who: what others are told of this process.

    Raises:
        BlockingIOError: it is in use with another record; the message says by whom and what
            differs.
    """
    with contextlib.ExitStack() as stack:
        held = None
        with contextlib.suppress(OSError):  # a folder that is never written, a disk without locks
            mine = {"who": f"{who}, {workspace.this_process()}", "record": record}
            held = _share(stack, folder, mine)
        if held and held["record"] != record:
            theirs = held["record"]
            differ = [f"{name} is {theirs.get(name)!r} there, here {value!r}"
                      for name, value in record.items() if theirs.get(name) != value]
            raise BlockingIOError(
                f"{workspace.shown(folder)} is in use by {held['who']}, which asked for other data:"
                f" {'; '.join(differ)}. Wait until it ends, or choose another dataset name"
            )
        yield


def _share(stack: contextlib.ExitStack, folder: Path, mine: dict) -> dict | None:
    """Lock a folder together with others and return what the first of them wrote."""
    fcntl = workspace.fcntl
    if not fcntl:
        return None
    path = folder.resolve().with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    file = stack.enter_context(path.open("a+", encoding="utf-8"))
    with contextlib.suppress(BlockingIOError):  # somebody uses it
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate(0)
        json.dump(mine, file)
        file.flush()
    fcntl.flock(file, fcntl.LOCK_SH)  # between two locks another may write: it is read again
    file.seek(0)
    return json.load(file)
