"""Where things are: project, data, runs; and what a missing file means."""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
"""The folder that holds unet_lib, notebooks and pyproject.toml."""

# Modules whose name differs from the name of the package that holds them.
_MODULES = {"opencv-python-headless": "cv2"}


def workspace() -> Path:
    """Return the folder that holds `data/` and `runs/`.

    Returns:
        The path in the environment variable UNET_LOWERED_WORKSPACE (a relative one starts at the
        project folder), or the project folder.
    """
    return resolve(os.environ.get("UNET_LOWERED_WORKSPACE") or PROJECT)


def check_name(kind: str, name: str) -> str:
    """Return `name` unchanged if it can name one folder.

    Args:
        kind: the parameter's name, for the message.
        name: letters, digits, ".", "_" and "-", beginning with a letter or digit.

    Raises:
        ValueError: `name` is empty, holds a separator or would leave its folder.
    """
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)):
        raise ValueError(
            f"{kind} must be one plain folder name (letters, digits, '.', '_', '-'), got {name!r}; "
            f"use for example {kind}='quick_2'"
        )
    return name


def data_dir(dataset: str) -> Path:
    """Return `<workspace>/data/<dataset>`; it may not exist yet."""
    return workspace() / "data" / check_name("dataset", dataset)


def run_dir(run_name: str) -> Path:
    """Return `<workspace>/runs/<run_name>`; it may not exist yet."""
    return workspace() / "runs" / check_name("run_name", run_name)


def resolve(path: str | Path) -> Path:
    """Return `path` as an absolute path; a relative one starts at the project folder."""
    return (PROJECT / Path(path).expanduser()).resolve()


def shown(path: str | Path) -> str:
    """Return `path` for printing: relative to the workspace or project where it lies inside."""
    path = Path(path).resolve()
    for base in (workspace(), PROJECT):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return path.as_posix()


def require_artifact(path: Path, notebook: str) -> Path:
    """Return `path` if it exists.

    Args:
        path: a file or folder that an earlier notebook makes.
        notebook: that notebook's name, such as "04_train".

    Raises:
        FileNotFoundError: it is not there; the message names the notebook to run.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"{shown(path)} is not there: notebooks/{notebook}.ipynb makes it; run that one first"
            " (with the same dataset and run_name)"
        )
    return path


def prepare() -> None:
    """Make this Python ready for a notebook: TensorFlow quiet and quick, what is missing installed.

    Packages come from the `dependencies` in pyproject.toml. What is installed stays as it is;
    TensorFlow and Keras are pinned to what is there, so that nothing can replace them.

    Raises:
        RuntimeError: pip could not install them; the message holds the command.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off by default on AMD: 1.5 times slower
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    missing = [r for r in project["dependencies"] if importlib.util.find_spec(_module(r)) is None]
    if missing:
        _install(missing)


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


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
