"""Kernels that stand by themselves: this very Python, whatever the user has set."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import weakref
from collections.abc import Collection, Iterable
from concurrent import futures
from pathlib import Path

from unet_lib import bootstrap

_PATIENCE = 5  # s that a kernel has to end by itself

# The user's settings that would change a notebook: what else runs in it, whether its assertions are
# looked at, how long Keras trains, and that a person watches.
_LEFT_OUT = ("PYTHONSTARTUP", "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONWARNINGS",
             "JPY_SESSION_NAME", "VSCODE_PID")


def own_kernel(
    base: type | None = None, *, started: list | None = None, place: Path | None = None
) -> type:
    """Return a kernel manager whose kernel is this Python, in surroundings of its own.

    Whatever kernels are registered and whatever the user has set for IPython, Matplotlib and Keras,
    each kernel sees the same. It is spoken to over sockets in a folder of its own, because ports
    are taken by somebody else now and then when several kernels start at once. Its own log goes
    nowhere: what cells write to stderr stands in the notebook anyway.

    Args:
        base: jupyter_client's KernelManager, or a class like it; by default the asynchronous one.
        started: receives each manager that is made.
        place: the kernel's working directory; by default that of this process.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class OwnKernel(base or AsyncKernelManager):
        kernel_spec = KernelSpec(**get_kernel_dict())

        def __init__(self, **options):
            self.own_folder = _short_folder()
            weakref.finalize(self, shutil.rmtree, self.own_folder, ignore_errors=True)
            super().__init__(**_sockets(self.own_folder), **options)
            if started is not None:
                started.append(self)

        def start_kernel(self, **options):
            options = {"env": kernel_environment(self.own_folder), "cwd": place} | options
            return super().start_kernel(**options | {"stderr": subprocess.DEVNULL})

    return OwnKernel


def kernel_environment(folder: Path) -> dict[str, str]:
    """Return this process' environment without what would change a notebook.

    Args:
        folder: an empty folder for the kernel's settings, which hold nothing.

    Returns:
        The variables: IPython, Matplotlib and Keras find this project's settings and no others.
    """
    bootstrap.set_environment()
    (folder / "matplotlibrc").touch()
    environment = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT
                   and (name == "KERAS_HOME" or not name.startswith("KERAS_"))}
    return environment | {
        "IPYTHONDIR": str(folder / "ipython"),
        "MATPLOTLIBRC": str(folder / "matplotlibrc"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "KERAS_BACKEND": "tensorflow",
    }


def _short_folder() -> Path:
    """Make a folder that only this user can read; paths of sockets must be short, in bytes."""
    long = len(os.fsencode(tempfile.gettempdir())) > 60
    return Path(tempfile.mkdtemp(prefix="unet-", dir="/tmp" if long else None))


def _sockets(folder: Path) -> dict[str, str]:
    """Return options of a kernel manager: sockets in `folder` where the system has them."""
    if os.name != "posix":
        return {}
    return {"transport": "ipc", "ip": str(folder / "k"),
            "connection_file": str(folder / "kernel.json")}


def clean_up(kernels: list) -> None:
    """Remove what kernels leave that have ended: folders, and the event loop of this thread."""
    for kernel in kernels:
        shutil.rmtree(kernel.own_folder, ignore_errors=True)
    with contextlib.suppress(RuntimeError):  # no kernel has come so far as to need one
        asyncio.get_event_loop().close()
    asyncio.set_event_loop(None)


def end_all(kernels: Collection[list], jobs: Iterable[futures.Future]) -> None:
    """End kernels as Ctrl-C does, so that their notebooks tidy up; by force if that does not help.

    Args:
        kernels: the lists that `own_kernel` fills, perhaps still now.
        jobs: what talks to the kernels; it has ended when this returns.
    """
    force = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has the second alone
    for number in (signal.SIGINT, signal.SIGINT, force):  # the first may fall between two cells
        for kernel in itertools.chain(*kernels):
            with contextlib.suppress(RuntimeError, OSError):  # it has ended, or not begun
                asyncio.run(kernel.signal_kernel(number))
        if not futures.wait(jobs, timeout=_PATIENCE).not_done:
            return
