"""The record of a run on disk: open, resume, close, load."""

import contextlib
import csv
import itertools
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from unet_lib import bootstrap, workspace

CHECKPOINTS = "checkpoints"
COLUMNS = ("epoch", "loss", "accuracy", "dice", "val_loss", "val_accuracy", "val_dice")
COLUMNS += ("learning_rate", "seconds")

# What a training or an evaluation would write over.
_MADE = ("best.keras", "last.keras", "history.csv", "metrics.json", "predictions", CHECKPOINTS)


def open_run(folder: Path, *, parameters: dict, data_sha256: str) -> int:
    """Begin a run, or take up one that was interrupted; until `close_run` it is this process'.

    Args:
        folder: the run's folder; it is made if need be.
        parameters: everything that the result depends on, as JSON can hold it.
        data_sha256: the data set's hash from its manifest.

    Returns:
        The number of epochs already finished: 0 for a new run.

    Raises:
        ValueError: a run of this name exists that had other parameters or other data.
        BlockingIOError: another process has this run; the message says which.
    """
    workspace.claim(folder, purpose="training")
    record = check_run(folder, parameters=parameters, data_sha256=data_sha256)
    wanted = {"status": "running", "parameters": parameters, "data_sha256": data_sha256}
    if record is None and (folder / "run.json").exists():
        told = "was empty or damaged; it is made anew"
        print(f"{workspace.shown(folder / 'run.json')} {told}", flush=True)
    if record is None or record["parameters"] != parameters:
        if (folder / "last.keras").exists():  # more epochs: what was the end is a checkpoint now
            epoch = record["parameters"]["epochs"]
            (folder / CHECKPOINTS).mkdir(exist_ok=True)
            os.replace(folder / "last.keras", folder / CHECKPOINTS / f"epoch-{epoch:05d}.keras")
        workspace.write_json(folder / "run.json", {**wanted, **environment()})
    return finished_epochs(folder)


def read_record(folder: Path) -> dict | None:
    """Return run.json as it is, or None where no run has begun.

    Raises:
        ValueError: run.json is missing or damaged beside models that it should describe.
    """
    path = folder / "run.json"
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        record = json.loads(path.read_text("utf-8"))
        if {"status", "data_sha256"} <= set(record) and isinstance(record["parameters"], dict):
            return record
    if found := [name for name in _MADE if (folder / name).exists()]:
        raise ValueError(
            f"{workspace.shown(folder)} holds {', '.join(found)} but no readable run.json, so it"
            " cannot be known how they came about; choose another run_name, or remove them"
        )
    return None


def check_run(folder: Path, *, parameters: dict, data_sha256: str) -> dict | None:
    """Refuse what `open_run` would refuse, before any work; nothing is written or claimed.

    More epochs are fine where the learning rate is constant.

    Args:
        folder: the run's folder.
        parameters: see `open_run`.
        data_sha256: see `open_run`.

    Returns:
        The record of the run, or None where none has begun.

    Raises:
        ValueError: a run of this name exists that had other parameters or other data, or its
            history.csv is damaged.
    """
    record = read_record(folder)
    if record:
        _refuse_other(folder, record, {**parameters, "data_sha256": data_sha256})
        checkpoints(folder)
    return record


def _refuse_other(folder: Path, record: dict, want: dict) -> None:
    had = {**record["parameters"], "data_sha256": record["data_sha256"]}
    changed = [k for k in {**had, **want} if had.get(k) != want.get(k)]
    if not changed:
        return
    why = ""
    if changed == ["epochs"] and want["epochs"] > had["epochs"]:
        if had.get("schedule") == "constant":
            return
        why = (
            " More epochs can be added only where schedule is 'constant': under"
            f" {had.get('schedule')!r} the rate of each step follows from their number."
        )
    pairs = "; ".join(f"{k} was {had.get(k)!r}, now {want.get(k)!r}" for k in changed)
    raise ValueError(
        f"run {folder.name!r} was started differently: {pairs}.{why} Choose another run_name, "
        f"or delete {workspace.shown(folder)} to start again"
    )


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return what a run can go on from, the newest first: finished epochs and file of each.

    A model whose rows in history.csv are lost is none of them: which epoch was best is not known
    then, and not which one best.keras is of.

    Raises:
        ValueError: all are such; the message says what to do.
    """
    history = read_history(folder)
    rows, every = len(history["epoch"]), saved_models(folder)
    found = [(epoch, path) for epoch, path in every if epoch <= rows]
    if every and not found:
        epoch, path = min(every)
        raise ValueError(
            f"{workspace.shown(folder / 'history.csv')} has lost rows: it holds the first {rows}"
            f" epochs, and {path.name} is the model after {epoch}; put the whole file back, choose"
            f" another run_name, or delete {workspace.shown(folder)} to start again"
        )
    # a row beyond the newest checkpoint may be that of an epoch whose models were never written
    newest = max((epoch for epoch, _ in found), default=rows)
    known = {name: column[:newest] for name, column in history.items()}
    if (folder / "best.keras").exists() and known["epoch"] and found == every:
        found.append((best_epoch(known), folder / "best.keras"))
    return sorted(found, key=lambda item: (item[0], item[1].name != "best.keras"), reverse=True)


def saved_models(folder: Path) -> list[tuple[int, Path]]:
    """Return the models of a run that hold its state: finished epochs and file of each."""
    found = [(int(p.stem.split("-")[1]), p) for p in folder.glob(f"{CHECKPOINTS}/epoch-*.keras")]
    if (folder / "last.keras").exists():  # written when all epochs were done
        found.append((read_record(folder)["parameters"]["epochs"], folder / "last.keras"))
    return found


def finished_epochs(folder: Path) -> int:
    """Return the number of finished epochs that a run can resume from, if no file is damaged."""
    return max((epoch for epoch, _ in checkpoints(folder)), default=0)


def mend_best(folder: Path) -> None:
    """Make a damaged best.keras anew from another file of the same epoch, with a word.

    Raises:
        ValueError: no other file holds that epoch; the message says what to do.
    """
    best, found = folder / "best.keras", checkpoints(folder)
    epoch = next((epoch for epoch, path in found if path == best), None)
    if epoch is None or _whole(best):
        return
    for path in (path for other, path in found if other == epoch and _whole(path)):
        with workspace.replacing_file(best) as partial:
            shutil.copyfile(path, partial)
        print(f"{workspace.shown(best)} was damaged; it is made anew from {path.name}", flush=True)
        return
    raise ValueError(
        f"{workspace.shown(best)} is damaged, and no other file holds the model of epoch {epoch};"
        f" delete {workspace.shown(folder)} and run notebooks/04_train.ipynb again with the same"
        " parameters, or choose another run_name: it trains anew"
    )


def _whole(path: Path) -> bool:
    """Tell whether a .keras file, which is a ZIP archive, holds what was written."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # by the place of the damage: BadZipFile, EOFError, zlib.error and others
        return False


def best_epoch(history: dict[str, list[float]]) -> int:
    """Return the epoch of the lowest validation loss, counted from 1; NaN is never the lowest."""
    losses = [value if math.isfinite(value) else math.inf for value in history["val_loss"]]
    return 1 + losses.index(min(losses))


def close_run(folder: Path, **results) -> dict:
    """Mark a run as finished.

    Args:
        folder: the run's folder, with last.keras and best.keras in it.
        **results: what else run.json shall hold.

    Returns:
        The whole record, as written to run.json. `seconds` is the training time of all epochs.
    """
    history, record = read_history(folder), read_record(folder)
    record |= {"status": "finished", "epochs": len(history["epoch"])}
    record |= {"best_epoch": best_epoch(history), "seconds": round(sum(history["seconds"]), 1)}
    workspace.write_json(folder / "run.json", record | results)
    workspace.release(folder, purpose="training")
    return record | results


def load_run(folder: Path) -> dict:
    """Return the record of a finished run.

    Raises:
        FileNotFoundError: there is no such run, or it has not finished; the message says which.
    """
    workspace.require_artifact(folder / "run.json", "04_train")
    record = read_record(folder)
    if record is None or record["status"] != "finished":
        planned = record["parameters"]["epochs"] if record else "?"
        raise FileNotFoundError(
            f"run {folder.name!r} has not finished ({finished_epochs(folder)} of {planned} epochs);"
            " run notebooks/04_train.ipynb again with the same parameters: it resumes"
        )
    return record


def read_metrics(folder: Path) -> dict:
    """Return what notebook 05 measured of a run.

    Raises:
        FileNotFoundError, ValueError: metrics.json is not there, or damaged; notebook 05 makes it.
    """
    path = workspace.require_artifact(folder / "metrics.json", "05_evaluate")
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError:
        raise ValueError(f"{workspace.shown(path)} is damaged; notebooks/05_evaluate.ipynb makes it"
                         " anew: run that first, with the same run_name") from None


def too_low(reached: float, required: float) -> str:
    """Return what to do where the Dice of a run is below what was asked for."""
    return (
        f"validation Dice {reached:.4f} is below required_dice {required}: look at the curves of"
        " notebook 04; with another run_name try more epochs, or a parameter file such as"
        " notebooks/params/shenzhen_quick.yaml; or lower required_dice, if this will do for you"
    )


def require_same_data(record: dict, data_sha256: str) -> None:
    """Refuse to evaluate a run on a data set that has changed since.

    Args:
        record: from `load_run`.
        data_sha256: the hash in the data set's manifest.

    Raises:
        ValueError: the hashes differ.
    """
    if record["data_sha256"] != data_sha256:
        raise ValueError(
            f"the data set {record['parameters']['dataset']!r} has changed since this run was "
            f"trained (hash {record['data_sha256'][:12]} then, {data_sha256[:12]} now), so its "
            "split may differ; train again under a new run_name"
        )


def environment() -> dict:
    """Return versions, commit and hardware, for the record."""
    keras = sys.modules.get("keras")  # this room reads and writes; it loads no Keras
    packages = ["keras", "tensorflow", "numpy", "opencv-python-headless"]
    packages += ["jax"] if keras and keras.backend.backend() == "jax" else []
    versions = {name: bootstrap.installed_version(name) for name in packages}
    devices = keras.distribution.list_devices() if keras else []
    return {
        "versions": {"python": platform.python_version(), **versions},
        "backend": keras.backend.backend() if keras else None,
        "commit": _commit(),
        "hardware": {"cpu": _processor(), "cores": os.cpu_count(), "devices": devices},
    }


def _commit() -> str | None:
    git = ["git", "-C", str(workspace.PROJECT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # fetched without git


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def read_history(folder: Path) -> dict[str, list[float]]:
    """Read history.csv, up to the first row that is damaged or of another epoch than the next.

    Returns:
        One list per column, one number per finished epoch; "epoch" counts from 1. Empty lists where
        there is no file yet.
    """
    path = folder / "history.csv"
    rows = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file, contextlib.suppress(ValueError):
            for line in itertools.islice(csv.reader(file), 1, None):
                row = dict(zip(COLUMNS, map(float, line), strict=True))
                if row["epoch"] != len(rows) + 1:
                    break
                rows.append(row)
    return {name: [row[name] for row in rows] for name in COLUMNS}


def write_history(folder: Path, history: dict[str, list[float]]) -> None:
    """Write history.csv: a row for each epoch."""
    with workspace.replacing_file(folder / "history.csv") as partial:
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(zip(*(history[name] for name in COLUMNS), strict=True))
