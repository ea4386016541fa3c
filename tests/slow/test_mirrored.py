"""tf.distribute.MirroredStrategy on two logical CPU devices, beside one device."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from unet_lib import workspace

SCRIPT = Path(__file__).with_name("mirrored.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    file = tmp_path_factory.mktemp("mirrored") / "found.json"
    done = subprocess.run([sys.executable, SCRIPT, file], cwd=workspace.PROJECT,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(file.read_text())


@pytest.mark.parametrize("name", ["none", "synchronized"])
def test_two_devices_train_as_one(found, name):
    """Losses of two epochs and of the validation to five digits, all weights to four."""
    got = found[name]
    assert len(got["one"]) == 4 and all(map(math.isfinite, got["two"]))
    assert got["two"] == pytest.approx(got["one"], abs=1e-5)
    assert got["gap"] < 1e-4 < got["moved"] / 10


def test_batch_normalization_must_be_synchronized(found):
    """Else each device normalizes by its own share: finite, but another training."""
    assert all(map(math.isfinite, found["batch"]["two"])) and found["batch"]["gap"] > 1e-2


def test_a_batch_too_small_for_all_devices_is_an_error(found):
    """So batches are full ones; Keras and TensorFlow do not work out what to do."""
    assert "input depth must be evenly divisible" in found["uneven"]
