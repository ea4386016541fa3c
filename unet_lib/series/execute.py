"""Execute what is planned: each notebook by papermill, side by side where none needs the other."""

import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

from unet_lib import console, workspace
from unet_lib.intake import safekeeping
from unet_lib.series import kernels
from unet_lib.series.plan import NAME, NEEDS, Run, predecessors
from unet_lib.series.progress import Board, Line
from unet_lib.series.report import mean, read_metrics, show_results, show_table, write_report

_STARTS = 120  # s that a kernel may take to answer on a busy machine; papermill would give up early

_DEATHS = {
    "SIGKILL": "mostly memory ran out: try a smaller batch_size or image_size, or one notebook at a"
    " time with --only",
    "SIGBUS": "mostly the disk is full, or a file was cut while it was read: make room, or set"
    " UNET_LOWERED_WORKSPACE to a folder on another disk",
    "SIGILL": "this TensorFlow needs instructions (AVX) that the processor lacks: use another"
    " machine, or a TensorFlow that is built for this one",
}


class NotebookFailed(RuntimeError):
    """A notebook stopped; the message names it, the cell and the error."""


class _Stopped(Exception):
    """Another notebook's thread is told to begin no further cell."""


def run_all(runs: list[Run]) -> int:
    """Execute the runs one after another; one that fails does not stop the rest.

    Returns:
        The exit code: 0 if every notebook ran, 1 if one failed, 130 after Ctrl-C, 143 after
        SIGTERM.
    """
    rows = []
    for run in runs:
        start = time.time()
        try:
            with console.signals():
                run_one(run)
            status = "done"
        except Exception as error:  # a full disk, no kernel: the next run may still succeed
            status = "failed"
            print(f"\nFAILED: {_told(error)}", file=sys.stderr, flush=True)
        except KeyboardInterrupt as end:
            number = console.number_of(end)
            word = f"Ended by {number.name}" if end.args else "Interrupted"
            print(f"\n{word} in run {run.name!r}. The same command goes on from here: training"
                  " resumes at its last finished epoch.", file=sys.stderr)
            return 128 + number
        dice = mean(read_metrics(run.name, newer_than=start), "validation", "dice")
        rows.append((run.name, status, f"{time.time() - start:.0f}", dice))
    if len(runs) > 1:
        show_table(("run", "status", "seconds", "validation Dice"), rows)
    return int(any(status == "failed" for _, status, *_ in rows))


def _told(error: BaseException) -> str:
    plain = isinstance(error, NotebookFailed | BlockingIOError)
    return f"{error}" if plain else f"{type(error).__name__}: {error}"


def run_one(run: Run) -> None:
    """Execute one run's notebooks into runs/<run>/notebooks, write the report, print the results.

    What an earlier request left stays until its successor is whole: a notebook's executed copy is
    replaced when the notebook has run to its end, report.html when all have. So after a failure
    report.html is absent or that of the earlier request, which gives the time of each notebook.

    Raises:
        BlockingIOError: another process executes this run, or uses its data set and asked for
            another one of that name; nothing was touched.
        NotebookFailed: a notebook stopped, or what a run is to be compared with is not there; none
            was begun after that.
    """
    start = time.time()
    home = workspace.run_dir(run.name)
    _require_others(run)
    workspace.claim(home, purpose="runner")
    try:
        folder = home / "notebooks"
        for partial in folder.glob(".partial-*.ipynb"):  # of a runner that was killed
            partial.unlink()
        print(f"Run {run.name!r} in {home}", flush=True)
        with _own_data(run):
            execute_all(run.parameters, folder)
        copies = [p for p in sorted(folder.glob("*.ipynb")) if re.fullmatch(NAME, p.stem)]
        write_report(copies, home / "report.html", needs=NEEDS)
    finally:
        workspace.release(home, purpose="runner")
    show_results(run.name, copies, newer_than=start)


def _require_others(run: Run) -> None:
    """Refuse a further data set or run that is not there: notebook 05 or 06 would find out late."""
    given = {k: v for values in run.parameters.values() for k, v in values.items()}
    for name, place, maker in (
        ("external_dataset", workspace.data_dir, "01_restructure_dataset with this dataset"),
        ("other_run", workspace.run_dir, "04_train with this run_name"),
    ):
        value = given.get(name)
        if value and value not in (run.name, run.data.get("dataset")) and not place(value).exists():
            raise NotebookFailed(
                f"{name} {value!r} is not there: nothing in {workspace.shown(place(value))};"
                f" run {maker} first, or leave it out"
            )


@contextlib.contextmanager
def _own_data(run: Run) -> Iterator[None]:
    """See to it that the data set which a run reads stays the one that it asks for.

    Runs that ask for the same use it side by side; one that asks for another is refused, because
    it would change the data under the others.

    Raises:
        BlockingIOError: another run uses it and asked for something else.
        NotebookFailed: it is not made by this run, and was made otherwise than is given.
    """
    from unet_lib import datasets

    with contextlib.ExitStack() as stack:
        if run.data:
            folder, record = workspace.data_dir(run.data["dataset"]), datasets.record(run.data)
            if not record.keys() >= set(datasets.RECORDED):  # it has to be there already
                record = _made_as(folder, run.data)
            if record:
                stack.enter_context(safekeeping.using(folder, record, who=f"run {run.name!r}"))
        yield


def _made_as(folder: Path, asked: dict) -> dict:
    """Return how a data set was made, if that is what was asked; nothing if there is none."""
    from unet_lib import datasets

    try:
        manifest = datasets.load_manifest(folder)
        datasets.require(manifest, **asked)
    except FileNotFoundError:
        return {}  # the notebook that needs it says what makes it
    except ValueError as error:
        raise NotebookFailed(str(error)) from None
    return {name: manifest.get(name) for name in datasets.RECORDED}


def execute_all(parameters: dict[Path, dict[str, object]], folder: Path) -> None:
    """Execute notebooks side by side, each as soon as those that it needs have ended.

    After a failure none is begun; one that runs beside it runs to its end.

    Args:
        parameters: for each notebook its values, in reading order.
        folder: where the executed copies go.

    Raises:
        NotebookFailed: notebooks stopped; the message holds what each of them raised.
    """
    kernels.own_kernel()  # imports what is needed: not in two threads at once
    logging.getLogger("papermill").addHandler(logging.NullHandler())  # it speaks amid the progress
    waiting, todo = predecessors(n.stem for n in parameters), dict(parameters)
    started = {notebook: [] for notebook in parameters}  # kernels
    running, stop, errors = {}, threading.Event(), []
    with Board(parameters) as board, futures.ThreadPoolExecutor(_at_once()) as pool:
        try:
            while todo or running:
                ready = [n for n in todo if not waiting[n.stem]]
                for book in ready[: _at_once() - len(running)]:
                    job = pool.submit(execute, book, folder / book.name, todo.pop(book),
                                      line=board.lines[book], started=started[book], stop=stop)
                    running[job] = book.stem
                for job in futures.wait(running, 1, futures.FIRST_COMPLETED).done:
                    ended = running.pop(job)
                    waiting = {name: before - {ended} for name, before in waiting.items()}
                    if job.exception():
                        errors.append(job.exception())
                        todo.clear()
                        board.tell_failure(ended, running.values())
        except KeyboardInterrupt:
            with console.handlers(dict.fromkeys(console.ENDS, lambda *_: None)):  # once is enough
                stop.set()
                kernels.end_all(started.values(), running)
            raise
    if len(errors) > 1:
        raise NotebookFailed("\n".join(map(_told, errors)))
    if errors:
        raise errors[0]


def _at_once() -> int:
    """Return how many notebooks run side by side: two if this process may use two cores."""
    every = os.cpu_count() or 1
    return min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else every)


def execute(
    notebook: Path, target: Path, parameters: dict[str, object],
    *, line: Line, started: list, stop: threading.Event,
) -> None:  # fmt: skip
    """Execute one notebook in its own folder with a kernel of this very Python.

    Args:
        notebook: what to execute; it is not changed.
        target: the executed copy; it is replaced when the notebook has run to its end.
        parameters: values that take the place of the notebook's defaults.
        line: shows how far it is.
        started: receives the kernel's manager.
        stop: once it is set, no further cell begins and nothing is kept.

    Raises:
        NotebookFailed: a cell raised or the kernel died; `target` is as it was, and
            `<name>.failed.ipynb` beside it holds what ran until then.
    """
    import nbformat

    def start_cell(cell, cell_index):
        if stop.is_set():
            raise _Stopped
        line.start_cell(cell, cell_index)

    failed = target.with_name(f"{target.stem}.failed.ipynb")
    line.begin(len(nbformat.read(notebook, 4).cells) + bool(parameters))
    with workspace.replacing_file(target) as partial:
        try:
            done = _let_run(notebook, partial, parameters, line=line, started=started, stop=stop,
                            on_cell_start=start_cell)
        except Exception as error:
            line.end(f"stopped in {line.cell}")
            if stop.is_set():
                raise
            shutil.copyfile(partial, failed)
            raise NotebookFailed(
                f"{notebook.stem}, cell {line.cell!r}: {_reason(error, started)}\n"
                f"what ran until then is in {failed}"
            ) from error
        finally:
            kernels.clean_up(started)
        done.metadata.papermill.output_path = str(target)
        nbformat.write(done, partial)
    failed.unlink(missing_ok=True)
    line.end()


def _let_run(
    notebook: Path, partial: Path, parameters: dict, *, line: Line, started: list, stop, **more
):
    """Return the executed notebook; a kernel that does not come up is started once more."""
    from papermill import execute_notebook

    for last in (False, True):
        # the kernel's place is not given to papermill, which would move this whole process
        manager = kernels.own_kernel(started=started, place=notebook.parent)
        try:
            return execute_notebook(
                notebook, partial, parameters, progress_bar=False,
                kernel_name="python3", language="python", start_timeout=_STARTS,
                iopub_timeout=_STARTS, kernel_manager_class=manager, stdout_file=line, **more,
            )
        except RuntimeError:  # of jupyter_client; what a cell raises is none
            if last or line.cell or stop.is_set():
                raise


def _reason(error: Exception, started: list) -> str:
    """Return why a notebook stopped: what a cell raised, or what ended its kernel."""
    from papermill import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        return f"{error.ename}: {error.evalue}"
    code = getattr(started[-1].provisioner.process, "returncode", None) if started else None
    if code is None:  # it lives: a full disk, a timeout
        return f"{type(error).__name__}: {error}"
    if code >= 0:
        return f"the kernel ended by itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the kernel died of {name}; {_DEATHS.get(name, 'a library crashed')}"
