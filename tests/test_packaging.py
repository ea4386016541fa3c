"""What `pip install` makes of the project, tried in a fresh environment, without a network."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from unet_lib import workspace

SOURCES = ("pyproject.toml", "README.md", "LICENSE")
TABLE = tomllib.loads((workspace.PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
OLDEST_SETUPTOOLS = 77  # as [build-system] says


def setuptools_version() -> int:
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return 0


pytestmark = pytest.mark.skipif(
    setuptools_version() < OLDEST_SETUPTOOLS,
    reason=f"building a wheel without a network needs setuptools {OLDEST_SETUPTOOLS} or newer "
    f"in this Python, found {setuptools_version() or 'none'}; `make test` installs it",
)


def run(*command, cwd):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "UNET_LOWERED"))}
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, env=kept, capture_output=True, text=True
    )


def pip(*arguments, cwd):
    options = ("--disable-pip-version-check", "-q")
    done = run(sys.executable, "-m", "pip", *options, *arguments, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


OFFLINE = ("--no-index", "--no-deps", "--no-build-isolation")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A checkout as far as packaging goes: the library, and a folder of notebooks."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copy(workspace.PROJECT / name, folder)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(workspace.PROJECT / "unet_lib", folder / "unet_lib", ignore=ignore)
    (folder / "notebooks").mkdir()
    (folder / "tests").mkdir()
    (folder / "tests" / "__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", *OFFLINE, "-w", folder, source, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


def make_environment(folder):
    """Make a Python that has our packages, not this project, and no pip; return its path."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = folder / scripts / ("python.exe" if os.name == "nt" else "python")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", where, cwd=folder).stdout.strip())
    # A plain path: .pth files in that folder, such as that of `make setup`, are not read.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def install(python, *what, cwd):
    # --ignore-installed: an unet-lowered that the outer environment has must stay
    pip("--python", python, "install", "--ignore-installed", *OFFLINE, *what, cwd=cwd)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment into which the wheel was installed: its Python."""
    folder = tmp_path_factory.mktemp("installed")
    python = make_environment(folder)
    install(python, wheel, cwd=folder)
    return python


def test_wheel_holds_the_library_and_nothing_else(wheel, source):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {p.relative_to(source).as_posix() for p in (source / "unet_lib").rglob("*.py")}
    wanted |= {"unet_lib/keras_home/keras.json"}
    wanted |= {f"unet_lib/weights/{name}" for name in ("lungs.json", "lungs.keras", "README.md")}
    assert {name for name in names if ".dist-info/" not in name} == wanted
    packages = {Path(name).parent.as_posix() for name in wanted if name.endswith("__init__.py")}
    assert {Path(name).parent.as_posix() for name in wanted if name.endswith(".py")} == packages
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_wheel_says_what_it_needs(installed, tmp_path):
    code = (
        "import importlib.metadata as m; d = m.distribution('unet-lowered'); print(d.version);"
        "print(*[r for r in d.requires if 'extra' not in r], sep='\\n')"
    )
    version, *needs = run(installed, "-c", code, cwd=tmp_path).stdout.splitlines()
    assert version == TABLE["version"]
    assert needs == TABLE["dependencies"]


@pytest.mark.parametrize(
    "arguments", [("--help",), ("run", "--help"), ("export", "--help")], ids=" ".join
)
def test_help_answers_from_an_empty_folder(installed, tmp_path, arguments):
    command = installed.with_name("unet-lowered" + installed.suffix)
    for words in ((installed, "-m", "unet_lib"), (command,)):
        done = run(*words, *arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "usage:" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_run_without_notebooks_is_refused_and_leaves_nothing(installed, tmp_path):
    done = run(installed, "-m", "unet_lib", "run", cwd=tmp_path)
    assert done.returncode == 2 and "in a clone of the project, `" in done.stderr
    assert str(installed) in done.stderr.split("in a clone of the project, `")[1]
    assert list(tmp_path.iterdir()) == []


def test_installed_library_works_where_one_stands(installed, tmp_path):
    """Every room can be imported, Keras gets our settings, paths start at the current folder."""
    code = """
import importlib, json, os, pkgutil, unet_lib
from unet_lib import bootstrap, workspace
bootstrap.prepare()
for room in pkgutil.walk_packages(unet_lib.__path__, "unet_lib."):
    importlib.import_module(room.name)
settings = json.load(open(os.path.join(os.environ["KERAS_HOME"], "keras.json")))
print(workspace.CHECKOUT, workspace.data_dir("x"), settings["floatx"], unet_lib.__file__)
"""
    done = run(installed, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    checkout, data, floatx, file = done.stdout.split()
    assert (checkout, floatx) == ("False", "float32")
    assert Path(data) == tmp_path.resolve() / "data" / "x"
    assert Path(file).is_relative_to(installed.parents[1])


def test_editable_installation_finds_the_checkout_from_anywhere(source, tmp_path):
    """What `make setup` does."""
    environment, elsewhere = tmp_path / "environment", tmp_path / "elsewhere"
    environment.mkdir()
    elsewhere.mkdir()
    python = make_environment(environment)
    install(python, "-e", source, cwd=elsewhere)
    code = (
        "from unet_lib import workspace; print(workspace.CHECKOUT, workspace.PROJECT);"
        "import pathlib, sys; print(*{p for p in sys.path if pathlib.Path(p, 'unet_lib').is_dir()})"
    )
    done = run(python, "-c", code, cwd=elsewhere)
    where, on_path = done.stdout.splitlines()
    assert where == f"True {source.resolve()}", done.stderr
    assert Path(on_path).resolve() == source.resolve()  # where a notebook's bootstrap cell looks
    command = python.with_name("unet-lowered" + python.suffix)
    assert "usage:" in run(command, "run", "--help", cwd=elsewhere).stdout
