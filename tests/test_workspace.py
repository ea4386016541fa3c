"""Places and names; files and folders that appear whole or not at all; locks."""

import datetime
import errno
import json
import os
import re
import select
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from unet_lib import workspace


def test_json_is_written_a_value_a_line(tmp_path):
    workspace.write_json(tmp_path / "a.json", {"a": 1, "b": ["ü"]})
    assert (tmp_path / "a.json").read_bytes() == b'{\n "a": 1,\n "b": [\n  "\\u00fc"\n ]\n}\n'


def test_the_project_is_the_folder_that_holds_notebooks_and_library():
    assert workspace.CHECKOUT
    assert workspace.PROJECT == Path(__file__).resolve().parents[1]


def test_data_and_runs_lie_in_the_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    assert workspace.data_dir("phantom") == tmp_path / "data" / "phantom"
    assert workspace.run_dir("quick") == tmp_path / "runs" / "quick"
    assert workspace.run_dir("sweep/point") == tmp_path / "runs" / "sweep" / "point"
    assert workspace.shown(workspace.run_dir("quick")) == "runs/quick"
    monkeypatch.delenv("UNET_LOWERED_WORKSPACE")
    assert workspace.workspace() == workspace.PROJECT


@pytest.mark.parametrize("name", ["", "..", "a/../b", "a/b/c", "a\\b", ".hidden", "a b", None])
def test_names_that_leave_their_folder_are_refused(name):
    with pytest.raises(ValueError, match="run_name must be one plain folder name"):
        workspace.run_dir(name)


def test_relative_paths_start_at_the_project_wherever_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert workspace.resolve("data/x") == workspace.PROJECT / "data" / "x"
    assert workspace.resolve(tmp_path / "y") == tmp_path / "y"


def test_a_missing_file_names_the_notebook_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="notebooks/01_restructure_dataset.ipynb makes it"):
        workspace.require_artifact(tmp_path / "nothing", "01_restructure_dataset")
    assert workspace.require_artifact(tmp_path, "01_restructure_dataset") == tmp_path


def test_on_colab_a_missing_file_names_the_cell_that_makes_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    path = workspace.PROJECT / "notebooks" / "04_train.ipynb"
    with pytest.raises(FileNotFoundError) as caught:
        workspace.require_artifact(tmp_path / "nothing", "04_train")
    assert str(caught.value).endswith(f'a machine of its own: %run "{path}"') and path.is_file()
    monkeypatch.delitem(sys.modules, "google.colab")
    assert workspace.on_colab("04_train") == ""


def test_importing_the_package_is_quiet_and_loads_no_tensorflow():
    heavy = "{'keras', 'tensorflow', 'cv2'}"
    code = f"import sys, unet_lib, unet_lib.workspace; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=workspace.PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("set()\n", "")


# ------------------------------------------------------------ files that appear whole or not at all


def start(script: str, *arguments, before=()) -> subprocess.Popen:
    """Start a Python that tells what it does line by line and goes on when it gets a line."""
    command = [*before, sys.executable, "-c", "from unet_lib import workspace\n" + script]
    return subprocess.Popen(
        [*command, *map(str, arguments)], cwd=workspace.PROJECT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_at_the_end_and_only_then(tmp_path):
    path = tmp_path / "new" / "model.keras"
    for old, content in [(None, "one"), ("one", "two")]:
        with workspace.replacing_file(path) as partial:
            assert partial.parent == path.parent and partial != path
            assert partial.suffix == ".keras"  # Keras chooses the format by it
            partial.write_text(content)
            assert (path.read_text() if path.exists() else None) == old
        assert path.read_text() == content and names(path.parent) == ["model.keras"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_after_an_error_the_file_is_as_it_was_and_nothing_is_left(error, tmp_path):
    path = tmp_path / "history.csv"
    for old in ([], ["history.csv"]):
        with pytest.raises(type(error)), workspace.replacing_file(path) as partial:
            partial.write_text("half")
            raise error
        assert names(tmp_path) == old
        path.write_text("whole")
    assert path.read_text() == "whole"


def test_a_swap_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError), workspace.replacing_file(tmp_path / "taken") as partial:
        partial.write_text("whole")
    assert names(tmp_path) == ["taken"]


def test_a_file_is_on_the_disk_before_it_takes_the_place(tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, real=real, name=name: (done.append(name), real(*a))[1]
        )
    workspace.write_json(tmp_path / "run.json", {"a": 1})
    assert done == ["fsync", "replace"]


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "run.json"
    workspace.write_json(path, {"name": "Röntgen", "epochs": 3})
    assert json.loads(path.read_text("utf-8")) == {"name": "Röntgen", "epochs": 3}
    with pytest.raises(TypeError):
        workspace.write_json(path, {"name": object()})
    assert json.loads(path.read_text("utf-8"))["epochs"] == 3 and names(tmp_path) == ["run.json"]


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no umask")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_permissions_that_the_umask_leaves(mask, tmp_path):
    before = os.umask(mask)
    try:
        workspace.write_json(tmp_path / "a.json", {})
        (tmp_path / "plain").touch()
        assert os.umask(mask) == mask  # as it was
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.json", "plain")}
    assert modes == {0o666 & ~mask}


def test_a_new_file_leaves_the_umask_alone(tmp_path, monkeypatch):
    """It is the whole process': another thread may make a file, or start a kernel, meanwhile."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("touched"))
    workspace.write_json(tmp_path / "a.json", {})


WRITES = """
import os, sys
from pathlib import Path
with workspace.replacing_file(Path(sys.argv[1])) as partial:
    print(os.getpid(), partial.name, flush=True)
    partial.write_text(sys.argv[2] * 100000)
    input()
"""


def test_two_processes_of_one_number_never_share_a_temporary_file(tmp_path):
    """Two machines, or two containers, on one disk: each may have a process 1."""
    unshare = ["unshare", "--pid", "--fork"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"]).returncode:
        print(reason := "no unshare here, or no right to use it: no two processes with one number")
        pytest.skip(reason)
    path = tmp_path / "table.csv"
    writers = [start(WRITES, path, letter, before=unshare) for letter in "ab"]
    told = [writer.stdout.readline().split() for writer in writers]
    assert [number for number, _ in told] == ["1", "1"]
    assert told[0][1] != told[1][1]
    for writer, letter in zip(writers, "ab", strict=True):
        assert writer.communicate("\n") == ("", "")
        assert path.read_text() == letter * 100000
    assert names(tmp_path) == ["table.csv"]


# -------------------------------------------------------------------------------------------- locks

needs_locks = pytest.mark.skipif(workspace.fcntl is None, reason="needs flock")

CLAIMS = """
import sys
from pathlib import Path
try:
    workspace.claim(Path(sys.argv[1]), **dict(a.split("=") for a in sys.argv[2:]))
    print("mine", flush=True)
    input()
except BlockingIOError as error:
    print(error)
"""


@pytest.fixture
def claimed(tmp_path, monkeypatch):
    """A folder that another process has claimed, and that process."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    folder = tmp_path / "runs" / "quick"
    holder = start(CLAIMS, folder)
    assert holder.stdout.readline() == "mine\n"
    yield folder, holder
    holder.kill()
    holder.communicate()


@needs_locks
def test_the_second_process_is_told_who_has_the_folder_where_and_since_when(claimed):
    folder, holder = claimed
    with pytest.raises(BlockingIOError) as caught:
        workspace.claim(folder)
    said = re.fullmatch(
        r"runs/quick is in use by process (\d+) on (\S+) since (\d{4}-\d\d-\d\d \d\d:\d\d); wait"
        r" until it ends, stop it \(in JupyterLab: shut down its kernel\), or choose another"
        r" run_name",
        str(caught.value),
    )
    assert said and int(said[1]) == holder.pid and said[2] == socket.gethostname()
    age = datetime.datetime.now() - datetime.datetime.strptime(said[3], "%Y-%m-%d %H:%M")
    assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=3)
    with pytest.raises(BlockingIOError, match=f"process {holder.pid} "):  # still said: not wiped
        workspace.claim(folder)


@needs_locks
def test_a_claim_ends_with_its_process_however_it_ends(claimed):
    folder, holder = claimed
    holder.kill()
    holder.wait()
    workspace.claim(folder)
    second = start(CLAIMS, folder).communicate()[0]
    assert f"in use by process {os.getpid()} on" in second and str(holder.pid) not in second
    workspace.release(folder)
    assert start(CLAIMS, folder).communicate("\n")[0] == "mine\n"


@needs_locks
def test_a_process_may_claim_again_and_releases_once(tmp_path, monkeypatch):
    folder = tmp_path / "new"
    workspace.claim(folder)
    monkeypatch.chdir(tmp_path)
    workspace.claim(Path("new"))  # the same by another path
    assert "in use by process" in start(CLAIMS, folder).communicate("\n")[0]
    workspace.release(folder)
    assert start(CLAIMS, folder).communicate("\n")[0] == "mine\n"
    workspace.release(folder)  # nothing to give back: no harm
    workspace.claim(folder)  # and it can be had again
    assert "in use by process" in start(CLAIMS, folder).communicate("\n")[0]
    workspace.release(folder)


@needs_locks
def test_another_purpose_does_not_collide(claimed):
    folder, holder = claimed
    workspace.claim(folder, purpose="tensorboard")
    workspace.release(folder)  # not this one
    second = start(CLAIMS, folder, "purpose=tensorboard").communicate("\n")[0]
    assert f"in use by process {os.getpid()} on" in second
    workspace.release(folder, purpose="tensorboard")
    with pytest.raises(BlockingIOError, match=f"process {holder.pid} "):
        workspace.claim(folder)


def test_a_disk_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    if workspace.fcntl:
        def flock(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(workspace.fcntl, "flock", flock)
    workspace.claim(tmp_path)
    workspace.release(tmp_path)
    with workspace.alone(tmp_path):
        pass


WAITS = """
import sys
from pathlib import Path
print("waiting", flush=True)
with workspace.alone(Path(sys.argv[1])):
    print("alone", flush=True)
"""


@needs_locks
def test_two_processes_are_alone_in_turn_and_other_folders_do_not_matter(tmp_path):
    with workspace.alone(tmp_path / "data"):
        other = start(WAITS, tmp_path / "other")
        second = start(WAITS, tmp_path / "data")
        assert second.stdout.readline() == "waiting\n"
        assert other.communicate()[0] == "waiting\nalone\n"
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.5)
        assert not select.select([second.stdout], [], [], 0)[0]  # it has said nothing more
    assert second.communicate(timeout=30)[0] == "alone\n"
    with pytest.raises(ZeroDivisionError), workspace.alone(tmp_path / "data"):
        raise ZeroDivisionError
    assert start(WAITS, tmp_path / "data").communicate(timeout=30)[0] == "waiting\nalone\n"
