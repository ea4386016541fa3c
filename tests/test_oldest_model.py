"""A model that the oldest supported Keras saved is read by the one that is installed.

tests/fixtures/make_oldest.py made both files and says when to make them again.
"""

import json
import tomllib
from pathlib import Path

import keras
import numpy as np
import pytest

import unet_lib.losses  # noqa: F401  registers the functions that the file names
from unet_lib import workspace

FOLDER = Path(__file__).parent / "fixtures"
FOUND = json.loads((FOLDER / "oldest.json").read_text("utf-8"))
IMAGES = np.random.default_rng(0).random((2, 16, 16, 1), "float32")


@pytest.mark.parametrize("compile", [True, False])
def test_model_of_the_oldest_keras_predicts_as_it_did(compile):
    unet = keras.models.load_model(FOLDER / "oldest.keras", compile=compile)
    prediction = unet.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(prediction.ravel(), FOUND["prediction"], rtol=0, atol=1e-5)


def test_model_of_the_oldest_keras_scores_as_it_did_and_can_be_trained_on():
    unet = keras.models.load_model(FOLDER / "oldest.keras")
    masks = (IMAGES > 0.5).astype("float32")
    scores = unet.evaluate(IMAGES, masks, verbose=0, return_dict=True)
    assert scores == pytest.approx(FOUND["scores"], abs=1e-4)
    assert int(unet.optimizer.iterations) == 30
    unet.fit(IMAGES, masks, epochs=20, verbose=0)
    assert unet.evaluate(IMAGES, masks, verbose=0, return_dict=True)["loss"] < scores["loss"]


def test_the_file_comes_from_the_lower_bound_and_is_small():
    ranges = tomllib.loads((workspace.PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    (bound,) = (r.partition(">=")[2] for r in ranges["dependencies"] if r.startswith("keras"))
    assert FOUND["keras"].startswith(f"{bound}."), "see tests/fixtures/make_oldest.py"
    assert sum(path.stat().st_size for path in FOLDER.glob("oldest.*")) < 60_000
