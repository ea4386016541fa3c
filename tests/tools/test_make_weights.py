"""tools/make_weights.py: one command from seeds to the file, tried with a handful of phantoms."""

import keras
import make_weights
import numpy as np
import pytest

from unet_lib import architecture
from unet_lib.commands import usual


def test_a_phantom_has_the_models_size():
    image, mask = make_weights.draw((0, 1))
    assert image.shape == mask.shape == (make_weights.SIZE, make_weights.SIZE)
    assert image.dtype == mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 1}


def test_folding_changes_no_answer():
    keras.utils.set_random_seed(0)
    recipe = {name: make_weights.RECIPE[name] for name in ("width", "head", "normalization")}
    unet = architecture.build_unet(make_weights.SIZE, standardize=True, **recipe)
    rng = np.random.default_rng(0)
    for layer in unet.layers:
        if "normalization" in layer.name and len(layer.weights) == 4:
            layer.set_weights([rng.uniform(.5, 1.5, w.shape) for w in layer.get_weights()])
    folded = make_weights.fold(unet)
    images = rng.random((2, make_weights.SIZE, make_weights.SIZE, 1), np.float32)
    before, after = unet.predict_on_batch(images), folded.predict_on_batch(images)
    assert .05 < before.std()
    assert np.allclose(before, after, atol=1e-4)
    assert folded.count_params() < unet.count_params()


def test_the_last_stage_has_the_models_size():
    assert make_weights.STAGES[-1][0] == make_weights.SIZE


def test_one_command_writes_the_model_and_what_guards_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_weights, "PHANTOMS", 8)
    monkeypatch.setattr(make_weights, "CHECKED", 2)
    monkeypatch.setattr(make_weights, "STAGES", ((32, 1, 2e-3), (make_weights.SIZE, 1, 1e-3)))
    make_weights.main(["--out", str(tmp_path / "new" / "lungs.keras")])
    unet = keras.models.load_model(tmp_path / "new" / "lungs.keras", compile=False)
    assert unet.input_shape == (None, make_weights.SIZE, make_weights.SIZE, 1)
    assert np.load(tmp_path / "new" / "lungs_logits.npy").shape == unet.input_shape[1:3]
    assert (tmp_path / "new" / "lungs_phantom.png").exists()
    assert "8 phantoms" in capsys.readouterr().out
    limits = usual.limits_for(tmp_path / "new" / "lungs.keras")
    assert (limits.parts, limits.chests, limits.doubt) == (2, True, make_weights.DOUBT)


def test_the_limits_can_be_written_without_a_training(tmp_path, monkeypatch):
    monkeypatch.setattr(make_weights, "PHANTOMS", 3)
    monkeypatch.setattr(make_weights, "CHECKED", 1)
    monkeypatch.setattr(make_weights, "train", None)
    make_weights.main(["--limits", "--out", str(tmp_path / "lungs.keras")])
    assert [path.name for path in tmp_path.iterdir()] == ["lungs.json"]


def test_an_unknown_option_is_refused(capsys):
    with pytest.raises(SystemExit):
        make_weights.main(["--size", "64"])
    assert "unrecognized arguments" in capsys.readouterr().err


def test_a_name_that_keras_cannot_save_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_weights, "draw_all", None)
    with pytest.raises(SystemExit):
        make_weights.main(["--out", str(tmp_path / "new")])
    assert "whose name ends in .keras, got" in capsys.readouterr().err
