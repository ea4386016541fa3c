"""Execute what is planned: each notebook by papermill, in a kernel that stands by itself."""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path

from unet_lib import bootstrap, workspace
from unet_lib.series.plan import NAME, NEEDS, Run
from unet_lib.series.report import mean, read_metrics, show_results, show_table, write_report

_STARTS = 120  # s that a kernel may take to answer on a busy machine; papermill would give up early

_DEATHS = {
    "SIGKILL": "mostly memory ran out: try a smaller batch_size or image_size",
    "SIGBUS": "mostly the disk is full, or a file was cut while it was read: make room, or set"
    " UNET_LOWERED_WORKSPACE to a folder on another disk",
    "SIGILL": "this TensorFlow needs instructions (AVX) that the processor lacks: use another"
    " machine, or a TensorFlow that is built for this one",
}


class NotebookFailed(RuntimeError):
    """A notebook stopped; the message names it, the cell and the error."""


def run_all(runs: list[Run]) -> int:
    """Execute the runs one after another; one that fails does not stop the rest.

    Returns:
        The exit code: 0 if every notebook ran, 1 if one failed, 130 after Ctrl-C.
    """
    rows = []
    for run in runs:
        start = time.time()
        try:
            run_one(run)
            status = "done"
        except Exception as error:  # a full disk, no kernel: the next run may still succeed
            status = "failed"
            plain = isinstance(error, NotebookFailed | BlockingIOError)
            kind = "" if plain else f"{type(error).__name__}: "
            print(f"\nFAILED: {kind}{error}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print(f"\nInterrupted in run {run.name!r}. The same command goes on from here: training"
                  " resumes at its last finished epoch.", file=sys.stderr)
            return 130
        dice = mean(read_metrics(run.name, newer_than=start), "validation", "dice")
        rows.append((run.name, status, f"{time.time() - start:.0f}", dice))
    if len(runs) > 1:
        show_table(("run", "status", "seconds", "validation Dice"), rows)
    return int(any(status == "failed" for _, status, *_ in rows))


def run_one(run: Run) -> None:
    """Execute one run's notebooks into runs/<run>/notebooks, write the report, print the results.

    What an earlier request left stays until its successor is whole: a notebook's executed copy is
    replaced when the notebook has run to its end, report.html when all have. So after a failure
    report.html is absent or that of the earlier request, which gives the time of each notebook.

    Raises:
        BlockingIOError: another process executes this run; nothing was touched.
        NotebookFailed: a notebook stopped; those after it were not begun.
    """
    start = time.time()
    home = workspace.run_dir(run.name)
    workspace.claim(home, purpose="runner")
    try:
        folder = home / "notebooks"
        for partial in folder.glob(".partial-*.ipynb"):  # of a runner that was killed
            partial.unlink()
        print(f"Run {run.name!r} in {home}", flush=True)
        for notebook, parameters in run.parameters.items():
            execute(notebook, folder / notebook.name, parameters)
        copies = [p for p in sorted(folder.glob("*.ipynb")) if re.fullmatch(NAME, p.stem)]
        write_report(copies, home / "report.html", needs=NEEDS)
    finally:
        workspace.release(home, purpose="runner")
    show_results(run.name, copies, newer_than=start)


def execute(notebook: Path, target: Path, parameters: dict[str, object]) -> None:
    """Execute one notebook in its own folder with a kernel of this very Python.

    Args:
        notebook: what to execute; it is not changed.
        target: the executed copy; it is replaced when the notebook has run to its end.
        parameters: values that take the place of the notebook's defaults.

    Raises:
        NotebookFailed: a cell raised or the kernel died; `target` is as it was, and
            `<name>.failed.ipynb` beside it holds what ran until then.
    """
    import nbformat
    from papermill import execute_notebook

    logging.getLogger("papermill").addHandler(logging.NullHandler())  # it speaks amid the progress
    failed = target.with_name(f"{target.stem}.failed.ipynb")
    progress, kernels = _Progress(notebook, bool(parameters)), []
    with workspace.replacing_file(target) as partial:
        try:
            with progress.bar:
                done = execute_notebook(
                    notebook, partial, parameters, cwd=notebook.parent, progress_bar=False,
                    kernel_name="python3", language="python", start_timeout=_STARTS,
                    iopub_timeout=_STARTS, kernel_manager_class=own_kernel(started=kernels),
                    on_cell_start=progress.start_cell, stdout_file=progress,
                )
        except Exception as error:
            shutil.copyfile(partial, failed)
            raise NotebookFailed(
                f"{notebook.stem}, cell {progress.cell!r}: {_reason(error, kernels)}\n"
                f"what ran until then is in {failed}"
            ) from error
        finally:
            for kernel in kernels:
                shutil.rmtree(kernel.own_folder, ignore_errors=True)
        done.metadata.papermill.output_path = str(target)
        nbformat.write(done, partial)
    failed.unlink(missing_ok=True)


def _reason(error: Exception, kernels: list) -> str:
    """Return why a notebook stopped: what a cell raised, or what ended its kernel."""
    from papermill import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        return f"{error.ename}: {error.evalue}"
    code = getattr(kernels[0].provisioner.process, "returncode", None) if kernels else None
    if code is None:  # it lives: a full disk, a timeout
        return f"{type(error).__name__}: {error}"
    if code >= 0:
        return f"the kernel ended by itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the kernel died of {name}; {_DEATHS.get(name, 'a library crashed')}"


# Kernels


def own_kernel(base: type | None = None, *, started: list | None = None) -> type:
    """Return a kernel manager whose kernel is this Python, in surroundings of its own.

    Whatever kernels are registered and whatever the user has set for IPython, Matplotlib and Keras,
    each kernel sees the same. It is spoken to over sockets in a folder of its own, because ports
    are taken by somebody else now and then when several kernels start at once. Its own log goes
    nowhere: what cells write to stderr stands in the notebook anyway.

    Args:
        base: jupyter_client's KernelManager, or a class like it; by default the asynchronous one.
        started: receives each manager that is made.
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
            options = {"env": kernel_environment(self.own_folder)} | options
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
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSTARTUP"}
    return environment | {
        "IPYTHONDIR": str(folder / "ipython"),
        "MATPLOTLIBRC": str(folder / "matplotlibrc"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }


def _short_folder() -> Path:
    """Make a folder that only this user can read; paths of sockets must be short."""
    place = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="unet-", dir="/tmp" if len(place) > 60 else None))


def _sockets(folder: Path) -> dict[str, str]:
    """Return options of a kernel manager: sockets in `folder` where the system has them."""
    if os.name != "posix":
        return {}
    return {"transport": "ipc", "ip": str(folder / "k"),
            "connection_file": str(folder / "kernel.json")}


class _Progress:
    """One line a notebook: cells done, time, its last printed line; plain lines if no terminal."""

    def __init__(self, notebook: Path, more: int):
        import nbformat
        from rich import progress as rich

        self.cell, total = "", len(nbformat.read(notebook, 4).cells) + more
        note = rich.TextColumn("{task.fields[note]}", markup=False)
        columns = (rich.BarColumn(20), rich.MofNCompleteColumn(), rich.TimeElapsedColumn(), note)
        self.bar = rich.Progress(rich.TextColumn("{task.description:<22}"), *columns)
        self.live = self.bar.console.is_terminal
        self.task = self.bar.add_task(notebook.stem, total=total, note="")
        self.last = time.monotonic()
        if not self.live:
            print(f"{notebook.stem}: {total} cells", flush=True)

    def start_cell(self, cell, cell_index: int) -> None:
        self.cell = cell.get("id", str(cell_index))
        self.bar.update(self.task, completed=cell_index + 1, note="")

    def write(self, text: str) -> None:  # papermill hands over what the notebook prints
        line = (text.strip().splitlines() or [""])[-1][:60]
        self.bar.update(self.task, note=line)
        if not self.live and line and time.monotonic() - self.last > 60:  # at most one a minute
            self.last = time.monotonic()
            print(f"  {self.cell}: {line}", flush=True)

    def flush(self) -> None: ...
