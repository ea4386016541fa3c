"""Architecture, losses, metrics and training on Keras' JAX backend, beside TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from unet_lib import workspace

pytest.importorskip("jax", reason="JAX is not installed: pip install -e '.[scale]'")
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where JAX keeps what it has compiled, so that the next process need not."""
    return {"JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("jax")),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


def call(backend, *command, **settings):
    done = subprocess.run(
        [sys.executable, *command], cwd=workspace.PROJECT, capture_output=True, text=True,
        env={**os.environ, "KERAS_BACKEND": backend, **settings},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_logits_losses_and_one_step_are_those_of_tensorflow(tmp_path, cache):
    """float32 on both sides: what differs is the order of additions.

    Tolerance: a ten thousandth of the greatest number, or of 1.
    """
    told = []
    for backend in ("tensorflow", "jax"):
        call(backend, HERE / "one_step.py", tmp_path / backend, **cache)
        told.append(dict(np.load(tmp_path / f"{backend}.npz")))
    first, second = told
    assert first.pop("backend") == "tensorflow" and second.pop("backend") == "jax"
    assert set(first) == set(second) and len(first) > 60
    far = {name: np.abs(first[name] - second[name]).max() / max(1, np.abs(first[name]).max())
           for name in first}
    assert {name: gap for name, gap in far.items() if not gap < 1e-4} == {}
    started = [name for name in first if name.startswith("0/w")]
    assert any(np.abs(first[name]).max() > 0.1 for name in started)


# Without the finished run that trains no further: Keras on JAX wants a batch even for no epoch.
TRAINING = (
    "killed_run or leaves_history or lowest_validation or an_interrupt or rows_written"
    " or longer_run_from or nan or damaged_checkpoint or not_fit_the_files"
)


def test_the_tests_of_losses_metrics_and_training_pass_on_jax(cache):
    """Files, resuming, the killed run that ends bit for bit like a whole one, alarms."""
    tests = ("-m", "pytest", "-q", "-x")
    call("jax", *tests, "tests/test_losses.py", "tests/test_metrics.py", **cache)
    said = call("jax", *tests, "tests/test_training.py", "-k", TRAINING, **cache)
    assert "skipped" not in said
