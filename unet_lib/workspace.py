"""Where things are and how they get there whole: project, data, runs, atomic files, locks."""

import contextlib
import datetime
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two processes apart there
    fcntl = None

_HOME = Path(__file__).resolve().parents[1]
CHECKOUT = (_HOME / "notebooks").is_dir() and (_HOME / "pyproject.toml").is_file()
"""Whether this is the project's own folder, with notebooks, and not a package in site-packages."""

PROJECT = _HOME if CHECKOUT else Path.cwd()
"""Where relative paths start: the folder of unet_lib and notebooks; installed, the current one."""


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
        name: at most 100 letters, digits, ".", "_" and "-"; the first a letter or digit.

    Raises:
        ValueError: `name` is empty, too long, holds a separator or would leave its folder.
    """
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name)):
        raise ValueError(
            f"{kind} must be one plain folder name (letters, digits, '.', '_', '-'; 100 at most),"
            f" got {name!r}; use for example 'quick_2'"
        )
    return name


def data_dir(dataset: str) -> Path:
    """Return `<workspace>/data/<dataset>`; it may not exist yet."""
    return workspace() / "data" / check_name("dataset", dataset)


def run_dir(run_name: str) -> Path:
    """Return `<workspace>/runs/<run_name>`; it may not exist yet.

    A point of a sweep is a run in the sweep's folder: "sweep/point".
    """
    parts = run_name.split("/", 1) if isinstance(run_name, str) else [run_name]
    return (workspace() / "runs").joinpath(*(check_name("run_name", part) for part in parts))


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


def quoted(text: str) -> str:
    """Return `text` as one word of a command line of this system."""
    return shlex.quote(text) if os.name == "posix" else subprocess.list2cmdline([text])


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
            f" (with the same dataset and run_name){on_colab(notebook)}"
        )
    return path


def on_colab(notebook: str) -> str:
    """Return how a notebook is run there, where each has a machine of its own; else ""."""
    if "google.colab" not in sys.modules:
        return ""
    path = PROJECT / "notebooks" / f"{notebook}.ipynb"
    return f'. On Colab run it in this notebook, as each has a machine of its own: %run "{path}"'


# Files that appear whole or not at all


@contextlib.contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Give the path of a file to write, which then takes the place of `path`.

    It lies beside `path` under a name that no other process has, on any machine, and ends as
    `path` does. It is synced to disk before the swap; after an error it is gone and `path` as it
    was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{uuid.uuid4().hex}{path.suffix}")
    partial.touch(exist_ok=False)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: dict) -> None:
    """Write JSON so that `path` holds the old content or the new one, never half of it."""
    with replacing_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


# Locks: they end with the process that holds them, however it ends


@contextlib.contextmanager
def alone(folder: Path, *, told: str = "") -> Iterator[int | None]:
    """Wait until no other process works on `folder`, which is made if need be.

    Args:
        folder: which folder.
        told: what is said on stderr if there is another.

    Yields:
        A file descriptor, None where there are no locks. A process that inherits it keeps others
        out as well, also after the end of this one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        if fcntl:
            with contextlib.suppress(OSError):  # some network disks know no locks
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if told:
                        print(told, file=sys.stderr, flush=True)
                    fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        if fcntl:
            os.close(handle)


_claimed = {}


def claim(
    folder: Path, *, purpose: str = "run", remedy: str = "choose another run_name"
) -> None:
    """Reserve a folder for this process until `release` or its end; again is no harm.

    Args:
        folder: it is made if need be; a hidden file in it says who has it.
        purpose: two claims collide only if they have the same one.
        remedy: for the message, what else than waiting helps.

    Raises:
        BlockingIOError: another process has it; the message says which, where and since when.
    """
    path = folder.resolve() / f".{purpose}.lock"
    if path in _claimed or not fcntl:
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 1000).decode("utf-8", "replace").strip() or "another process"
        os.close(handle)
        raise BlockingIOError(
            f"{shown(folder)} is in use by {holder}; wait until it ends, stop it (in JupyterLab:"
            f" shut down its kernel), or {remedy}"
        ) from None
    except OSError:  # some network disks know no locks
        pass
    os.truncate(handle, 0)
    os.write(handle, f"{this_process()}\n".encode())
    _claimed[path] = handle


def this_process() -> str:
    """Say which process this is, on which machine, and the time."""
    now = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
    return f"process {os.getpid()} on {socket.gethostname()} since {now}"


def release(folder: Path, *, purpose: str = "run") -> None:
    """Give back what `claim` reserved; without a claim nothing happens."""
    handle = _claimed.pop(folder.resolve() / f".{purpose}.lock", None)
    if handle is not None:
        os.close(handle)
