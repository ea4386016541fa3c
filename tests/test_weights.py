"""The shipped model: opens alone, is small, says the same everywhere, and finds lungs."""

import re
import zipfile

import cv2
import keras
import numpy as np
import pytest

from unet_lib import metrics, phantom, pixels, prediction, workspace

PATH = workspace.PROJECT / "unet_lib" / "weights" / "lungs.keras"
FIXTURES = workspace.PROJECT / "tests" / "fixtures"


@pytest.fixture(scope="module")
def unet():
    return keras.models.load_model(PATH, compile=False)


def logits(unet, square):
    """What the last layer hands to its sigmoid: (S, S) float32."""
    before = keras.Model(unet.input, unet.layers[-1].input)
    kernel, bias = unet.layers[-1].get_weights()
    features = before.predict_on_batch(pixels.to_float(square[np.newaxis]))[0]
    return features @ kernel[0, 0, :, 0] + bias[0]


def test_the_file_is_small_and_holds_no_optimizer(unet):
    assert PATH.stat().st_size <= 8_000_000
    assert set(zipfile.ZipFile(PATH).namelist()) == {
        "metadata.json", "config.json", "model.weights.h5"}
    assert getattr(unet, "optimizer", None) is None
    assert unet.count_params() <= 1_941_093


def test_older_versions_of_keras_find_nothing_new_in_the_file():
    """HeNormal of Keras 3.15 has settings that 3.10 refuses; `make test OLDEST=1` opens it."""
    text = zipfile.ZipFile(PATH).read("config.json").decode()
    found = re.findall(r'"keras.initializers", "class_name": "(\w+)", "config": ({[^}]*})', text)
    assert set(found) == {("Zeros", "{}"), ("Ones", "{}")}


def test_it_is_made_of_keras_own_layers_alone():
    """So that `keras.models.load_model` opens it where there is no `unet_lib`."""
    text = zipfile.ZipFile(PATH).read("config.json").decode()
    modules = set(re.findall(r'"module": "([^"]*)"', text))
    assert modules and all(module.split(".")[0] == "keras" for module in modules)
    assert not re.search(r'"registered_name": "[^"]*>', text)


def test_input_and_output_are_fixed(unet):
    side = unet.input_shape[1]
    assert side % 16 == 0
    assert unet.input_shape == unet.output_shape == (None, side, side, 1)


def test_the_logits_of_one_phantom_are_the_stored_ones(unet):
    """Both files come from tools/make_weights.py; versions and processors round differently."""
    square = cv2.imread(str(FIXTURES / "lungs_phantom.png"), cv2.IMREAD_UNCHANGED)
    assert np.allclose(logits(unet, square), np.load(FIXTURES / "lungs_logits.npy"), atol=1e-3)


@pytest.mark.parametrize("variety, bound", [("usual", .94), ("wide", .91)])
def test_it_finds_the_lungs_of_phantoms_it_was_not_trained_on(unet, variety, bound):
    drawn = [phantom.draw([77, k], size=256, variety=variety) for k in range(20)]
    found = prediction.predict_all(unet, (image for image, _, _ in drawn))
    scores = [metrics.dice(m > 0, p >= 0.5) for (_, m, _), p in zip(drawn, found, strict=True)]
    assert np.mean(scores) > bound


def test_it_can_be_predicted_with_however_bright_the_picture_is(unet):
    image, mask, _ = phantom.draw([77, 0], size=256)
    for change in (image // 2, 128 + image // 2):
        assert metrics.dice(mask > 0, prediction.predict(unet, change) >= 0.5) > .9
