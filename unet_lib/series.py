"""Run the numbered notebooks one after another with papermill, and collect what they made.

papermill executes; this module refuses a wrong request before anything runs, shows progress and
writes the report. Heavy imports stand inside the functions, so that `--help` is quick.
"""

import difflib
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from unet_lib import workspace

NOTEBOOKS = workspace.PROJECT / "notebooks"
_TYPES = {"str": str, "bool": bool, "int": int, "float": float}


class Refused(ValueError):
    """The request is wrong; nothing has run."""


class NotebookFailed(RuntimeError):
    """A notebook stopped; the message names it, the cell and the error."""


@dataclass(frozen=True)
class Run:
    """One pass over the notebooks: `parameters` holds for each notebook what it is given."""

    name: str
    parameters: dict[Path, dict[str, object]]


def plan(
    files: list[str], texts: dict[str, str], *, run_name=None, only=(), folder: Path = NOTEBOOKS
) -> list[Run]:
    """Turn a request into checked runs: one for each parameter file, or one without a file.

    Args:
        files: YAML files; each holds a mapping from parameter name to value.
        texts: parameters as text from the command line; they win over a file's.
        run_name: the run's name; else the parameter run_name, the file's stem or "quick".
        only: names of the notebooks to run, such as "04_train"; empty for all.
        folder: the folder that holds the notebooks.

    Raises:
        Refused: a name, type, file or notebook is wrong; the message says which name is nearest.
    """
    if run_name and len(files) > 1:
        raise Refused(f"--run names one run, got {len(files)} parameter files; leave --run away")
    chosen = select(folder, only)
    kinds = {n: declared_types(n) for n in select(folder)}
    runs = [_plan_one(chosen, kinds, file, texts, run_name) for file in files or [None]]
    names = [run.name for run in runs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise Refused(f"two parameter files have the same run_name {twice[0]!r}; give each its own")
    return runs


def _plan_one(chosen: list[Path], kinds: dict, file: str | None, texts: dict, name) -> Run:
    values = read_parameters(file) if file else {}
    known = {k: v for kind in kinds.values() for k, v in kind.items()}
    _check_names(values, known)  # a file may also serve notebooks that --only leaves out
    _check_names(texts, [k for notebook in chosen for k in kinds[notebook]])
    checked = {k: _convert(k, v, known[k]) for k, v in values.items()}
    checked |= {k: _convert(k, _from_text(v, known[k]), known[k]) for k, v in texts.items()}
    name = name or checked.get("run_name") or (Path(file).stem if file else "quick")
    try:
        checked["run_name"] = workspace.check_name("run_name", name)
    except ValueError as error:
        raise Refused(str(error)) from None
    return Run(name, {n: {k: v for k, v in checked.items() if k in kinds[n]} for n in chosen})


def select(folder: Path, only=()) -> list[Path]:
    """Return the numbered notebooks of `folder` in order; those named in `only` if it is given."""
    found = {p.stem: p for p in sorted(folder.glob("[0-9]*.ipynb"))}
    if not found:
        raise Refused(f"no notebook NN_name.ipynb in {workspace.shown(folder)}")
    wanted = [Path(name).name.removesuffix(".ipynb") for name in only]
    for name in wanted:
        if name not in found:
            raise Refused(f"there is no notebook {name!r}; {_nearest(name, found)}")
    return [p for stem, p in found.items() if not wanted or stem in wanted]


def read_parameters(file: str) -> dict[str, object]:
    """Return the mapping that a YAML parameter file holds."""
    import yaml

    path = Path(file)
    if not path.is_file():
        known = [p.name for p in (NOTEBOOKS / "params").glob("*.yaml")]
        raise Refused(f"there is no parameter file {file}; {_nearest(path.name, known)}")
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{file} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise Refused(f"{file} must hold lines such as 'epochs: 20', got {type(values).__name__}")
    return {str(name): value for name, value in values.items()}


def declared_types(notebook: Path) -> dict[str, str]:
    """Return the parameters of a notebook: name to "str", "bool", "int" or "float"."""
    from papermill import inspect_notebook

    kinds = {n: p["inferred_type_name"] for n, p in inspect_notebook(notebook).items()}
    if not kinds:
        raise Refused(
            f"{notebook.name} has no parameters that papermill can read: without a cell tagged"
            " 'parameters' holding lines such as 'epochs: int = 20' its defaults would win silently"
        )
    for name, kind in kinds.items():
        if kind not in _TYPES:
            raise Refused(f"{notebook.name}: {name} needs a type out of {', '.join(_TYPES)}, as in"
                          f" 'epochs: int = 20'; got {kind}")
    return kinds


def _check_names(names, known) -> None:
    for name in names:
        if name not in known:
            raise Refused(f"no notebook here has a parameter {name!r}; {_nearest(name, known)}")


def _from_text(text: str, kind: str) -> object:
    import yaml

    try:
        return text if kind == "str" else yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _convert(name: str, value: object, kind: str) -> object:
    if kind == "float" and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-4 as text: a number needs a dot there
        except ValueError:
            pass
    if type(value) is not _TYPES[kind]:
        hint = "; put it in quotes" if kind == "str" else ""
        raise Refused(f"{name} must be {kind}, got {value!r} ({type(value).__name__}){hint}")
    return value


def _nearest(name: str, known) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(known))}"


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
            kind = "" if isinstance(error, NotebookFailed) else f"{type(error).__name__}: "
            print(f"\nFAILED: {kind}{error}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print(f"\nInterrupted in run {run.name!r}. The same command goes on from here: training"
                  " resumes at its last finished epoch.", file=sys.stderr)
            return 130
        metrics = read_metrics(run.name, newer_than=start)
        dice = _number(metrics, "validation", "dice")
        rows.append((run.name, status, f"{time.time() - start:.0f}", dice))
    if len(runs) > 1:
        _table(("run", "status", "seconds", "validation Dice"), rows)
    return int(any(status == "failed" for _, status, *_ in rows))


def run_one(run: Run) -> None:
    """Execute one run's notebooks into runs/<run>/notebooks, write the report, print the results.

    Executed copies of an earlier run are removed first: those of the same and of later notebooks.
    """
    start = time.time()
    folder = workspace.run_dir(run.name) / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.ipynb"):
        if stale.name >= min(n.name for n in run.parameters):
            stale.unlink()
    report = folder.parent / "report.html"
    report.unlink(missing_ok=True)
    print(f"Run {run.name!r} in {folder.parent}", flush=True)
    for notebook, parameters in run.parameters.items():
        execute(notebook, folder / notebook.name, parameters)
    write_report(sorted(folder.glob("*.ipynb")), report)
    _show_results(run.name, start)


def execute(notebook: Path, target: Path, parameters: dict[str, object]) -> None:
    """Execute one notebook in its own folder with a kernel of this very Python.

    Raises:
        NotebookFailed: a cell raised or the kernel died; `target` holds what ran until then.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError, execute_notebook

    progress = _Progress(notebook, bool(parameters))
    try:
        with progress.bar:
            execute_notebook(
                notebook, target, parameters, cwd=notebook.parent, progress_bar=False,
                kernel_name="python3", language="python", kernel_manager_class=own_kernel(),
                on_cell_start=progress.start_cell, stdout_file=progress,
            )
        return
    except PapermillExecutionError as error:
        text = f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        text = "the kernel died; mostly memory ran out: try a smaller batch_size or image_size"
    raise NotebookFailed(
        f"{notebook.stem}, cell {progress.cell!r}: {text}\nthe executed notebook is {target}"
    )


def own_kernel() -> type:
    """Return a kernel manager whose kernel is this Python, whatever kernels are registered.

    The kernel's own log goes nowhere: what cells write to stderr stands in the notebook anyway.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class OwnKernel(AsyncKernelManager):
        kernel_spec = KernelSpec(**get_kernel_dict())

        def start_kernel(self, **options):
            return super().start_kernel(stderr=subprocess.DEVNULL, **options)

    return OwnKernel


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


def write_report(copies: list[Path], target: Path) -> None:
    """Write executed notebooks as one HTML page with a table of contents and all figures inside."""
    import nbformat
    from nbconvert import HTMLExporter

    titles, cells = [], []
    for path in copies:
        notebook = nbformat.read(path, 4)
        source = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        title = re.search(r"^# (.+)", source, re.M)
        titles.append(f"- [{title.group(1) if title else path.stem}](#{path.stem})")
        cells.append(nbformat.v4.new_markdown_cell(f'<a id="{path.stem}"></a>', id=path.stem[:64]))
        cells += [_for_report(cell, path.stem) for cell in notebook.cells]
    head = f"# Run {target.parent.name}\n\n" + "\n".join(titles)
    cells.insert(0, nbformat.v4.new_markdown_cell(head, id="contents"))
    merged = nbformat.v4.new_notebook(cells=cells, metadata={"title": f"Run {target.parent.name}"})
    page = HTMLExporter(embed_images=True, exclude_anchor_links=True, raw_template=_TEMPLATE)
    target.write_text(page.from_notebook_node(merged)[0], "utf-8")


# The page of nbconvert without the scripts that it would fetch and that nothing here uses.
_TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js_requirejs %}{% endblock %}{% block html_head_js_mermaidjs %}{% endblock %}"""


def _for_report(cell, stem: str):
    """Make ids unique and links between notebooks local; drop the badge, a remote image."""
    cell.id = f"{stem}-{cell.get('id', '')}"[:64]
    if cell.cell_type == "markdown":
        cell.source = re.sub(r"^\[!\[Open in Colab\].*\n?", "", cell.source, flags=re.M)
        cell.source = re.sub(r"\]\(([\w-]+)\.ipynb(#[^)]*)?\)", r"](#\1)", cell.source)
    return cell


def read_metrics(run_name: str, *, newer_than: float = 0.0) -> dict:
    """Return runs/<run>/metrics.json, or {} if it is absent or older than the time given."""
    path = workspace.run_dir(run_name) / "metrics.json"
    fresh = path.is_file() and path.stat().st_mtime >= newer_than - 1  # clocks tick coarsely
    return json.loads(path.read_text("utf-8")) if fresh else {}


def _number(metrics: dict, *keys: str) -> str:
    for key in (*keys, "mean"):
        metrics = metrics.get(key, {}) if isinstance(metrics, dict) else {}
    return f"{metrics:.4f}" if isinstance(metrics, int | float) else "-"


def _show_results(run_name: str, start: float) -> None:
    folder = workspace.run_dir(run_name)
    if metrics := read_metrics(run_name, newer_than=start):
        base = ("baselines", "all_background")
        rows = [(m, _number(metrics, "validation", m), _number(metrics, *base, m))
                for m in ("dice", "iou", "accuracy")]
        _table(("validation mean", "model", "all background"), rows)
    made = [*sorted((folder / "notebooks").glob("*.ipynb")), folder / "report.html"]
    print(*made, *folder.glob("best.keras"), sep="\n")


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
