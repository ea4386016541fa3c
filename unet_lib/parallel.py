"""One training on several processes: who reads which pairs, who writes, and what they share.

Each process has a device of its own and a copy of the weights. Keras on JAX computes each step as
one process with the whole batch would: loss, gradient, batch normalization and dropout are those of
the whole batch. `workflow/train.py` is the program; notebook 11 explains it.
"""

import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from unet_lib import batches, datasets, experiments, runs, training, workspace

SETTINGS = (
    "dataset", "image_size", "batch_size", "learning_rate", "epochs", "seed",
    *experiments.LAYERS, "loss",
    "schedule", "augment", "augmentation_strength", "precision", "flip",
)  # fmt: skip
DATA = ("source", "phantoms", "phantom_masks", "val_fraction", "split_seed", "split")


def join() -> tuple[int, int]:
    """Join the other processes of this training; call it before anything is computed.

    Who they are is read from KERAS_DISTRIBUTION_JOB_ADDRESSES, KERAS_DISTRIBUTION_NUM_PROCESSES and
    KERAS_DISTRIBUTION_PROCESS_ID, or from what srun sets. Without either this process is alone,
    with all devices of its machine.

    Returns:
        The number of this process, from 0, and how many there are.

    Raises:
        RuntimeError: Keras runs on another backend than JAX.
    """
    if keras.backend.backend() != "jax":
        raise RuntimeError(
            "training on several processes needs Keras on JAX, got the backend"
            f" {keras.backend.backend()!r}; set KERAS_BACKEND=jax (pip install -e '.[scale]')"
        )
    batches.stay_on_cpu()
    if expected() > 1:
        keras.distribution.initialize()
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    return distribution.data_shard_id, distribution.num_processes


def expected() -> int:
    """Return how many processes the launcher has announced, 1 without one."""
    names = ("KERAS_DISTRIBUTION_NUM_PROCESSES", "SLURM_STEP_NUM_TASKS")
    return int(next((os.environ[name] for name in names if name in os.environ), 1))


def train(values: dict[str, object], part: tuple[int, int]) -> Path:
    """Train as notebook 04 does, on several processes; a run that was interrupted is taken up.

    A training is the same however many processes share it, up to rounding; so it may be taken up
    by fewer or more. It sees full batches only, so that each process always has as much to do.

    Args:
        values: all parameters of notebook 04. `batch_size` is that of all processes together.
        part: from `join`.

    Returns:
        The run's folder, which notebook 05 evaluates.

    Raises:
        ValueError: batch_size cannot be shared equally, or there are fewer pairs.
    """
    folder, run = workspace.data_dir(values["dataset"]), workspace.run_dir(values["run_name"])
    manifest = datasets.load_manifest(folder)
    datasets.require(manifest, **{name: values[name] for name in DATA})
    names, epochs = datasets.class_names(manifest), values["epochs"]
    ids = datasets.used_ids(manifest, values["training_pairs"])
    make, steps = _maker(values, names, count=len(ids[0]))
    train_pairs, val_pairs = _open(values, manifest, ids, part)
    unet, done = training.resume(run, make(), epochs=epochs)
    stream = batches.training_batches(
        *train_pairs, batch_size=values["batch_size"], epochs=epochs, seed=values["seed"],
        first_epoch=done, augment=experiments.augmenter(values, classes=names),
        full_batches=True, part=part,
    )  # fmt: skip
    own = values["batch_size"] // part[1]
    judge = Validation(*val_pairs, batch_size=own, part=part, make=make)
    watching = [training.SeedDropout(values["seed"]), judge, training.StopOnNaN()]
    if part[0] == 0:
        watching += [Saver(run), training.Progress(epochs=epochs)]
    if done < epochs:  # Keras on JAX wants a batch even for no epoch
        unet.fit(
            stream, epochs=epochs, initial_epoch=done, steps_per_epoch=steps, shuffle=False,
            callbacks=watching, verbose=0,
        )  # fmt: skip
    if part[0] == 0:
        facts = {"model_parameters": unet.count_params(), "parts": values["parts"]}
        runs.close_run(run, **facts, processes=part[1])
    _wait_for_all("closed")
    return run


def _maker(values: dict, names: list[str], *, count: int) -> tuple[Callable, int]:
    """Return what builds and compiles the model, always the same, and the steps of an epoch."""
    if count < values["batch_size"]:
        raise ValueError(
            f"batch_size must be at most {count}, the number of training pairs, for only full"
            f" batches are used; got {values['batch_size']}"
        )
    steps = count // values["batch_size"]
    keras.config.set_dtype_policy(values["precision"])

    def make() -> keras.Model:
        keras.utils.set_random_seed(values["seed"])
        return experiments.build(values, total_steps=values["epochs"] * steps, classes=names)

    return make, steps


def _open(values: dict, manifest: dict, ids: tuple, part: tuple[int, int]) -> list[tuple]:
    """Open run and arrays: the first process makes what is missing, then all read it."""
    folder, run = workspace.data_dir(values["dataset"]), workspace.run_dir(values["run_name"])
    if part[0] == 0:
        settings = {name: values[name] for name in SETTINGS} | {"full_batches": True}
        settings |= {"classes": names} if (names := datasets.class_names(manifest)) else {}
        few = values["training_pairs"]
        settings |= {"training_pairs": few} if few else {}
        runs.open_run(run, parameters=settings, data_sha256=manifest["data_sha256"])

    def open_all() -> list[tuple]:
        size = values["image_size"]
        return [batches.open_arrays(folder, names, image_size=size) for names in ids]

    pairs = open_all() if part[0] == 0 else None
    _wait_for_all("arrays")
    return pairs or open_all()


class Validation(keras.callbacks.Callback):
    """Measures the validation pairs after each epoch: each process a share, without the others.

    `fit(validation_data=...)` would need equal shares. These may differ by one pair, and the mean
    is that of all pairs. Stands before the callbacks that read `val_loss`.

    Args:
        images: (N, S, S) uint8 in [0, 255], all validation pairs.
        masks: (N, S, S) uint8 in {0, 1}, or numbers of classes.
        batch_size: pairs per batch of one process.
        part: number of this process, and how many there are.
        make: builds and compiles a model like the one that is trained.
    """

    def __init__(self, images, masks, *, batch_size: int, part: tuple[int, int], make: Callable):
        super().__init__()
        rows = slice(*(len(images) * (part[0] + end) // part[1] for end in (0, 1)))
        self.count = rows.stop - rows.start
        self.pairs = batches.evaluation_batches(images[rows], masks[rows], batch_size=batch_size)
        with _alone():
            self.judge = make()

    def on_epoch_end(self, epoch, logs=None):
        """Put val_loss, val_accuracy and val_dice into the logs."""
        names, told = ("loss", "accuracy", "dice"), {}
        with _alone():
            self.judge.set_weights(self.model.get_weights())
            if self.count:
                told = self.judge.evaluate(self.pairs, verbose=0, return_dict=True)
        *sums, count = _gather([*(self.count * told.get(n, 0) for n in names), self.count]).sum(0)
        logs.update({f"val_{n}": float(s / count) for n, s in zip(names, sums, strict=True)})


class Saver(training.EpochSaver):
    """An `EpochSaver` for the one process that writes."""

    def _save(self, name: str) -> None:
        with _alone():  # Keras makes variables while it saves; shared ones would wait for others
            super()._save(name)


class _alone:
    """Inside, this process computes without the others."""

    def __enter__(self):
        self.distribution = keras.distribution.distribution()
        keras.distribution.set_distribution(None)

    def __exit__(self, *error):
        keras.distribution.set_distribution(self.distribution)


def _wait_for_all(what: str) -> None:
    """Wait until every process is here; `what` is the same word in each."""
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices(what)


def _gather(numbers: list[float]) -> np.ndarray:
    """Return the numbers of all processes, (P, len(numbers)) float32."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(np.array(numbers, np.float32)))
