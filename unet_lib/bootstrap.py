"""What a fresh kernel, on Colab or anywhere, needs before anything else."""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from unet_lib.workspace import CHECKOUT, PROJECT, quoted

# Modules whose name differs from the name of the package that holds them.
_MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "python-gdcm": "gdcm"}

# Keras' own settings, so that a keras.json in the user's home changes nothing.
_KERAS_HOME = Path(__file__).parent / "keras_home"


def prepare() -> None:
    """Make this Python ready for a notebook, whatever its user's settings are.

    TensorFlow becomes quiet and quick, Keras gets this project's settings and runs on TensorFlow,
    figures appear in the notebook, a cell shows its last expression, and what is missing is
    installed: packages come from the `dependencies` in pyproject.toml. What is installed stays as
    it is; TensorFlow and Keras are pinned to what is there, so that nothing can replace them.

    Raises:
        RuntimeError: pip could not install them; the message holds the command.
    """
    quieten()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if "IPython" in sys.modules and (shell := sys.modules["IPython"].get_ipython()):
        shell.ast_node_interactivity = "last_expr"
        if hasattr(shell, "kernel"):
            os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    missing = [r for r in _dependencies() if importlib.util.find_spec(_module(r)) is None]
    if missing:
        _install(missing)


def set_environment() -> None:
    """Set the variables that TensorFlow and Keras read when they are imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on AMD: 1.5 times slower
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else the first takes all of a GPU
    os.environ["KERAS_HOME"] = str(_KERAS_HOME)


def quieten() -> None:
    """Make a later import of TensorFlow silent, and what it computes quick."""
    set_environment()
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _QuietTensorFlow())


class _QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Imports TensorFlow without what its C++ code says: no log level stops that."""

    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name) if name == "tensorflow" else None
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_quietly(module):
                with stderr_aside():
                    execute(module)

            spec.loader.exec_module = execute_quietly
        return spec


@contextlib.contextmanager
def stderr_aside() -> Iterator[None]:
    """Turn the process' stderr, as C++ sees it, into nothing for a while."""
    try:
        saved = os.dup(2)
    except OSError:  # it is closed: nothing is said there anyway
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _dependencies() -> list[str]:
    if not CHECKOUT:  # installed by pip, with all that it needs
        return []
    return tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]


def _module(requirement: str) -> str:
    package = re.match(r"[A-Za-z0-9._-]+", requirement).group()
    return _MODULES.get(package, package)


def _install(requirements: list[str]) -> None:
    pins = {package: installed_version(package) for package in ("tensorflow", "keras")}
    kept = [f"{package}=={version}\n" for package, version in pins.items() if version]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("".join(kept), "utf-8")
        command = [sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints)]
        if subprocess.run([*command, *requirements]).returncode:
            raise RuntimeError(
                f"could not install {', '.join(requirements)}; is there a network? By hand: "
                f"{sys.executable} -m pip install {' '.join(map(repr, requirements))}"
            )


def lacks(error: ModuleNotFoundError) -> str:
    """Say that the Python that runs now has not what the project needs, and which one has.

    Raises:
        ModuleNotFoundError: the error itself, where what is missing is a part of the project.
    """
    if (error.name or "unet_lib").partition(".")[0] == "unet_lib":
        raise error
    told = f"this Python, {sys.executable}, has no module {error.name!r}"
    own = PROJECT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if CHECKOUT and own.exists() and Path(sys.prefix).resolve() != own.parents[1].resolve():
        return f"{told}; use that of the project: {own} -m unet_lib ..."
    return f"{told}; `make setup` in the project's folder makes one that has all that is needed"


def no_notebooks(command: str) -> str:
    """Say that a command needs a clone, and how it gets one; of a package that was installed."""
    return (
        f"`{command}` executes the project's notebooks, which the package in"
        f" {Path(__file__).parent} does not hold; in a clone of the project,"
        f" `{quoted(sys.executable)} -m pip install -e .` makes this command use those there"
    )


def install_command(*groups: str) -> str:
    """Return what installs groups of packages of pyproject.toml for the Python that runs now.

    It is editable, as `make setup` leaves the project: a plain `pip install .` would put a copy
    in the place of the link to this folder, and a copy holds no notebooks.
    """
    asked = quoted(f".[{','.join(groups)}]")
    return f"{quoted(sys.executable)} -m pip install -e {asked}"


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
