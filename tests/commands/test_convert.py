"""What is converted, and what is written beside it, without the packages that convert.

The files themselves: tests/slow/test_export.py
"""

import json
import logging
import os
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from made_models import small

from unet_lib import architecture, phantom
from unet_lib.commands import convert, runtimes, usual


def test_standardization_in_steps_is_the_same_and_survives_a_naive_sum():
    """Means of 16 x 16 px first; what is added up one by one stays short."""
    unet = architecture.build_unet(512, width=2, standardize=True)
    steady = convert._steady(unet)
    image = phantom.draw(5, size=512)[0][None, :, :, None].astype(np.float32) / 255
    assert steady.predict_on_batch(image) == pytest.approx(unet.predict_on_batch(image), abs=1e-5)
    kinds = [type(layer).__name__ for layer in steady.layers]
    assert "GroupNormalization" not in kinds and kinds.count("Lambda") == 1
    said = keras.Model(steady.input, steady.layers[1].output).predict_on_batch(image)
    exact = (image - image.mean(dtype=float)) / image.std(dtype=float)
    assert said == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("options", [{"normalization": "batch"}, {"head": "direct"}])
def test_other_models_are_converted_as_they_are(options):
    unet = small(**options)
    kinds = [[type(layer).__name__ for layer in each.layers]
             for each in (unet, convert._steady(unet))]
    assert kinds[0] == kinds[1]

@pytest.mark.parametrize("shape", [(24, 24, 1), (16, 24, 1), (24, 16, 1), (16, 16, 2)])
def test_a_standardization_that_has_no_such_steps_stays(shape):
    inputs = keras.Input(shape)
    layer = keras.layers.GroupNormalization(groups=1, scale=False, center=False)
    steady = convert._steady(keras.Model(inputs, layer(inputs)))
    assert type(steady.layers[-1]) is keras.layers.GroupNormalization


# ------------------------------------------------------------------------- which Keras


@pytest.mark.parametrize("version, good", [
    ("3.9.1", False), ("3.14.9", False), ("3.15.0", True), ("3.15", True), ("3.16.2", True),
    ("4.0.0", True), ("2.99", False),
])
def test_keras_3_15_is_the_first_that_exports(version, good, monkeypatch):
    monkeypatch.setattr(keras, "__version__", version)
    if good:
        convert.check_keras()
    else:
        with pytest.raises(ValueError, match=f"needs Keras 3.15 or newer, found {version}; pip"):
            convert.check_keras()


def test_keras_on_another_backend_does_not_export(monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.15.0")
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="needs Keras on TensorFlow, found it on jax; leave out"):
        convert.check_keras()


# ------------------------------------------------------------------------- what stands beside it


def described(folder, *, classes=(), **known):
    """Describe what passes for a file of 32 px; return what stands beside it."""
    path, source = folder / "x.xml", folder / "run.keras"
    for part in (path, path.with_suffix(".bin"), source):
        part.write_text(part.name)
    unet = SimpleNamespace(input_shape=(None, 32, 32, 1),
                           output_shape=(None, 32, 32, 1 + len(classes)))
    limits = usual.Limits(area=(0.1, 0.4), keep=2, sizes=(32, 64))
    convert.describe(path, unet, source, limits=limits, classes=classes, **known)
    return json.loads((folder / "x.xml.json").read_text("utf-8")), limits


def test_a_model_is_described_for_those_who_have_no_keras(tmp_path):
    about, limits = described(tmp_path, parity={"dice": 1})
    assert (about["format"], about["precision"], about["parity"]) == (
        "openvino", "float32", {"dice": 1})
    assert about["input"]["shape"] == about["output"]["shape"] == [None, 32, 32, 1]
    assert about["input"]["dtype"] == about["output"]["dtype"] == "float32"
    assert about["input"]["range"] == about["output"]["range"] == [0, 1]
    assert (about["threshold"], about["keep"], about["output"]["classes"]) == (0.5, 2, [])
    assert about["output"]["meaning"] == "probability of the foreground"
    assert about["usual"]["area"] == [0.1, 0.4]
    assert about["usual"]["sizes"] is None and limits.sizes == (32, 64)  # one file, one size
    assert about["sha256"] == runtimes.digest(tmp_path / "x.xml")
    assert about["source"] == {
        "file": "run.keras", "sha256": runtimes.digest(tmp_path / "run.keras")}
    assert about["versions"]["keras"] == keras.__version__


def test_of_several_classes_the_most_probable_counts(tmp_path):
    about, _ = described(tmp_path, classes=("right", "left"), precision="int8")
    assert (about["threshold"], about["precision"]) == (None, "int8")
    assert about["output"]["classes"] == ["right", "left"]
    assert about["output"]["shape"] == [None, 32, 32, 3]
    assert about["mask"] == "the most probable class"


def test_versions_are_those_of_what_writes_a_format(tmp_path, monkeypatch):
    known = {"keras": "3.15", "tensorflow": "2.20", "openvino": "1", "nncf": None, "onnx": "5"}
    monkeypatch.setattr(convert.bootstrap, "installed_version", known.get)
    about, _ = described(tmp_path)
    assert about["versions"] == {"keras": "3.15", "tensorflow": "2.20", "openvino": "1"}


# ------------------------------------------------------------------------- converters talk much


def test_converters_are_silent_and_what_fails_is_raised(capfd):
    log = logging.getLogger("converter")
    with pytest.raises(ZeroDivisionError), convert.silence():
        print("said")
        warnings.warn("warned", stacklevel=1)  # an error in this project's tests
        os.write(2, b"said by C++")
        assert not log.isEnabledFor(logging.WARNING) and log.isEnabledFor(logging.ERROR)
        raise ZeroDivisionError
    assert capfd.readouterr() == ("", "")
    print("again")
    os.write(2, b"again")
    assert capfd.readouterr() == ("again\n", "again") and log.isEnabledFor(logging.WARNING)


def test_progress_of_a_converter_leaves_no_box_in_a_notebook(monkeypatch, capsys):
    """What rich draws there goes past stdout, as an output of its own."""
    rich = pytest.importorskip("rich")
    shown, console = [], rich.get_console()
    monkeypatch.setattr("rich.jupyter.display", lambda segments, text: shown.append(text))
    monkeypatch.setattr(console, "is_jupyter", True)
    rich.print("before")
    with convert.silence(), convert.plain_progress():
        rich.print("progress")
    assert shown == ["before\n"] and console.is_jupyter
    assert "progress" not in capsys.readouterr().out
