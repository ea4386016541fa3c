"""The bootstrap cell: inside the checkout from anywhere, and alone in an empty folder."""

import functools
import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import maintain
import nbformat
import pytest

from unet_lib import __main__ as command
from unet_lib import bootstrap, workspace
from unet_lib.series import plan

NOTEBOOK, LATER_ONE = plan.select(plan.NOTEBOOKS)[:2]
RELEASE = maintain.read_address()[1]


def bootstrap_cell() -> str:
    cells = nbformat.read(NOTEBOOK, 4).cells
    return next(cell.source for cell in cells if cell.id == "bootstrap")


def run(code, folder, python=sys.executable, **environment):
    """Run code in a folder with another Python, as the kernel of a lone notebook would."""
    own = ("PYTHON", "UNET_LOWERED", "KERAS", "TF_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    return subprocess.run(
        [python, "-c", code], cwd=folder, env={**kept, **environment},
        capture_output=True, text=True,
    )


WHERE = "\nimport sys; print(unet_lib.workspace.PROJECT); print('tensorflow' in sys.modules)"


@pytest.mark.parametrize("folder", [".", "notebooks", "notebooks/params", "tests"])
def test_inside_the_checkout(folder):
    done = run(bootstrap_cell() + WHERE, workspace.PROJECT / folder)
    assert done.stdout == f"{workspace.PROJECT}\nFalse\n", done.stderr


def test_from_another_folder_where_the_project_is_installed(tmp_path):
    """`make setup` installs the project where it is: a kernel finds it from anywhere."""
    found = run("import unet_lib; print(unet_lib.__path__[0])", tmp_path)
    if found.returncode:
        pytest.skip("this Python does not know unet_lib outside the project (no `make setup`)")
    if Path(found.stdout.strip()).parent != workspace.PROJECT:
        pytest.skip(f"this Python knows another unet_lib: {found.stdout.strip()}")
    done = run(bootstrap_cell() + WHERE, tmp_path)
    assert done.stdout == f"{workspace.PROJECT}\nFalse\n", done.stderr
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------- an empty folder, nothing but a notebook


@pytest.fixture(scope="module")
def lone_python(tmp_path_factory):
    """A Python with our packages and without this project, as on Colab."""
    folder = tmp_path_factory.mktemp("lone")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()
    # A plain path: .pth files in that folder, such as the one of make setup, are not read.
    Path(site, "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A git repository holding the working tree, tagged with the release, as a file:// address."""
    folder = tmp_path_factory.mktemp("published")

    def git(*arguments, cwd=folder):
        return subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
            cwd=cwd, check=True, capture_output=True, text=True,
        ).stdout

    listed = git("ls-files", "-co", "--exclude-standard", "-z", cwd=workspace.PROJECT).split("\0")
    for name in filter(None, listed):
        if (workspace.PROJECT / name).is_file():  # a deleted file is still listed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(workspace.PROJECT / name, folder / name)
    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "release")
    git("tag", RELEASE)
    (folder / "later.txt").write_text("after the release")
    git("add", "-A")
    git("commit", "-q", "-m", "later")
    return folder.as_uri()


def test_lone_python_does_not_know_the_project(lone_python, tmp_path):
    done = run("import numpy, unet_lib", tmp_path, lone_python)
    assert "No module named 'unet_lib'" in done.stderr


def test_lone_notebook_fetches_its_release_and_runs(lone_python, published, tmp_path):
    """The whole of notebook 01 beside nothing; its files land in the copy that it fetched."""
    shutil.copy(NOTEBOOK, tmp_path)
    code = (
        "import nbformat; from nbclient import NotebookClient\n"
        f"nb = nbformat.read({NOTEBOOK.name!r}, 4)\n"
        "nb.cells.append(nbformat.v4.new_code_cell('print(unet_lib.workspace.PROJECT)'))\n"
        "NotebookClient(nb, kernel_name='python3').execute()\n"
        "print(nb.cells[-1].outputs[0].text)"
    )
    done = run(code, tmp_path, lone_python, UNET_LOWERED_REPOSITORY=published,
               JUPYTER_PATH="", JUPYTER_PREFER_ENV_PATH="1")
    assert done.returncode == 0, done.stderr[-3000:]
    (copy,) = (p for p in tmp_path.iterdir() if p.is_dir())
    assert done.stdout.strip() == str(copy.resolve())
    assert not (copy / "later.txt").exists()  # the release, not what came after it
    assert list(copy.glob("data/*/manifest.json"))


LATER = """import re, sys, nbformat
from nbclient import NotebookClient, exceptions
cell, [_, path] = nbformat.v4.new_code_cell, sys.argv
nb = nbformat.read(path, 4)
last = [c.id for c in nb.cells].index("derived")
nb.cells = [cell("import sys; sys.modules['google.colab'] = sys"), *nb.cells[: last + 1]]
try:
    NotebookClient(nb, kernel_name="python3").execute()
except exceptions.CellExecutionError as error:
    [line] = set(re.findall(r'each has a machine of its own: (%run "([^"]+)")', error.evalue))
maker = open(line[1]).read()
assert "phantoms: int = 120" in maker
open(line[1], "w").write(maker.replace("phantoms: int = 120", "phantoms: int = 12"))  # sooner done
nb.cells.insert(0, cell(line[0]))
NotebookClient(nb, kernel_name="python3").execute()
print(nb.cells[-1].outputs[0].text)"""


def test_on_colab_the_error_of_a_later_notebook_says_what_makes_its_files(
    lone_python, published, tmp_path
):
    """There each notebook has a machine of its own, so that no other can be run first."""
    folder = tmp_path / "content"
    folder.mkdir()
    (tmp_path / "later.py").write_text(LATER)
    shutil.copy(LATER_ONE, folder / "02.ipynb")
    call = "import runpy, sys; sys.argv[1:] = ['02.ipynb']; runpy.run_path('../later.py')"
    done = run(call, folder, lone_python, UNET_LOWERED_REPOSITORY=published,
               JUPYTER_PATH="", JUPYTER_PREFER_ENV_PATH="1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "phantom: 10 pairs for training, 2 for validation"


def test_second_run_uses_the_fetched_copy(lone_python, published, tmp_path):
    first = run(bootstrap_cell() + WHERE, tmp_path, lone_python, UNET_LOWERED_REPOSITORY=published)
    again = run(bootstrap_cell() + WHERE, tmp_path, lone_python, UNET_LOWERED_REPOSITORY="file:///none")
    assert first.stdout == again.stdout != "", first.stderr + again.stderr


def test_unreachable_repository_is_named(lone_python, tmp_path):
    done = run(bootstrap_cell(), tmp_path, lone_python, UNET_LOWERED_REPOSITORY="file:///no/such/place")
    assert done.returncode != 0 and "/no/such/place" in done.stderr
    assert not list(tmp_path.iterdir())  # nothing half-made


# ----------------------------------------------------------------------- installing what is missing


@pytest.fixture
def pip(monkeypatch):
    """A pip that installs nothing: it keeps its command and the constraints that it was given."""
    calls = []

    def run(command, **options):
        constraints = Path(command[command.index("-c") + 1]).read_text().splitlines()
        calls.append((command, constraints))
        return subprocess.CompletedProcess(command, run.returncode)

    run.returncode = 0
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])  # `prepare` adds to it
    return calls, run


def pretend_missing(monkeypatch, *modules):
    real = bootstrap.importlib.util.find_spec
    monkeypatch.setattr(
        bootstrap.importlib.util, "find_spec", lambda name: None if name in modules else real(name)
    )


def test_nothing_is_installed_where_nothing_is_missing(pip):
    bootstrap.prepare()
    assert pip[0] == []


def test_missing_packages_are_installed_and_tensorflow_stays(pip, monkeypatch):
    pretend_missing(monkeypatch, "cv2", "kagglehub")
    bootstrap.prepare()
    ((command, constraints),) = pip[0]
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    wanted = command[command.index("-c") + 2 :]
    assert [w.partition(">")[0] for w in wanted] == ["opencv-python-headless", "kagglehub"]
    assert not {"-U", "--upgrade", "--force-reinstall"} & set(command)
    versions = bootstrap.importlib.metadata.version
    assert constraints == [f"{p}=={versions(p)}" for p in ("tensorflow", "keras")]


def test_failed_installation_says_what_to_do(pip, monkeypatch):
    pretend_missing(monkeypatch, "scipy")
    pip[1].returncode = 1
    with pytest.raises(RuntimeError, match=r"could not install scipy.*pip install 'scipy"):
        bootstrap.prepare()


def test_the_command_that_installs_a_group_is_of_this_python_and_leaves_the_link(monkeypatch):
    """A plain `pip install .` would leave a copy without notebooks."""
    monkeypatch.setattr(sys, "executable", "/my work/.venv/bin/python")
    assert bootstrap.install_command("ship", "publish") == (
        "'/my work/.venv/bin/python' -m pip install -e '.[ship,publish]'")


def test_no_page_and_no_message_puts_a_copy_in_the_place_of_the_link():
    """`pip install .` beside `make setup` leaves commands that find no notebooks any more."""
    places = ("*.md", "docs/*.md", "unet_lib/**/*.py", "notebooks/*.ipynb")
    texts = [path for place in places for path in workspace.PROJECT.glob(place)]
    assert len(texts) > 100
    found = [f"{path.name}: {line.strip()}" for path in texts
             for line in path.read_text("utf-8").splitlines() if "pip install '.[" in line]
    assert found == []


@pytest.mark.parametrize("asked", ["run", "check phantom", "predict x --out o"])
def test_another_python_is_told_in_one_sentence(asked, tmp_path):
    """Who types `python -m unet_lib` may mean the system's Python, which has no packages."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "unet_lib", *asked.split()], cwd=tmp_path, text=True,
        env=os.environ | {"PYTHONPATH": str(workspace.PROJECT)}, capture_output=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    told = f"Refused: this Python, {sys.executable}, has no module "
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_the_sentence_names_the_python_of_the_project(tmp_path, monkeypatch, capsys):
    missing = functools.partial(importlib.import_module, "not_there.room")
    monkeypatch.setattr(command, "_run", lambda asked: missing())
    monkeypatch.setattr(bootstrap, "PROJECT", tmp_path)
    assert command.main(["run"]) == 2
    assert "has no module 'not_there'; `make setup` in the project" in capsys.readouterr().err
    own = tmp_path / ".venv/bin/python"
    own.parent.mkdir(parents=True)
    own.touch()
    assert command.main(["run"]) == 2
    assert f"use that of the project: {own} -m unet_lib ..." in capsys.readouterr().err
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert command.main(["run"]) == 2
    assert "`make setup` in the project" in capsys.readouterr().err


def test_a_room_that_is_missing_is_a_fault_and_shown_as_one(monkeypatch):
    monkeypatch.setattr(command, "_run", lambda asked: importlib.import_module("unet_lib.gone"))
    with pytest.raises(ModuleNotFoundError):
        command.main(["run"])


def test_exact_set_and_ranges_name_the_same_packages():
    """requirements.txt pins what pyproject.toml allows: every package, nothing else, in range."""
    from packaging.requirements import Requirement

    project = tomllib.loads((workspace.PROJECT / "pyproject.toml").read_text())["project"]
    ranges = project["dependencies"] + project["optional-dependencies"]["series"]
    ranges = {r.name: r.specifier for r in map(Requirement, ranges)}
    text = (workspace.PROJECT / "requirements.txt").read_text()
    pins = [line.partition("#")[0].strip() for line in text.splitlines()]
    pins = {p.partition("==")[0]: p.partition("==")[2] for p in pins if p}
    assert set(pins) == set(ranges)
    assert [name for name, version in pins.items() if version not in ranges[name]] == []
    installed = {name: bootstrap.importlib.metadata.version(name) for name in pins}
    if not (os.environ.get("NEWEST") or os.environ.get("OLDEST")):
        assert installed == pins


# ------------------------------------------------------------ TensorFlow quiet, Keras as it must be


PREPARE = "import os, sys\nfrom unet_lib import bootstrap\nbootstrap.prepare()\n"
AFTER = "\nos.write(2, b'after\\n'); print('too', file=sys.stderr)"


def test_tensorflow_is_imported_without_a_word_and_stderr_works_again(tmp_path):
    done = run(PREPARE + "import tensorflow" + AFTER, workspace.PROJECT, HOME=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "after\ntoo\n")


@pytest.fixture
def loud_tensorflow(tmp_path):
    """A folder with a small TensorFlow that talks as C++ does; one part of it is broken."""
    folder = tmp_path / "packages" / "tensorflow"
    folder.mkdir(parents=True)
    loud = "import os; os.write(2, b'I0000 cpu_feature_guard\\n')\n"
    (folder / "__init__.py").write_text(loud + "from tensorflow import part\n")
    (folder / "part.py").write_text(
        loud + "if 'BROKEN' in os.environ: raise ImportError('libcudart.so.12: no such file')\n"
    )
    return str(folder.parent)


def test_only_what_its_import_says_is_dropped(loud_tensorflow):
    """The small one is really loud, and really used: else the test above could not fail."""
    loud = run("import os, sys, tensorflow" + AFTER, workspace.PROJECT, PYTHONPATH=loud_tensorflow)
    assert loud.stderr == "I0000 cpu_feature_guard\n" * 2 + "after\ntoo\n"
    code = PREPARE + "bootstrap.prepare()\n"  # twice is no harm
    code += "free = [os.dup(0), os.dup(0)]; [os.close(number) for number in free]\n"
    code += "os.write(2, b'before\\n')\nimport tensorflow\nthen = [os.dup(0), os.dup(0)]\n"
    code += "print(tensorflow.part.__name__, tensorflow.__spec__.name, then == free)"
    quiet = run(code + AFTER, workspace.PROJECT, PYTHONPATH=loud_tensorflow)
    assert quiet.stderr == "before\nafter\ntoo\n"
    assert quiet.stdout == "tensorflow.part tensorflow True\n"  # and no file stays open


def test_an_import_that_fails_says_so_and_gives_stderr_back(loud_tensorflow):
    code = PREPARE + (
        "try: import tensorflow\n"
        "except ImportError as error: print(error, 'tensorflow' in sys.modules)"
    )
    done = run(code + AFTER, workspace.PROJECT, PYTHONPATH=loud_tensorflow, BROKEN="1")
    assert done.stdout == "libcudart.so.12: no such file False\n"
    assert done.stderr == "after\ntoo\n"
    done = run(PREPARE + "import tensorflow", workspace.PROJECT,
               PYTHONPATH=loud_tensorflow, BROKEN="1")  # fmt: skip
    assert done.returncode == 1 and "libcudart.so.12: no such file" in done.stderr


@pytest.mark.parametrize(
    "wrong, said",
    [
        ("import tensorflo", "No module named 'tensorflo'"),
        ("import tensorflow_nowhere", "No module named 'tensorflow_nowhere'"),
        ("import tensorflow.nowhere", "No module named 'tensorflow.nowhere'"),
        ("from tensorflow import nowhere", "cannot import name 'nowhere' from 'tensorflow'"),
        ("sys.path[:] = []; import tensorflow", "No module named 'tensorflow'"),
    ],
)
def test_a_wrong_name_of_tensorflow_still_raises(wrong, said, loud_tensorflow):
    done = run(PREPARE + wrong, workspace.PROJECT, PYTHONPATH=loud_tensorflow)
    assert done.returncode == 1 and said in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("named", [True, False], ids=["KERAS_HOME", "home"])
def test_the_users_keras_settings_do_not_matter(named, tmp_path):
    """Neither those in the home folder nor those that KERAS_HOME and KERAS_BACKEND name."""
    theirs = tmp_path / ".keras" / "keras.json"
    theirs.parent.mkdir()
    theirs.write_text(
        '{"backend": "theano", "image_data_format": "channels_first", "floatx": "float16"}'
    )
    own = workspace.PROJECT / "unet_lib" / "keras_home"
    before = {path.name: path.read_text() for path in own.iterdir()}
    environment = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    environment |= {"KERAS_HOME": str(theirs.parent), "KERAS_BACKEND": "theano"} if named else {}
    show = "import keras; k = keras.config\nprint(k.backend(), k.image_data_format(), k.floatx())"
    done = run(PREPARE + show, workspace.PROJECT, **environment)
    assert (done.stdout, done.stderr) == ("tensorflow channels_last float32\n", "")
    assert {path.name: path.read_text() for path in own.iterdir()} == before
