"""From a request to checked runs: which notebooks, with which parameters, in which order."""

import ast
import contextlib
import functools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from unet_lib import parameters, runs, workspace

NOTEBOOKS = workspace.PROJECT / "notebooks"
NAME = r"\d\d_[a-z0-9_]+"
"""What a notebook of the series is called; copies that others leave beside it are not."""

NEEDS = {
    "01_restructure_dataset": (),
    "02_explore_images": ("01_restructure_dataset",),
    "03_build_unet": (),
    "04_train": ("01_restructure_dataset",),
    "05_evaluate": ("04_train",),
    "06_evaluate_in_depth": ("05_evaluate",),
    "07_close_the_gap": ("05_evaluate",),
    "08_how_wide": ("01_restructure_dataset",),
    "09_your_own_images": (),
    "11_scale_out": (),
}
"""Whose files a notebook reads; one that is not named here may need all before it."""

PRACTICE = {"10_batch_runs": "batch", "11_scale_out": "scale", "12_ship_it": "ship"}
"""Notebooks for practitioners, each with the dependency group that it needs: they run when they are
named, or when all are asked for."""

MAKER = "01_restructure_dataset"
"""The notebook that makes the data; the others read them."""

_TYPES = {"str": str, "bool": bool, "int": int, "float": float}


class Refused(ValueError):
    """The request is wrong; nothing has run."""


@dataclass(frozen=True)
class Run:
    """One pass over the notebooks.

    Attributes:
        name: of the folder under runs/.
        parameters: for each notebook what it is given.
        data: parameters of notebook 01, whose data set this run reads: all if it is to be made,
            else its name and what else was given; nothing if none is read.
    """

    name: str
    parameters: dict[Path, dict[str, object]]
    data: dict[str, object] = field(default_factory=dict)


def plan(
    files: list[str], texts: dict[str, str], *, run_name=None, only=(), every: bool = False,
    folder: Path = NOTEBOOKS,
) -> list[Run]:
    """Turn a request into checked runs: one for each parameter file, or one without a file.

    Args:
        files: YAML files; each holds a mapping from parameter name to value.
        texts: parameters as text from the command line; they win over a file's.
        run_name: the run's name; else the parameter run_name, the file's stem or "quick".
        only: names of the notebooks to run, such as "04_train"; empty for all of the lesson.
        every: all of the lesson and those for practitioners.
        folder: the folder that holds the notebooks.

    Returns:
        Runs whose parameters all exist, are of their type and within their range, also those that
        are left at their defaults.

    Raises:
        Refused: a name, type, value, file or notebook is wrong; the message says what would do.
    """
    if run_name and len(files) > 1:
        raise Refused(f"--run names one run, got {len(files)} parameter files; leave --run away")
    named = texts.get("run_name")
    if named == "" or (run_name and named and named != run_name):
        raise Refused(f"-p run_name is {named!r}" + (f", and --run {run_name!r}" * bool(run_name))
                      + "; name the run once, as with --run quick_2")
    chosen = select(folder, only, every=every)
    kinds = {n: declared_types(n) for n in select(folder, every=True)}
    runs = []
    for file in files or [None]:
        values = read_parameters(file) if file else {}
        name = run_name or named or values.get("run_name")
        name = name or (Path(file).stem if file else "quick")
        runs.append(_plan_one(chosen, kinds, values, texts, name))
    names = [run.name for run in runs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise Refused(f"two parameter files have the same run_name {twice[0]!r}; give each its own")
    return runs


def plan_values(
    values: dict[str, object], *, run_name: str, only=(), folder: Path = NOTEBOOKS
) -> Run:
    """Turn parameters, typed as YAML types them, into one checked run.

    Args:
        values: parameter name to value, as a parameter file holds them.
        run_name: the run's name.
        only: as for `plan`.
        folder: as for `plan`.

    Raises:
        Refused: as `plan`.
    """
    kinds = {n: declared_types(n) for n in select(folder, every=True)}
    return _plan_one(select(folder, only), kinds, values, {}, run_name)


def _plan_one(chosen: list[Path], kinds: dict, values: dict, texts: dict, name: str) -> Run:
    known = {k: v for kind in kinds.values() for k, v in kind.items()}
    _check_names(values, known)  # a file may also serve notebooks that --only leaves out
    _check_names(texts, [k for notebook in chosen for k in kinds[notebook]])
    given = {k: _convert(k, v, known[k]) for k, v in values.items()}
    given |= {k: _convert(k, _from_text(v, known[k]), known[k]) for k, v in texts.items()}
    given["run_name"] = str(name)
    run = Run(given["run_name"], {
        n: {k: v for k, v in given.items() if k in kinds[n]} for n in chosen},
        _plan_data(chosen, kinds, given))
    _check_values(run, given)
    return run


def _plan_data(chosen: list[Path], kinds: dict, given: dict[str, object]) -> dict[str, object]:
    """Return what a run asks of the data that it reads; nothing if it reads none."""
    maker = next((n for n in kinds if n.stem == MAKER), None)
    readers = [n for n in chosen if n.stem == MAKER or MAKER in _all_needs(n.stem)]
    if not maker or not readers or "dataset" not in kinds[maker]:
        return {}
    asked = {k: v for k, v in given.items() if k in kinds[maker]}
    usual = defaults(maker)
    if maker not in chosen:
        usual = {"dataset": usual["dataset"]}
        if not any("dataset" in kinds[n] for n in chosen):  # that which the run was trained on
            usual |= _trained_on(given["run_name"])
    return usual | asked


def _trained_on(run_name: str) -> dict[str, object]:
    """Return the name of the data set of a run that is there; nothing if there is none."""
    with contextlib.suppress(ValueError):  # no name, or a damaged record: its notebook tells
        record = runs.read_record(workspace.run_dir(run_name)) or {"parameters": {}}
        return {k: v for k, v in record["parameters"].items() if k == "dataset"}
    return {}


def _check_values(run: Run, given: dict[str, object]) -> None:
    """Check what is given, whoever it is for, and the defaults that are left as they are."""
    used = {k for notebook in run.parameters for k in declared_types(notebook)}
    if "source" not in used:  # a finished run is evaluated without its source as well
        given = {k: v for k, v in given.items() if k != "source"}
    for values in (given, *({**defaults(n), **v} for n, v in run.parameters.items())):
        _check(values)  # a notebook that someone adds may have others besides


def _check(values: dict[str, object]) -> None:
    try:
        parameters.check_all(values)
    except (ValueError, OverflowError) as error:  # the second of numbers beyond any float
        raise Refused(str(error)) from None


def select(folder: Path, only=(), *, every: bool = False) -> list[Path]:
    """Return the notebooks of the series in `folder` in order; those in `only` if it is given.

    Otherwise they are those of the lesson, and with `every` those for practitioners too.

    Raises:
        Refused: there is none, or not one that `only` names.
    """
    files = {p.stem: p for p in sorted(folder.glob("*.ipynb"))}
    found = {stem: p for stem, p in files.items() if re.fullmatch(NAME, stem)}
    if not found:
        raise Refused(f"no notebook NN_name.ipynb in {workspace.shown(folder)}")
    wanted = [Path(name).name.removesuffix(".ipynb") for name in only]
    for name in wanted:
        if name in files and name not in found:
            raise Refused(
                f"{files[name].name} is not part of the series, whose notebooks are named like"
                f" 04_train.ipynb, in small letters; {parameters.nearest(name, found)}"
            )
        if name not in found:
            raise Refused(f"there is no notebook {name!r}; {parameters.nearest(name, found)}")
    if not wanted:
        wanted = [stem for stem in found if every or stem not in PRACTICE]
    return [p for stem, p in found.items() if stem in wanted]


def predecessors(names: Iterable[str]) -> dict[str, set[str]]:
    """Return for each notebook those among `names` that have to end before it begins.

    Args:
        names: the notebooks to run, in reading order. One that `NEEDS` does not know waits for all
            before it, and those behind it wait for it.
    """
    before, earlier = {}, []
    for name in names:
        unknown = {other for other in earlier if other not in NEEDS}
        needed = unknown | _all_needs(name) if name in NEEDS else set(earlier)
        before[name] = needed.intersection(earlier)
        earlier.append(name)
    return before


def _all_needs(name: str) -> set[str]:
    direct = NEEDS.get(name, ())
    return {*direct, *(far for near in direct for far in _all_needs(near))}


def read_parameters(file: str) -> dict[str, object]:
    """Return the mapping that a YAML parameter file holds.

    Args:
        file: its path; a relative one starts at the current folder.

    Raises:
        Refused: it is not there, cannot be read, or holds something else.
    """
    from unet_lib.series import yaml_text  # only where a file is read: --help answers without

    path = Path(file)
    if not os.path.isfile(path):  # also where the name is one that no file can have
        known = [p.name for p in (NOTEBOOKS / "params").glob("*.yaml")]
        near = parameters.nearest(path.name, known)
        raise Refused(f"there is no parameter file {file}; {near}")
    try:
        values = yaml_text.load(path.read_text("utf-8"))
    except ValueError as error:
        raise Refused(f"{file} is not valid YAML: {error}") from None
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise Refused(f"{file} must hold lines such as 'epochs: 20', got {type(values).__name__}")
    return {str(name): value for name, value in values.items()}


def declared_types(notebook: Path) -> dict[str, str]:
    """Return the parameters of a notebook: name to "str", "bool", "int" or "float".

    Raises:
        Refused: papermill finds none, or one without such a type.
    """
    kinds = {name: p["inferred_type_name"] for name, p in _inspect(notebook).items()}
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


def _inspect(notebook: Path) -> dict:
    about = notebook.stat()
    return _inspected(notebook, about.st_mtime_ns, about.st_size)


@functools.cache  # a sweep of a thousand points asks a thousand times
def _inspected(notebook: Path, changed: int, size: int) -> dict:
    from papermill import inspect_notebook

    return inspect_notebook(notebook)


def defaults(notebook: Path) -> dict[str, object]:
    """Return what a notebook takes where nothing is given; an expression is left out."""
    values = {}
    for name, parameter in _inspect(notebook).items():
        with contextlib.suppress(ValueError, SyntaxError):  # an expression: the notebook checks it
            values[name] = ast.literal_eval(parameter["default"])
    return values


def _check_names(names, known) -> None:
    for name in names:
        if name not in known:
            near = parameters.nearest(name, known)
            raise Refused(f"no notebook here has a parameter {name!r}; {near}")


def _from_text(text: str, kind: str) -> object:
    from unet_lib.series import yaml_text

    try:
        return text if kind == "str" else yaml_text.load(text)
    except ValueError:
        return text


def _convert(name: str, value: object, kind: str) -> object:
    if kind == "float" and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-4 as text: a number needs a dot there
        except (ValueError, OverflowError):
            pass
    if type(value) is not _TYPES[kind]:
        if kind != "str" or value is None:
            _check({name: value})
        hint = "; put it in quotes" if kind == "str" else ""
        raise Refused(f"{name} must be {kind}, got {value!r} ({type(value).__name__}){hint}")
    return value
