"""What a training would cost on this machine: ten steps, timed."""

import os
import time

import numpy as np

from unet_lib import architecture, experiments, losses

_STEPS = 10


def measure(*, image_size: int, batch_size: int, loss: str, **model: object) -> tuple[float, float]:
    """Train a fresh model on noise for ten steps, after one that compiles it.

    Args:
        image_size: px.
        batch_size: pairs a step.
        loss: a key of `losses.LOSSES`.
        **model: options of `build_unet`.

    Returns:
        Seconds a step, and the memory of this process in MB, largest so far.
    """
    if loss not in losses.LOSSES:
        raise ValueError(f"loss must be one of {', '.join(losses.LOSSES)}, got {loss!r}")
    unet = architecture.build_unet(image_size, **model)
    experiments.compile_unet(
        unet, loss=loss, learning_rate=1e-3, schedule="constant", total_steps=_STEPS, metrics=False
    )
    noise = np.random.default_rng(0)
    shape = (batch_size, image_size, image_size, 1)
    images, masks = noise.random(shape, np.float32), noise.integers(0, 2, shape).astype(np.float32)
    unet.train_on_batch(images, masks)
    start = time.perf_counter()
    for _ in range(_STEPS):
        unet.train_on_batch(images, masks)
    return (time.perf_counter() - start) / _STEPS, largest_memory()


def largest_memory() -> float:
    """Return the largest resident memory of this process so far in MB; NaN where unknown."""
    if os.name != "posix":
        return float("nan")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if os.uname().sysname == "Darwin" else 2**10)
