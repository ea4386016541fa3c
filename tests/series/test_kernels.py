"""Kernels: this very Python, in surroundings that no setting of the user changes."""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from made import copies, printed, run, write_notebook

from unet_lib import workspace
from unet_lib.series import execute, kernels


def test_kernel_is_this_python_though_another_is_registered(folder, tmp_path, monkeypatch):
    kernels = tmp_path / "jupyter" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    spec = {"argv": ["/no/such/python", "-m", "x", "{connection_file}"], "display_name": "other"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    run(folder, only=["02_two"])
    assert sys.executable in printed(copies() / "02_two.ipynb")


SHOW = [  # what settings of the user would change
    "import os\nimport matplotlib\nfrom matplotlib import pyplot\n5\nprint('last')\n"
    "print(matplotlib.rcParams['figure.dpi'], matplotlib.get_backend())",
    "pyplot.plot([1, 2])\npyplot.show()",
    "print(open(os.path.join(os.environ['KERAS_HOME'], 'keras.json')).read())\n"
    "print('dataset' in globals(), os.environ.get('KERAS_BACKEND'))",
    "from ipykernel.connect import get_connection_info\n"
    "print(get_connection_info(unpack=True)['transport'], os.environ['IPYTHONDIR'])",
]


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """What a user may have set: each of it would change a notebook."""
    profile = tmp_path / "ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "ipython_config.py").write_text(
        'c.InteractiveShell.ast_node_interactivity = "all"')
    (profile / "startup" / "00.py").write_text('dataset = "from startup"')
    (tmp_path / "start.py").write_text('dataset = "from PYTHONSTARTUP"')
    (tmp_path / "matplotlibrc").write_text("figure.dpi: 17\n")
    (tmp_path / "keras").mkdir()
    keras = {"backend": "theano", "image_data_format": "channels_first", "floatx": "float16"}
    (tmp_path / "keras" / "keras.json").write_text(json.dumps(keras))
    for name, value in {
        "MPLBACKEND": "agg", "IPYTHONDIR": profile.parent, "KERAS_HOME": tmp_path / "keras",
        "PYTHONSTARTUP": tmp_path / "start.py", "MATPLOTLIBRC": tmp_path / "matplotlibrc",
        "KERAS_BACKEND": "torch",
    }.items():
        monkeypatch.setenv(name, str(value))


def check_surroundings(notebook):
    code = [c for c in nbformat.read(notebook, 4).cells if c.id.startswith("cell-")]
    texts = ["".join(o.get("text", "") for o in c.outputs) for c in code]
    assert texts[0].splitlines()[0] == "last" and "100.0" in texts[0] and "inline" in texts[0]
    assert [o.output_type for o in code[0].outputs] == ["stream"]  # 5 is not shown
    assert any("image/png" in o.get("data", {}) for o in code[1].outputs)
    assert '"channels_last"' in texts[2] and '"tensorflow"' in texts[2] and "theano" not in texts[2]
    assert "False tensorflow" in texts[2]
    transport, place = texts[3].split()
    assert transport == ("ipc" if os.name == "posix" else "tcp")
    assert not Path(place).exists()  # removed with its kernel


def test_settings_of_the_user_change_nothing(folder, hostile):
    write_notebook(folder / "02_two.ipynb", *SHOW)
    run(folder, only=["02_two"])
    check_surroundings(copies() / "02_two.ipynb")


@pytest.mark.parametrize("name, value", [
    ("PYTHONOPTIMIZE", "1"), ("PYTHONWARNINGS", "error"), ("KERAS_MAX_EPOCHS", "1"),
    ("KERAS_MAX_STEPS_PER_EPOCH", "1"), ("JPY_SESSION_NAME", "x"), ("VSCODE_PID", "1"),
])  # fmt: skip
def test_no_setting_switches_assertions_off_or_trains_less(folder, monkeypatch, name, value):
    """Without assertions a run below its required Dice would end with 0."""
    monkeypatch.setenv(name, value)
    write_notebook(folder / "02_two.ipynb",
                   f"import os\nassert False, 'looked at, set: ' + str({name!r} in os.environ)")
    with pytest.raises(execute.NotebookFailed, match="looked at, set: False"):
        run(folder, only=["02_two"])


def test_settings_of_the_user_change_nothing_in_nbval(folder, hostile):
    """A notebook that was executed elsewhere is compared by nbval under such settings."""
    write_notebook(folder / "02_two.ipynb", *SHOW[:3], SHOW[3].split(", os.environ")[0] + ")")
    with pytest.MonkeyPatch.context() as calm:
        for name in ("MPLBACKEND", "IPYTHONDIR", "PYTHONSTARTUP", "MATPLOTLIBRC"):
            calm.delenv(name)
        run(folder, only=["02_two"])
    target = folder / "02_two.ipynb"
    (copies() / "02_two.ipynb").replace(target)
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", f"--confcutdir={workspace.PROJECT}",
               "-p", "conftest", str(target)]
    done = subprocess.run(command, cwd=workspace.PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b[56] passed", done.stdout)


@pytest.mark.skipif(os.name != "posix", reason="sockets in a folder")
@pytest.mark.parametrize("length", [20, 59, 60, 61, 90, 200])
@pytest.mark.parametrize("letter", ["x", "\u00fc"])
def test_sockets_have_short_paths_whatever_the_temporary_folder_is(letter, length, monkeypatch):
    """A system's limit is about a hundred bytes; up to 60 the user's own choice is kept."""
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        size = len(letter.encode())
        place = Path(base) / (letter * ((length - len(base) - 1) // size))
        place.mkdir(exist_ok=True)
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        folder = kernels._short_folder()
        try:
            address = kernels._sockets(folder)["ip"] + "-5"  # five sockets: k-1 to k-5
            with socket.socket(socket.AF_UNIX) as one:
                one.bind(address)
            assert len(os.fsencode(address)) < 100 and stat.S_IMODE(folder.stat().st_mode) == 0o700
            own = len(os.fsencode(place)) <= 60
            assert folder.parent == (place if own else Path("/tmp"))
        finally:
            shutil.rmtree(folder)


def test_long_temporary_folders_are_left_aside(folder, tmp_path, monkeypatch):
    """The path of a socket has room for about a hundred characters."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    write_notebook(folder / "02_two.ipynb", "import os\n" + SHOW[3])
    run(folder, only=["02_two"])
    assert os.name != "posix" or "ipc" in printed(copies() / "02_two.ipynb")
