"""A training is timed by ten of its steps."""

import os

import keras
import pytest

from unet_lib.series import probe

MODEL = {"head": "direct", "normalization": "batch", "standardize": True}


def test_ten_steps_are_timed_after_one_that_compiles(monkeypatch):
    steps, clock = [], iter([100.0, 105.0])
    real = keras.Model.train_on_batch

    def step(model, images, masks):
        steps.append((images.shape, images.dtype, set(map(float, masks.ravel()[:99]))))
        return real(model, images, masks)

    monkeypatch.setattr(keras.Model, "train_on_batch", step)
    monkeypatch.setattr(probe.time, "perf_counter", lambda: next(clock))
    seconds, memory = probe.measure(image_size=32, batch_size=2, loss="bce_dice", **MODEL)
    assert seconds == 0.5 and len(steps) == 11
    assert steps[0] == ((2, 32, 32, 1), "float32", {0.0, 1.0})
    assert memory == pytest.approx(probe.largest_memory(), rel=0.2)


def test_memory_is_that_of_this_process():
    """TensorFlow alone takes more than 100 MB; a mistake of the unit is a factor of 1024."""
    if os.name != "posix":
        pytest.skip("only POSIX tells")
    assert 100 < probe.largest_memory() < 50_000


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="loss must be one of .*bce.*, got 'mse'"):
        probe.measure(image_size=32, batch_size=2, loss="mse")
