"""A data set's folder appears whole or not at all, and stays as it is while it is used."""

import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from unet_lib import workspace
from unet_lib.intake import safekeeping

needs_locks = pytest.mark.skipif(workspace.fcntl is None, reason="needs flock")


def start(script: str, *arguments) -> subprocess.Popen:
    """Start a Python that tells what it does line by line and goes on when it gets a line."""
    command = [sys.executable, "-c", "from unet_lib.intake import safekeeping\n" + script]
    return subprocess.Popen(
        [*command, *map(str, arguments)], cwd=workspace.PROJECT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    """A folder with something old in it."""
    folder = tmp_path / "data" / "xrays"
    (folder / "part").mkdir(parents=True)
    (folder / "part" / "old").write_text("old")
    return folder


def fill(partial: Path, text: str = "new") -> None:
    (partial / "part").mkdir(parents=True)
    (partial / "part" / text).write_text(text)


def held(folder: Path) -> dict:
    """Return all that lies in a folder, hidden files too."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


@pytest.fixture
def layered(folder, monkeypatch):
    """A file system that cannot rename the folder of a lower layer; the calls it has seen."""
    real, seen = os.rename, []

    def rename(source, target, **options):
        seen.append((Path(source).name, Path(target).name))
        if Path(source) == folder:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return real(source, target, **options)

    monkeypatch.setattr(os, "rename", rename)
    return seen


def replace(folder: Path) -> None:
    with safekeeping.replacing_folder(folder) as partial:
        fill(partial)
        assert held(folder) == {"part/old": "old"}  # until the end


def test_a_folder_is_replaced_at_the_end(folder):
    replace(folder)
    assert held(folder.parent) == {"xrays/part/new": "new"}
    with safekeeping.replacing_folder(folder):
        pass  # nothing made: nothing replaced
    assert held(folder.parent) == {"xrays/part/new": "new"}


def test_an_old_folder_that_cannot_be_renamed_is_copied(folder, layered):
    replace(folder)
    assert ("xrays", ".xrays.old") in layered
    assert held(folder.parent) == {"xrays/part/new": "new"}
    assert names(folder.parent) == ["xrays"]


def test_a_swap_that_fails_after_the_copy_gives_the_old_folder_back(folder, layered, monkeypatch):
    real = os.rename

    def rename(source, target):
        if Path(source).name == ".xrays.partial":
            raise OSError(errno.EACCES, "Permission denied")
        return real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="cannot write .*Permission denied"):
        replace(folder)
    assert held(folder.parent) == {"xrays/part/old": "old"} and names(folder.parent) == ["xrays"]


def test_a_full_disk_while_copying_leaves_the_old_folder(folder, layered, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="cannot write .*No space left"):
        replace(folder)
    assert held(folder.parent) == {"xrays/part/old": "old"} and names(folder.parent) == ["xrays"]


def test_an_old_folder_in_use_stays_whole(folder, monkeypatch):
    """On Windows nobody renames or removes what another process has open."""
    real_rename, real_unlink = os.rename, os.unlink
    (folder / "open").write_text("in use")

    def rename(source, target):
        if Path(source) == folder:
            raise PermissionError(errno.EACCES, "in use by another process")
        return real_rename(source, target)

    def unlink(path, **options):
        if Path(path).name == "open":
            raise PermissionError(errno.EACCES, "in use by another process")
        return real_unlink(path, **options)

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(OSError, match="cannot write .*in use by another process"):
        with safekeeping.replacing_folder(folder) as partial:
            fill(partial)
    assert {"part/old": "old", "open": "in use"}.items() <= held(folder).items()


def test_a_copied_folder_that_cannot_be_removed_is_not_lost(folder, layered, monkeypatch):
    real = os.unlink

    def unlink(path, **options):
        if Path(path).name == "stuck":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, **options)

    (folder / "part" / "stuck").write_text("old too")
    before = held(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        for _ in range(2):  # and a second run loses nothing either
            with pytest.raises(OSError, match="cannot write "):
                with safekeeping.replacing_folder(folder) as partial:
                    fill(partial)
            assert held(folder.with_name(".xrays.old")) == before
    with safekeeping.replacing_folder(folder):
        assert held(folder) == before
    assert names(folder.parent) == ["xrays"]


KILLED_IN_THE_COPY = """
import errno, os, shutil, signal, sys
from pathlib import Path
folder, moment = Path(sys.argv[1]), sys.argv[2]
real_rename, real_unlink = os.rename, os.unlink
def rename(source, target):
    if Path(source) == folder: raise OSError(errno.EXDEV, "Invalid cross-device link")
    return real_rename(source, target)
def unlink(path, **options):
    real_unlink(path, **options)
    os.kill(os.getpid(), signal.SIGKILL)
def copy(source, target, **options):
    Path(target).write_text("ha")
    os.kill(os.getpid(), signal.SIGKILL)
os.rename = rename
if moment == "removing": os.unlink = unlink
if moment == "copying": shutil.copyfile = copy
with safekeeping.replacing_folder(folder) as partial:
    partial.mkdir()
    (partial / "new").write_text("new")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
@pytest.mark.parametrize("moment", ["copying", "removing"])
def test_kill_9_while_the_old_folder_is_copied_loses_nothing(moment, folder):
    (folder / "second").write_text("old too")
    before = held(folder)
    killed = start(KILLED_IN_THE_COPY, folder, moment)
    assert killed.communicate()[1] == "" and killed.returncode == -9
    with pytest.raises(ZeroDivisionError), safekeeping.replacing_folder(folder):
        assert held(folder) == before  # given back before anything is built
        raise ZeroDivisionError
    assert held(folder) == before and names(folder.parent) == ["xrays"]


# ------------------------------------------------------------------------------------ while in use


USES = """
import json, sys
from pathlib import Path
try:
    with safekeeping.using(Path(sys.argv[1]), json.loads(sys.argv[2]), who="run 'b'"):
        print("mine", flush=True)
        input()
except BlockingIOError as error:
    print(error)
"""
ONES, TWOS = ({"source": "s", "mask_values": value} for value in "12")


@needs_locks
def test_a_folder_is_used_by_those_who_ask_for_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    folder = tmp_path / "data" / "set"
    with safekeeping.using(folder, ONES, who="run 'a'"):
        second = start(USES, folder, json.dumps(ONES))
        assert second.stdout.readline() == "mine\n"
        said = start(USES, folder, json.dumps(TWOS)).communicate()[0]
        assert re.fullmatch(
            rf"data/set is in use by run 'a', process {os.getpid()} on {socket.gethostname()} since"
            r" \S+ \S+, which asked for other data: mask_values is '1' there, here '2'\. Wait until"
            r" it ends, or choose another dataset name\n", said)
    with pytest.raises(BlockingIOError, match="run 'a'"):  # the first has ended, not the second
        with safekeeping.using(folder, TWOS, who="run 'c'"):
            pass
    second.kill()
    second.communicate()
    with safekeeping.using(folder, TWOS, who="run 'c'"):
        with pytest.raises(BlockingIOError, match="run 'c'.* mask_values is '2' there, here '1'"):
            with safekeeping.using(folder, ONES, who="run 'a'"):
                pass
    assert not folder.exists()


@needs_locks
def test_of_many_that_start_at_once_only_one_record_is_let_in(tmp_path):
    records = [{"mask_values": str(number % 3)} for number in range(9)]
    started = [start(USES, tmp_path / "set", json.dumps(record)) for record in records]
    mine = [r["mask_values"] for r, p in zip(records, started, strict=True)
            if p.stdout.readline() == "mine\n"]
    for process in started:
        process.communicate("\n")
    assert len(set(mine)) == 1 and len(mine) >= 1


def test_a_folder_that_cannot_be_written_beside_is_used_all_the_same(tmp_path):
    (tmp_path / "file").write_text("")
    with safekeeping.using(tmp_path / "file" / "set", ONES, who="run 'a'"):
        pass


def test_a_disk_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    if workspace.fcntl:
        def flock(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(workspace.fcntl, "flock", flock)
    with safekeeping.using(tmp_path / "set", ONES, who="run 'a'"):
        with safekeeping.using(tmp_path / "set", TWOS, who="run 'b'"):
            pass
