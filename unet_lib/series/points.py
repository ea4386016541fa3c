"""One job of a sweep: make a data set, or train and evaluate one point. Workers call this.

    python -m unet_lib.series.points PLAN data NAME
    python -m unet_lib.series.points PLAN point NAME

PLAN is the plan.json that the sweep wrote. A finished point has a point.json with "ok": true,
written last; one that failed has a failed.json instead, which says why.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from unet_lib import datasets, runs, workspace
from unet_lib.series import execute, plan, report

DONE, FAILED, BEGUN = "point.json", "failed.json", ".begun"


def write_plan(path: Path, points, makers, *, file: Path) -> None:
    """Write what workers need to know: runs of points and of makers of data sets, by name.

    And the sweep file, so that another one with its name is told.
    """
    workspace.write_json(path, {
        "file": str(file.resolve()),
        "points": {p.name: {"dataset": p.dataset, "varied": p.varied, **_as_json(p.run)}
                   for p in points},
        "data": {name: _as_json(run) for name, run in makers.items()},
    })  # fmt: skip


def _as_json(run: plan.Run) -> dict:
    given = {str(notebook): values for notebook, values in run.parameters.items()}
    return {"run": run.name, "parameters": given, "reads": run.data}


def _as_run(job: dict) -> plan.Run:
    given = {Path(notebook): values for notebook, values in job["parameters"].items()}
    return plan.Run(job["run"], given, job["reads"])


def make_data(home: Path, name: str, job: dict) -> int:
    """Run notebook 01; home/data/<name>.json then holds the hash of what points depend on.

    That file keeps its time where the data are what they were, so that no point runs again.
    """
    run = _as_run(job)
    with _told(home / "data" / f"{name}.{FAILED}"), workspace.alone(home / "data"):
        execute.execute_all(run.parameters, home / "data" / "notebooks")
        found = {"data_sha256": datasets.load_manifest(workspace.data_dir(name))["data_sha256"]}
        mark = home / "data" / f"{name}.json"
        if read_json(mark) != found:
            workspace.write_json(mark, found)
        return 0
    return 1


def make_point(home: Path, name: str, job: dict) -> int:
    """Train and evaluate one point; a finished one with the same data is left as it is."""
    folder, run, start = home / name, _as_run(job), time.time()
    with _told(folder / FAILED), workspace.alone(folder):
        data = datasets.load_manifest(workspace.data_dir(job["dataset"]))["data_sha256"]
        done = read_json(folder / DONE)
        if done.get("ok") and done.get("data_sha256") == data:
            return 0
        _set_aside(folder, data)
        (folder / BEGUN).touch()
        (folder / DONE).unlink(missing_ok=True)
        execute.run_one(run)
        record, metrics = runs.read_record(folder), report.read_metrics(run.name)
        _check_used({**record["parameters"], "judged_epoch": metrics.get("judged_epoch")}, job)
        workspace.write_json(folder / DONE, {
            "ok": True, "name": name, "varied": job["varied"], "data_sha256": data,
            "parameters": record["parameters"], "metrics": metrics,
            "seconds": round(time.time() - start, 1), "memory_mb": _children_memory(),
            "hardware": record["hardware"], "commit": record["commit"],
        })  # fmt: skip
        return 0
    return 1


def _set_aside(folder: Path, data: str) -> None:
    """Move a run of other data out of the way: nothing that was trained is lost."""
    record = read_json(folder / "run.json")
    if record and record.get("data_sha256") != data:
        old = next(p for k in range(1, 10_000)
                   if not (p := folder.with_name(f"{folder.name}.old-{k}")).exists())
        os.replace(folder, old)
        folder.mkdir()
        print(f"the data changed: what was trained before is now in {workspace.shown(old)}")


def _check_used(used: dict, job: dict) -> None:
    """Compare what the notebooks say they used with what the point is: a default may have won."""
    asked = {k: v for given in job["parameters"].values() for k, v in given.items()}
    wrong = [f"{name} {asked[name]!r} was asked for, {value!r} used"
             for name, value in used.items() if name in asked and asked[name] != value]
    if wrong:
        raise ValueError(f"the run is not the point: {'; '.join(wrong)}")


@contextlib.contextmanager
def _told(failed: Path) -> Iterator[None]:
    """Write down why a job failed, and end it; a job that succeeds removes what was written."""
    begun = failed.with_name(BEGUN)
    failed.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except Exception as error:
        plain = isinstance(error, execute.NotebookFailed)
        told = f"{error}" if plain else f"{type(error).__name__}: {error}"
        workspace.write_json(failed, {"ok": False, "reason": told})
        print(f"FAILED: {told}", file=sys.stderr)
    else:
        failed.unlink(missing_ok=True)
    finally:
        begun.unlink(missing_ok=True)


def _children_memory() -> int | None:
    """Return the largest resident memory of the kernels that have ended, in MB."""
    if os.name != "posix":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def read_json(path: Path) -> dict:
    """Return what a JSON file holds, {} if it is not there or not whole."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def main(arguments: list[str]) -> int:
    """Do one job of a plan; return 0 if it is done."""
    path, kind, name = arguments
    job = json.loads(Path(path).read_text("utf-8"))[{"data": "data", "point": "points"}[kind]][name]
    return {"data": make_data, "point": make_point}[kind](Path(path).parent, name, job)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
