"""What a training needs beside `fit`: resuming, files, seeds, alarms, progress."""

import contextlib
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from unet_lib import runs, workspace


def resume(folder: Path, unet: keras.Model, *, epochs: int) -> tuple[keras.Model, int]:
    """Return the model as the last finished epoch left it, and say where the run stands.

    Args:
        folder: the run's folder, opened by `runs.open_run`.
        unet: the model for a new run, returned as it is where no epoch has finished.
        epochs: number of the last epoch.

    Returns:
        The model, optimizer included, and the number of finished epochs. Where the newest file is
        damaged, an earlier one is taken, with a word.

    Raises:
        ValueError: there are models, but all of them are damaged, or best.keras is and no other
            file holds that epoch.
    """
    known = runs.checkpoints(folder)
    for item in runs.saved_models(folder):
        if item not in known:
            print(f"{workspace.shown(item[1])} is not taken: its row in history.csv is lost")
    for done, path in known:
        try:
            found = keras.models.load_model(path)
        except Exception as error:  # cut off, by a power failure say: Keras raises many kinds
            kind = type(error).__name__
            print(f"{workspace.shown(path)} cannot be read ({kind}); an earlier file is taken")
            continue
        runs.mend_best(folder)  # else its damage would show up in notebook 05
        finished = "finished: another run_name trains anew" if done >= epochs else "resuming"
        print(f"{done} of {epochs} epochs done, {finished}", flush=True)
        return found, done
    if known:
        raise ValueError(
            f"none of the models in {workspace.shown(folder)} can be read; choose another run_name,"
            " or delete this folder to start again"
        )
    print(f"a new run: {epochs} epochs to do", flush=True)
    return unet, 0


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or the stop button during a training; a notebook shows its one sentence alone."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@contextlib.contextmanager
def one_sentence_if_interrupted(folder: Path) -> Iterator[None]:
    """Turn an interrupt into a sentence that says what is safe and how to go on.

    Raises:
        Interrupted: instead of KeyboardInterrupt.
    """
    try:
        yield
    except KeyboardInterrupt:
        done = runs.finished_epochs(folder)
        raise Interrupted(
            f"Interrupted: {done} finished epoch{'s' * (done != 1)} safe in"
            f" {workspace.shown(folder)}. Run this cell again to go on from there."
        ) from None


class EpochSaver(keras.callbacks.Callback):
    """Writes history.csv, best.keras and a checkpoint after each epoch, and last.keras at the end.

    Each file is written beside its place, synced to disk and then moved there, the checkpoint last:
    whenever the run is killed, the newest checkpoint and the rows up to its epoch belong together.
    The last two checkpoints are kept, in case a disk loses the newest. How many epochs are done
    follows from the model's own count of steps.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def on_train_begin(self, logs=None):
        """Check that the model is where the files are; forget what a killed epoch left."""
        done = finished_by(self)
        known = [epoch for epoch, _ in runs.checkpoints(self.folder)]
        if done != 0 and done not in known or done == 0 and known:
            raise RuntimeError(
                f"{workspace.shown(self.folder)} holds {max(known, default=0)} finished epochs, but"
                f" the model has made {done}; take the model that training.resume returns"
            )
        (self.folder / runs.CHECKPOINTS).mkdir(exist_ok=True)
        self.history = {k: v[:done] for k, v in runs.read_history(self.folder).items()}
        for epoch, path in runs.saved_models(self.folder):
            if epoch > done:  # damaged, or its rows are, or resume would have taken it
                path.unlink()

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Write this epoch's row, the model if it is the best so far, and the checkpoint."""
        row = {"epoch": epoch + 1, **logs, "seconds": time.monotonic() - self.started}
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        for name in runs.COLUMNS:
            self.history[name].append(float(row[name]))
        runs.write_history(self.folder, self.history)
        if runs.best_epoch(self.history) == epoch + 1 and math.isfinite(row["val_loss"]):
            self._save("best.keras")
        earlier = sorted((self.folder / runs.CHECKPOINTS).glob("epoch-*.keras"))
        self._save(f"{runs.CHECKPOINTS}/epoch-{epoch + 1:05d}.keras")
        for path in earlier[:-1]:
            path.unlink()

    def on_train_end(self, logs=None):
        """Make the last checkpoint last.keras: the sign of a run that came to its end.

        Where another callback has stopped it early, it can still be taken up.
        """
        kept = sorted((self.folder / runs.CHECKPOINTS).glob("epoch-*.keras"))
        if kept and kept[-1].stem != f"epoch-{self.params['epochs']:05d}":
            return
        if kept:
            os.replace(kept[-1], self.folder / "last.keras")
        shutil.rmtree(self.folder / runs.CHECKPOINTS)

    def _save(self, name: str) -> None:
        with workspace.replacing_file(self.folder / name) as partial:
            self.model.save(partial)


def finished_by(callback: keras.callbacks.Callback) -> int:
    """Return how many epochs the model of a callback has made, as `fit` begins."""
    return int(callback.model.optimizer.iterations) // callback.params["steps"]


def rate_now(model: keras.Model) -> float:
    """Return the learning rate of the next step, also in the middle of an epoch."""
    getattr(model, "jax_state_sync", lambda: None)()  # JAX tells only then what a step changed
    return float(model.optimizer.learning_rate)


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
                f"rate {rate_now(self.model):.3g}: the weights have left the "
                f"range where gradients mean anything. {self.REMEDY}"
            )

    def on_epoch_end(self, epoch, logs=None):
        """Look at the validation loss too: running means can be spoiled while the loss is not."""
        if not math.isfinite(logs.get("val_loss", 0.0)):
            raise FloatingPointError(
                f"the validation loss is {logs['val_loss']} after epoch {epoch + 1}, though the "
                f"training loss is {logs['loss']:.3g}: mixed precision, or normalization whose "
                f"running means ran away. {self.REMEDY}"
            )

    REMEDY = (
        "Try a tenth of the learning rate, precision='float32', or look for masks that are not 0 "
        "and 1; use another run_name"
    )


def probe(model: keras.Model, images: np.ndarray) -> dict:
    """Look for a grey prediction: the same probability everywhere.

    Args:
        model: from `build_unet`.
        images: (N, S, S, 1) float32 in [0, 1].

    Returns:
        min and max of the predicted probability; layer, the name of the last ReLU layer; active,
        the share of that layer's filters that are above zero at any pixel of any image, in [0, 1].
    """
    features = model.layers[-1].input
    # called, not `predict`ed: each call would trace anew, and TensorFlow warn of it
    outputs = keras.Model(model.input, [features, model.output])(images)
    active = (np.asarray(outputs[0]) > 0).any(axis=(0, 1, 2)).mean()
    low, high = float(np.min(outputs[1])), float(np.max(outputs[1]))
    return {"min": low, "max": high, "layer": model.layers[-2].name, "active": float(active)}


def watched() -> bool:
    """Return whether a person is looking: JupyterLab, VS Code or Colab, not papermill or nbval."""
    signs = ("JPY_SESSION_NAME", "VSCODE_PID")
    return any(sign in os.environ for sign in signs) or "google.colab" in sys.modules


class Progress(keras.callbacks.Callback):
    """One line for each epoch, and for a person a live bar with loss, Dice and time left below.

    Args:
        epochs: number of the last epoch.
        live: show the bar; by default as `watched` says.
    """

    bar = None

    def __init__(self, *, epochs: int, live: bool | None = None):
        super().__init__()
        self.epochs, self.live = epochs, watched() if live is None else live

    def on_train_begin(self, logs=None):
        """Open the bar over all steps of all epochs; an interrupted one is closed first."""
        if self.bar is not None:
            self.bar.leave = False
            self.bar.close()
        total, done = (n * self.params["steps"] for n in (self.epochs, finished_by(self)))
        idle = not self.live or done >= total
        self.bar = tqdm(
            total=total, initial=done, unit="step", file=sys.stdout, disable=idle,
            position=0, desc="compiling the first step", ncols=96,
        )  # fmt: skip
        self.shown = {}

    def on_train_batch_end(self, batch, logs=None):
        """Move the bar."""
        if self.live:
            self.bar.set_description("training", refresh=False)
            self.shown |= {name: f"{logs[name]:.3f}" for name in ("loss", "dice")}
            self.bar.set_postfix(self.shown, refresh=False)
            self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Print the epoch's line, above the bar where there is one."""
        self.shown["val_dice"] = f"{logs['val_dice']:.3f}"
        tqdm.write(
            f"epoch {epoch + 1}/{self.epochs}  loss {logs['loss']:.3f}  dice {logs['dice']:.3f}"
            f"  validation loss {logs['val_loss']:.3f}  dice {logs['val_dice']:.3f}",
            file=sys.stdout,
        )
        sys.stdout.flush()

    def on_train_end(self, logs=None):
        """Close the bar."""
        self.bar.close()
