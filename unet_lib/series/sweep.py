"""A sweep file -> its points, each a checked run, and the data sets that they read."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unet_lib import datasets, parameters, workspace
from unet_lib.series import plan

_PARTS = ("base", "grid", "points", "seeds", "folds")
MAKER, POINT = plan.MAKER, "04_train 05_evaluate"
"""The notebook that makes a data set, and those that make a point."""

_LONGEST = 60  # characters of a name that say what varies


@dataclass(frozen=True)
class Point:
    """One training and its evaluation.

    Attributes:
        name: of its folder in the sweep's; what varies, and a digest of all that it is given.
        varied: the parameters that the sweep sets, and not `base`.
        dataset: the data set that it reads.
        run: notebooks 04 and 05 with what they are given.
    """

    name: str
    varied: dict[str, object]
    dataset: str
    run: plan.Run


@dataclass(frozen=True)
class Sweep:
    """What a sweep file asks for.

    Attributes:
        name: the file's stem; runs/<name>/ holds all that the sweep makes.
        points: in the order of the file, seeds fastest.
        makers: for each data set the run of notebook 01 that makes it.
    """

    name: str
    points: list[Point]
    makers: dict[str, plan.Run]


def read(file: str | Path, *, folder: Path = plan.NOTEBOOKS) -> Sweep:
    """Read a sweep file and check every point of it.

    Args:
        file: YAML: `base: {params: FILE or list, epochs: 3}`, `grid: {name: [values]}`,
            `points: [{name: value}]`, `seeds: [0, 1]`, `folds: 5`. Paths in it start at the project
            root; its own starts at the current folder.
        folder: the folder that holds the notebooks.

    Raises:
        plan.Refused: something in it is unknown, of a wrong type, out of range, empty or there
            twice; nothing has run.
    """
    asked = plan.read_parameters(str(file))
    name = _name(Path(file))
    for part in asked:
        if part not in _PARTS:
            raise plan.Refused(f"{file} has {part!r}; a sweep has {', '.join(_PARTS)}")
    shared, single = _base(asked.get("base"))
    base = {**shared, **single}
    chosen = list(_settings(asked))
    for varied in chosen:
        if twice := sorted({"run_name", "dataset"} & varied.keys()):
            raise plan.Refused(f"a sweep names runs and data sets itself; take {twice[0]} out")
    _check_used({name for each in (single, *chosen) for name in each}, folder)
    makers = [_plan({**base, **varied}, name, MAKER, folder) for varied in chosen]
    records = [json.dumps(datasets.record(maker.data), sort_keys=True) for maker in makers]
    points = {}
    for varied, maker, record in zip(chosen, makers, records, strict=True):
        dataset = maker.data["dataset"]
        if len(set(records)) > 1:
            dataset = f"{dataset}-{_digest(record)}"
        point = _point(name, {**base, **varied, "dataset": dataset}, varied, record, folder)
        digest = point.name.rpartition("_")[2]
        if digest in points:
            raise plan.Refused(f"two points ask for the same: {say(points[digest].varied)}, and"
                               f" {say(varied)}; take one out")
        points[digest] = point
    made = {p.dataset: _plan({**base, **p.varied, "dataset": p.dataset}, name, MAKER, folder)
            for p in points.values()}
    return Sweep(name, list(points.values()), made)


def say(varied: dict[str, object]) -> str:
    """Return parameters as one writes them, such as "width 8, seed 0"."""
    return ", ".join(f"{name} {text(value)}" for name, value in varied.items()) or "base alone"


def text(value: object) -> str:
    """Return the one text that stands for a value: 0.001 and 1e-3 are "0.001", 1.10 is "1.1"."""
    return value if isinstance(value, str) else json.dumps(value)


def _name(file: Path) -> str:
    try:
        return workspace.check_name("the sweep file's name", file.stem)
    except ValueError as error:
        raise plan.Refused(f"{error} (the file is {file.name})") from None


def _base(base: object) -> tuple[dict[str, object], dict[str, object]]:
    """Return what all points share: what files say, in their order; single values, which win."""
    if not isinstance(base or {}, dict):
        raise plan.Refused(f"base must hold lines such as 'epochs: 3', got {base!r}")
    values, single = {}, dict(base or {})
    files = single.pop("params", [])
    for file in files if isinstance(files, list) else [files]:
        values |= plan.read_parameters(_resolve(file))
    values.pop("run_name", None)  # of the file when it stands alone
    if "run_name" in single:
        raise plan.Refused("a sweep names its runs itself; take run_name out of base")
    return values, {str(name): value for name, value in single.items()}


def _resolve(file: object) -> str:
    try:
        return str(workspace.resolve(file))
    except (TypeError, ValueError, OSError, RuntimeError):  # no text, or no name of a file
        raise plan.Refused(f"base: params must name a parameter file or a list of such, got"
                           f" {file!r}; take it out if there is none") from None


def _settings(asked: dict) -> Iterator[dict[str, object]]:
    """Yield what each point sets: all combinations of the grid, and `points`, per fold and seed."""
    grid = _mapping("grid", asked.get("grid"))
    for name, values in grid.items():
        _filled(f"grid: {name}", values)
    settings = [dict(zip(grid, combination, strict=True))
                for combination in itertools.product(*grid.values())] if grid else []
    if "points" in asked:
        settings += [_mapping("points", point) for point in _filled("points", asked["points"])]
    folds = _folds(asked.get("folds"))
    seeds = _filled("seeds", asked["seeds"]) if "seeds" in asked else []
    for setting in settings or [{}]:
        for fold in folds or [{}]:
            for seed in [{"seed": s} for s in seeds] or [{}]:
                if twice := setting.keys() & (fold | seed).keys():
                    raise plan.Refused(f"{twice.pop()} is set twice: by seeds or folds, and by"
                                       " grid or points; keep one")
                yield setting | fold | seed


def _check_used(names: set[str], folder: Path) -> None:
    """Refuse a name that only other notebooks have: it would change nothing, without a word."""
    books = plan.select(folder, [MAKER, *POINT.split()])
    known = {name for book in books for name in plan.declared_types(book)}
    everywhere = {n for book in plan.select(folder, every=True) for n in plan.declared_types(book)}
    for name in sorted(names & everywhere - known):
        raise plan.Refused(f"no notebook of a sweep (01, 04 and 05) reads {name}, so it would"
                           f" change nothing; {parameters.nearest(name, known)}")


def _mapping(part: str, found: object) -> dict:
    if not isinstance(found or {}, dict):
        raise plan.Refused(f"{part} must map names to values, got {found!r}")
    return {str(name): value for name, value in (found or {}).items()}


def _filled(part: str, found: object) -> list:
    if not isinstance(found, list) or not found:
        raise plan.Refused(f"{part} must be a list such as [1, 2], and not empty; got {found!r}")
    return found


def _folds(number: object) -> list[dict[str, object]]:
    if number is None:
        return []
    if type(number) is not int or not 2 <= number <= 9999:
        raise plan.Refused(f"folds must be a whole number from 2 to 9999, got {number!r}; use 5")
    return [{"split": f"{part}/{number}"} for part in range(1, number + 1)]


def _plan(values: dict, name: str, notebooks: str, folder: Path) -> plan.Run:
    return plan.plan_values(values, run_name=name, only=notebooks.split(), folder=folder)


def _point(sweep: str, values: dict, varied: dict, record: str, folder: Path) -> Point:
    """Plan one point; its name ends in a digest of all that its result depends on."""
    run = _plan(values, sweep, POINT, folder)
    given = {n.stem: {k: v for k, v in {**plan.defaults(n), **values}.items()
                      if k not in ("run_name", "dataset")}
             for n, values in run.parameters.items()}
    typed = {k: v for each in (run.data, *given.values()) for k, v in each.items()}
    varied = {k: typed.get(k, v) for k, v in varied.items()}
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", "_".join(f"{k}-{text(v)}" for k, v in varied.items()))
    name = f"{plain[:_LONGEST].strip('._-') or 'base'}_{_digest([given, record])}"
    return Point(name, varied, values["dataset"], _plan(values, f"{sweep}/{name}", POINT, folder))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
