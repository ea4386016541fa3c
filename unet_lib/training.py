"""What a training run leaves behind, how it resumes, and what it watches for."""

import csv
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from unet_lib import bootstrap, workspace

CHECKPOINTS = "checkpoints"


_CHOICES = {
    "loss": ("bce", "bce_dice", "dice", "focal"),
    "schedule": ("constant", "cosine"),
    "precision": ("float32", "mixed_bfloat16", "mixed_float16"),
}


def check_settings(settings: dict) -> None:
    """Refuse settings that could not train, before anything is written.

    Args:
        settings: the parameters of notebook 04 by name. What `build_unet` takes is checked there.

    Raises:
        ValueError: a choice is unknown, or a number is out of range.
    """
    for name, choices in _CHOICES.items():
        if settings[name] not in choices:
            raise ValueError(
                f"{name} must be one of {', '.join(map(repr, choices))}, got {settings[name]!r}"
            )
    for name in ("batch_size", "epochs"):
        if not isinstance(settings[name], int) or settings[name] < 1:
            raise ValueError(f"{name} must be a whole number, 1 or more, got {settings[name]!r}")
    if not 0 < settings["learning_rate"] < 1:
        raise ValueError(
            f"learning_rate must lie between 0 and 1, got {settings['learning_rate']!r}; "
            "0.001 is a good start for Adam"
        )


def open_run(folder: Path, *, parameters: dict, data_sha256: str) -> int:
    """Begin a run, or take up one that was interrupted.

    Args:
        folder: the run's folder; it is made if need be.
        parameters: everything that the result depends on, as JSON can hold it.
        data_sha256: the data set's hash from its manifest.

    Returns:
        The number of epochs already finished: 0 for a new run.

    Raises:
        ValueError: a run of this name exists that had other parameters or other data.
    """
    record_path = folder / "run.json"
    if record_path.exists():
        record = json.loads(record_path.read_text("utf-8"))
        _refuse_other(folder, record, {**parameters, "data_sha256": data_sha256})
        return finished_epochs(folder)
    if folder.exists() and any(p.name != "notebooks" for p in folder.iterdir()):
        raise ValueError(
            f"{workspace.shown(folder)} holds files but no run.json, so it is no run of this project; "
            "choose another run_name, or empty that folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    record = {"status": "running", "parameters": parameters, "data_sha256": data_sha256}
    write_json(record_path, {**record, **environment()})
    return 0


def _refuse_other(folder: Path, record: dict, wanted: dict) -> None:
    had = {**record["parameters"], "data_sha256": record["data_sha256"]}
    changed = [k for k in {**had, **wanted} if had.get(k) != wanted.get(k)]
    if changed:
        pairs = "; ".join(f"{k} was {had.get(k)!r}, now {wanted.get(k)!r}" for k in changed)
        raise ValueError(
            f"run {folder.name!r} was started differently: {pairs}. Choose another run_name, "
            f"or delete {workspace.shown(folder)} to start again"
        )


def finished_epochs(folder: Path) -> int:
    """Return the number of finished epochs that a run can resume from."""
    if (folder / "last.keras").exists():
        return len(read_history(folder)["epoch"])
    newest = newest_checkpoint(folder)
    return int(newest.stem.split("-")[1]) if newest else 0


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint of the last finished epoch, or None."""
    return max(folder.glob(f"{CHECKPOINTS}/epoch-*.keras"), default=None)


def load_state(folder: Path) -> keras.Model:
    """Load the model as the last finished epoch left it, optimizer included."""
    last = folder / "last.keras"
    return keras.models.load_model(last if last.exists() else newest_checkpoint(folder))


def close_run(folder: Path, **results) -> dict:
    """Mark a run as finished.

    Args:
        folder: the run's folder, with last.keras and best.keras in it.
        **results: what else run.json shall hold.

    Returns:
        The whole record, as written to run.json. `seconds` is the training time of all epochs.
    """
    history = read_history(folder)
    best = int(np.argmin(history["val_loss"]))
    record = json.loads((folder / "run.json").read_text("utf-8"))
    record |= {"status": "finished", "epochs": len(history["epoch"]), "best_epoch": best + 1}
    record |= {"seconds": round(sum(history["seconds"]), 1), **results}
    write_json(folder / "run.json", record)
    return record


def load_run(folder: Path) -> dict:
    """Return the record of a finished run.

    Raises:
        FileNotFoundError: there is no such run, or it has not finished; the message says which.
    """
    path = workspace.require_artifact(folder / "run.json", "04_train")
    record = json.loads(path.read_text("utf-8"))
    if record["status"] != "finished":
        raise FileNotFoundError(
            f"run {folder.name!r} has not finished ({finished_epochs(folder)} of "
            f"{record['parameters']['epochs']} epochs); run notebooks/04_train.ipynb again with "
            "the same parameters: it resumes"
        )
    return record


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


def write_json(path: Path, content: dict) -> None:
    """Write JSON so that `path` holds the old content or the new one, never half of it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    os.replace(partial, path)


def environment() -> dict:
    """Return versions, commit and hardware, for the record."""
    packages = ("keras", "tensorflow", "numpy", "opencv-python-headless")
    versions = {name: bootstrap.installed_version(name) for name in packages}
    devices = keras.distribution.list_devices()
    return {
        "versions": {"python": platform.python_version(), **versions},
        "backend": keras.backend.backend(),
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


_COLUMNS = ("epoch", "loss", "accuracy", "dice", "val_loss", "val_accuracy", "val_dice")
_COLUMNS += ("learning_rate", "seconds")


def read_history(folder: Path) -> dict[str, list[float]]:
    """Read history.csv.

    Returns:
        One list per column, one number per finished epoch; "epoch" counts from 1. Empty lists where
        there is no file yet.
    """
    path = folder / "history.csv"
    rows = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in _COLUMNS}


class EpochSaver(keras.callbacks.Callback):
    """Writes history.csv, best.keras and a checkpoint after each epoch, and last.keras at the end.

    Each file is written beside its place and then moved there, the checkpoint last: whenever the
    run is killed, the newest checkpoint and the rows up to its epoch belong together.

    Args:
        folder: the run's folder.
        first_epoch: epochs already finished, from `open_run`.
    """

    def __init__(self, folder: Path, *, first_epoch: int = 0):
        super().__init__()
        self.folder, self.first_epoch = folder, first_epoch

    def on_train_begin(self, logs=None):
        """Check that the model is where the files are; forget what a killed epoch left."""
        steps = int(self.model.optimizer.iterations)
        finished = finished_epochs(self.folder)
        if finished != self.first_epoch or bool(steps) != bool(finished):
            raise RuntimeError(
                f"{workspace.shown(self.folder)} holds {finished} finished epochs, but the model has "
                f"made {steps} steps and training would start after epoch {self.first_epoch}; run "
                "the cells again from open_run on"
            )
        (self.folder / CHECKPOINTS).mkdir(exist_ok=True)
        self.history = {k: v[:finished] for k, v in read_history(self.folder).items()}

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Write this epoch's row, the model if it is the best so far, and the checkpoint."""
        row = {"epoch": epoch + 1, **logs, "seconds": time.monotonic() - self.started}
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        for name in _COLUMNS:
            self.history[name].append(float(row[name]))
        self._write_history()
        if self.history["val_loss"][-1] <= min(self.history["val_loss"]):
            self._save("best.keras")
        earlier = newest_checkpoint(self.folder)
        self._save(f"{CHECKPOINTS}/epoch-{epoch + 1:05d}.keras")
        if earlier:
            earlier.unlink()

    def on_train_end(self, logs=None):
        """Make the last checkpoint last.keras: the sign of a run that came to its end."""
        newest = newest_checkpoint(self.folder)
        if newest:
            os.replace(newest, self.folder / "last.keras")
            shutil.rmtree(self.folder / CHECKPOINTS)

    def _save(self, name: str) -> None:
        partial = self.folder / CHECKPOINTS / "partial.keras"
        self.model.save(partial)
        os.replace(partial, self.folder / name)

    def _write_history(self) -> None:
        partial = self.folder / "history.csv.partial"
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            writer.writerows(zip(*(self.history[name] for name in _COLUMNS), strict=True))
        os.replace(partial, self.folder / "history.csv")


class SeedDropout(keras.callbacks.Callback):
    """Makes dropout a function of (seed, epoch, step), so that a resumed run repeats it.

    A saved model does not hold the state of its dropout layers' random numbers.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        """Set the state of each dropout layer."""
        layers = [la for la in self.model.layers if isinstance(la, keras.layers.Dropout)]
        for number, layer in enumerate(la for la in layers if la.rate):  # else there is no state
            layer.seed_generator.state.assign([self.seed * 1000 + epoch, number * 1_000_000])


class StopOnNaN(keras.callbacks.Callback):
    """Raises FloatingPointError, with what to try, as soon as the loss is no longer a number."""

    def on_train_batch_end(self, batch, logs=None):
        """Look at the running mean of the loss: one bad step spoils it for good."""
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"the loss is {logs['loss']} after step {batch + 1} of this epoch, at learning "
                f"rate {float(self.model.optimizer.learning_rate):.3g}: the weights have left the "
                "range where gradients mean anything. Try a tenth of the learning rate, "
                "precision='float32', or look for masks that are not 0 and 1; use another run_name"
            )


def probe(model: keras.Model, images: np.ndarray) -> dict:
    """Look for a grey prediction: the same probability everywhere.

    Args:
        model: from `build_unet`.
        images: (N, S, S, 1) float32 in [0, 1].

    Returns:
        min and max of the predicted probability; layer, the name of the last ReLU layer; active,
        the share of that layer's units that are above zero at any pixel of any image, in [0, 1].
    """
    features = model.layers[-1].input
    # called, not `predict`ed: each call would trace anew, and TensorFlow warn of it
    outputs = keras.Model(model.input, [features, model.output])(images)
    active = (np.asarray(outputs[0]) > 0).any(axis=(0, 1, 2)).mean()
    low, high = float(np.min(outputs[1])), float(np.max(outputs[1]))
    return {"min": low, "max": high, "layer": model.layers[-2].name, "active": float(active)}


class GreyWarning(keras.callbacks.Callback):
    """Warns within the first epochs if the prediction is grey.

    Args:
        images: (N, S, S, 1) float32 in [0, 1], a few images to probe with.
        epochs: how many epochs to watch.
    """

    def __init__(self, images: np.ndarray, *, epochs: int = 3):
        super().__init__()
        self.images, self.epochs = images, epochs

    def on_epoch_end(self, epoch, logs=None):
        """Probe the model; a spread below 0.05 or a dead last layer is worth a warning."""
        if epoch >= self.epochs:
            return
        found = probe(self.model, self.images)
        if found["max"] - found["min"] < 0.05 or not found["active"]:
            warnings.warn(
                f"my prediction is grey: after epoch {epoch + 1} all probabilities lie between "
                f"{found['min']:.3f} and {found['max']:.3f}, and {found['active']:.0%} of the "
                f"units of {found['layer']} are active. If 0 % are, the layer is dead: try another "
                "seed or head='direct'. If not, it may still learn: wait an epoch, then raise the "
                "learning rate",
                RuntimeWarning,
                stacklevel=2,
            )


def watched() -> bool:
    """Return whether a person is looking: JupyterLab, VS Code or Colab, not papermill or nbval."""
    signs = ("JPY_SESSION_NAME", "VSCODE_PID")
    return any(sign in os.environ for sign in signs) or "google.colab" in sys.modules


class Progress(keras.callbacks.Callback):
    """A live bar with loss, Dice and time left for a person, one stable line per epoch otherwise.

    Args:
        epochs: number of the last epoch.
        first_epoch: epochs already finished.
        live: show the bar; by default as `watched` says.
    """

    def __init__(self, *, epochs: int, first_epoch: int = 0, live: bool | None = None):
        super().__init__()
        self.epochs, self.first_epoch = epochs, first_epoch
        self.live = watched() if live is None else live

    def on_train_begin(self, logs=None):
        """Open the bar over all steps of all epochs."""
        total, done = (n * self.params["steps"] for n in (self.epochs, self.first_epoch))
        self.bar = tqdm(
            total=total, initial=done, unit="step", file=sys.stdout, disable=not self.live
        )
        self.shown = {}

    def on_train_batch_end(self, batch, logs=None):
        """Move the bar."""
        if self.live:
            self.shown |= {name: f"{logs[name]:.3f}" for name in ("loss", "dice")}
            self.bar.set_postfix(self.shown, refresh=False)
            self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Show the validation Dice."""
        self.shown["val_dice"] = f"{logs['val_dice']:.3f}"
        if not self.live:
            print(
                f"epoch {epoch + 1}/{self.epochs}  loss {logs['loss']:.3f}  dice {logs['dice']:.3f}"
                f"  validation loss {logs['val_loss']:.3f}  dice {logs['val_dice']:.3f}",
                flush=True,
            )

    def on_train_end(self, logs=None):
        """Close the bar."""
        self.bar.close()
