"""`--model` names files and runs; several count together."""

import json

import keras
import numpy as np
import pytest

from unet_lib import workspace
from unet_lib.commands import models, pieces


def save(path, *, scale=-1.0, offset=1.0, side=16, channels=1):
    inputs = keras.Input((side, side, 1))
    outputs = keras.layers.Rescaling(scale, offset)(inputs)
    if channels > 1:
        outputs = keras.layers.Softmax()(keras.layers.Concatenate()([outputs] * channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    keras.Model(inputs, outputs).save(path)
    return path


def finish(run):
    folder = workspace.run_dir(run)
    save(folder / "best.keras")
    asked = {"epochs": 1, "dataset": "gone"}
    record = {"status": "finished", "parameters": asked, "data_sha256": "0"}
    workspace.write_json(folder / "run.json", record)
    return folder


IMAGE = np.full((40, 30), 51, np.uint8)  # a fifth of white


def test_the_shipped_model_is_the_default():
    assert models.load(None).models[0].input_shape == (None, 128, 128, 1)


def test_a_file(tmp_path):
    together = models.load(str(save(tmp_path / "a.keras")))
    assert together.side == 16
    assert models.predict(together, IMAGE) == pytest.approx(np.full((40, 30), 0.8), abs=1e-6)


def test_a_run_by_its_name_and_by_its_folder(tmp_path):
    folder = finish("mine")
    assert models.load("mine").digest == models.load(str(folder)).digest


def test_several_are_averaged_at_the_pictures_size(tmp_path):
    finish("mine")
    save(tmp_path / "b.keras", scale=1.0, offset=0.0, side=32)
    together = models.load("mine, b.keras")
    assert together.side == 16
    assert models.predict(together, IMAGE) == pytest.approx(np.full((40, 30), 0.5), abs=1e-6)
    assert together.digest != models.load("mine").digest


def test_a_comma_in_a_files_name(tmp_path):
    save(tmp_path / "a,b.keras")
    assert len(models.load("a,b.keras").models) == 1


def test_the_digest_is_that_of_the_contents(tmp_path):
    first = models.load(str(save(tmp_path / "a.keras")))
    (tmp_path / "c.keras").write_bytes((tmp_path / "a.keras").read_bytes())
    assert models.load("c.keras").digest == first.digest
    save(tmp_path / "a.keras", scale=-0.9)
    assert models.load("a.keras").digest != first.digest


def test_what_is_not_there_is_refused_with_what_is(tmp_path):
    finish("mine")
    with pytest.raises(FileNotFoundError, match="--model 'main' is neither a .keras file nor a run"
                                                r".*there are: mine"):
        models.load("main")


def test_an_unfinished_run_is_refused(tmp_path):
    folder = finish("mine")
    record = json.loads((folder / "run.json").read_text("utf-8"))
    workspace.write_json(folder / "run.json", record | {"status": "running"})
    with pytest.raises(FileNotFoundError, match="run 'mine' has not finished"):
        models.load("mine")


def test_models_of_two_tasks_are_no_mean(tmp_path):
    save(tmp_path / "a.keras")
    save(tmp_path / "b.keras", channels=3)
    with pytest.raises(ValueError, match=r"names models of \[1, 3\] channels"):
        models.load("a.keras,b.keras")


@pytest.mark.parametrize("channels, activation, told", [
    (1, None, "gives values from -"), (1, "tanh", "gives values from -"),
    (2, "sigmoid", r"sums over its 2 channel\(s\) are"), (1, "nan", "gives values from nan"),
])
def test_a_model_that_gives_no_probabilities_is_refused(tmp_path, channels, activation, told):
    inputs = keras.Input((16, 16, 1))
    known = None if activation == "nan" else activation
    layer = keras.layers.Conv2D(channels, 1, activation=known)
    model = keras.Model(inputs, layer(inputs))
    kernel = np.full((1, 1, 1, channels), np.nan if activation == "nan" else -3.0)
    layer.set_weights([kernel, np.ones(channels)])
    model.save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match=f"{told}.*end the model with a sigmoid"):
        models.load("a.keras")


@pytest.mark.parametrize("asked", ["a.keras,", ",", "a.keras, ,a.keras"])
def test_an_empty_name_is_not_the_current_folder(tmp_path, asked):
    save(tmp_path / "a.keras")
    with pytest.raises(ValueError, match="has an empty name; write as in 'a.keras,b.keras'"):
        models.load(asked)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "saved/variables").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="'saved' is a folder without a run.json"):
        models.load("saved")


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "x.keras").write_text("hello")
    with pytest.raises(ValueError, match="x.keras"):
        models.load("x.keras")


@pytest.mark.parametrize("shape, tiled", [((128, 128), False), ((129, 20), True)])
def test_tiles_begin_above_four_times_the_models_side(tmp_path, monkeypatch, shape, tiled):
    together, called = models.load(str(save(tmp_path / "a.keras", side=32))), []
    real = pieces.predict
    monkeypatch.setattr(pieces, "predict", lambda *a, **k: called.append(1) or real(*a, **k))
    image = np.full(shape, 51, np.uint8)
    probability = models.predict(together, image, tiles=True)
    assert probability == pytest.approx(np.full(shape, 0.8), abs=1e-6) and bool(called) is tiled
    models.predict(together, image)
    assert bool(called) is tiled


def test_the_mask_reaches_its_threshold(tmp_path):
    together = models.load(str(save(tmp_path / "a.keras")))
    probability = np.float32([[0.4, 0.5, 0.6]])
    assert models.threshold(together, probability, 0.5).tolist() == [[False, True, True]]


def name_classes(folder, *names):
    record = json.loads((folder / "run.json").read_text("utf-8"))
    record["parameters"]["classes"] = list(names)
    workspace.write_json(folder / "run.json", record)


def test_the_names_of_classes_are_the_runs_and_a_file_alone_has_numbers(tmp_path):
    folder = finish("mine")
    assert models.load("mine").classes == ()
    save(folder / "best.keras", channels=3)
    assert models.load("mine").classes == ("class 1", "class 2")
    unnamed = models.load("mine").digest
    name_classes(folder, "right lung", "left lung")
    assert models.load("mine").classes == ("right lung", "left lung")
    assert models.load("mine").digest != unnamed  # the table has other columns
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/a.keras").write_bytes((folder / "best.keras").read_bytes())
    assert models.load("alone/a.keras").classes == ("class 1", "class 2")
    assert models.load("alone/a.keras,mine").classes == ("right lung", "left lung")
    other = finish("other")
    save(other / "best.keras", channels=3)
    name_classes(other, "left lung", "right lung")
    with pytest.raises(ValueError, match="other classes: left lung, right lung and right lung"):
        models.load("mine,other")


def test_of_several_classes_each_pixel_gets_the_most_probable(tmp_path):
    together = models.load(str(save(tmp_path / "a.keras", channels=3)))
    assert models.predict(together, IMAGE).shape == (40, 30, 3)
    probability = np.float32([[[0.2, 0.3, 0.5], [0.4, 0.3, 0.3]]])
    assert models.threshold(together, probability, 0.5).tolist() == [[2, 0]]
