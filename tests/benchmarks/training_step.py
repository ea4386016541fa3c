"""How fast is a training step, and what does the house add to it? Run alone: `make bench`.

The model at 512 px, batch 10. One table, every ratio within this run: a matrix product as
the machine's own measure; `train_on_batch` on one batch held in memory; `fit` as notebook 04 calls
it (pipeline, callbacks, progress); the augmented pipeline alone; the step in bfloat16.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the bootstrap cell does
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np

from unet_lib import architecture, batches, experiments, phantom, runs, training
from unet_lib.augmentation import Augmentation
from unet_lib.intake import prepare

SIZE, BATCH, STEPS = 512, 10, 5
GFLOP = 3 * 2 * 13.74 * BATCH  # notebook 03 counts 13.74 GMAC forward; backward costs twice that


class Clock(keras.callbacks.Callback):
    """Notes when each step ends."""

    def on_train_begin(self, logs=None):
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(time.perf_counter())


def compiled() -> keras.Model:
    keras.utils.set_random_seed(0)
    unet = architecture.build_unet(SIZE)
    options = {"learning_rate": 1e-4, "schedule": "constant", "total_steps": STEPS + 1}
    experiments.compile_unet(unet, loss="bce", **options)
    return unet


def matmul(dtype: str = "float32", side: int = 4096) -> float:
    """Return the GFLOP/s of a product of two square matrices, the best of five."""
    a, b = (keras.random.uniform((side, side), seed=k, dtype=dtype) for k in (0, 1))
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        float(keras.ops.matmul(a, b)[0, 0])  # waits for the result
        seconds.append(time.perf_counter() - started)
    return 2e-9 * side**3 / min(seconds[1:])


def bare(batch) -> float:
    """Return the median seconds of a step on one batch, after a first one that compiles."""
    unet, ends = compiled(), []
    for _ in range(STEPS + 1):
        unet.train_on_batch(*batch)
        ends.append(time.perf_counter())
    return float(np.median(np.diff(ends)))


def whole(arrays, run: Path) -> float:
    """Return the median seconds of a step inside fit, with what the library adds in notebook 04."""
    unet, clock = compiled(), Clock()
    runs.open_run(run, parameters={}, data_sha256="")
    stack = batches.training_batches(*arrays, batch_size=BATCH, epochs=1, seed=0)
    unet.fit(
        stack, epochs=1, steps_per_epoch=STEPS + 1, shuffle=False, verbose=0,
        validation_data=batches.evaluation_batches(arrays[0][:4], arrays[1][:4], batch_size=4),
        callbacks=[
            training.SeedDropout(0), training.StopOnNaN(), training.EpochSaver(run),
            training.Progress(epochs=1), clock,
        ],
    )  # fmt: skip
    return float(np.median(np.diff(clock.ends)))


def pipeline(arrays) -> float:
    """Return the pairs per second that the augmented pipeline delivers by itself."""
    options = {"batch_size": BATCH, "epochs": 1, "seed": 0, "augment": Augmentation()}
    stream = iter(batches.training_batches(*arrays, **options))
    next(stream)
    start = time.perf_counter()
    count = sum(len(image) for image, _ in stream)
    return count / (time.perf_counter() - start)


def half_step(batch, step: float) -> None:
    """Time the step in bfloat16, if the processor is faster in it than in float32."""
    halves, singles = matmul("bfloat16", side=1024), matmul(side=1024)
    if halves < singles:
        print(f"bfloat16: a product at {halves:.0f} GFLOP/s, in float32 {singles:.0f}; "
              "nothing to gain on this processor, so the step is not timed")  # fmt: skip
        return
    keras.config.set_dtype_policy("mixed_bfloat16")
    half = bare(batch)
    print(f"the same in bfloat16  {half:6.2f} s per step, {half / step:.2f} of float32")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        phantom.write_primary_tree(root / "source", train=(STEPS + 1) * BATCH + 10, test=1)
        manifest = prepare.restructure(root / "source", root / "data", val_fraction=0.1)
        ids = manifest["split"]["train"][: (STEPS + 1) * BATCH]
        arrays = batches.open_arrays(root / "data", ids, image_size=SIZE)
        stream = batches.training_batches(*arrays, batch_size=BATCH, epochs=1, seed=0)
        batch = next(stream.as_numpy_iterator())
        peak = matmul()
        print(f"matrix product        {peak:6.0f} GFLOP/s in float32", flush=True)
        step = bare(batch)
        print(f"bare train_on_batch   {step:6.2f} s per step of {BATCH} at {SIZE} px, "
              f"{GFLOP / step:.0f} GFLOP/s, {GFLOP / step / peak:.0%} of the product (aim: 75 %)",
              flush=True)  # fmt: skip
        fitted = whole(arrays, root / "run")
        print(f"fit as in notebook 04 {fitted:6.2f} s per step, {fitted / step:.3f} of the bare one"
              " (aim: at most 1.10)", flush=True)  # fmt: skip
        delivered = pipeline(arrays)
        print(f"augmented pipeline    {delivered:6.1f} images/s, {delivered * step / BATCH:.1f} "
              "times what the step consumes (aim: 5)", flush=True)  # fmt: skip
        half_step(batch, step)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory           {peak:6.1f} GB")


if __name__ == "__main__":
    main()
