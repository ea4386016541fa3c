"""A place of its own for each test of the commands, and the sets of the intake's tests."""

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "intake"))  # made_sets, made_trees


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    """An empty current folder and workspace, and a probe that trains nothing."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "workspace"))
    for name in ("MPLBACKEND", "KERAS_HOME", "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS"):
        monkeypatch.setenv(name, os.environ[name])  # a command sets them; given back afterwards
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.chdir(tmp_path)
    from unet_lib.commands import kept
    from unet_lib.series import probe

    monkeypatch.setattr(kept, "_cache", lambda: tmp_path / "cache")  # not the user's

    monkeypatch.setattr(probe, "measure", lambda **_: (0.5, 800.0))


@pytest.fixture
def without(monkeypatch):
    """Make this Python one where some modules are not installed, and all others are."""
    from unet_lib.commands import runtimes

    def hide(*gone):
        find = runtimes.importlib.util.find_spec
        known = {name for names in runtimes.PACKAGES.values() for name in names}
        monkeypatch.setattr(
            runtimes.importlib.util, "find_spec",
            lambda name, *more: (None if name in gone else object()) if name in known
            else find(name, *more))
    return hide


@pytest.fixture
def stub(without, tmp_path, monkeypatch):
    """A small a.keras, and a converter that writes how far its files are from it."""
    from made_models import Stub, save

    from unet_lib.commands import parity

    without()
    save(tmp_path / "a.keras")
    monkeypatch.setattr(parity, "PICTURES", 3)
    return Stub(monkeypatch)


@pytest.fixture
def dark(tmp_path):
    """The file of a model that gives 1 less the picture, at 64 px."""
    import keras

    inputs = keras.Input((64, 64, 1))
    model = keras.Model(inputs, keras.layers.Rescaling(-1.0, 1.0)(inputs))
    model.save(tmp_path / "dark.keras")


@pytest.fixture
def counted(monkeypatch):
    """A list that grows by one for each picture that is predicted."""
    from unet_lib.commands import models

    calls, real = [], models.predict

    def count(*arguments, **options):
        calls.append(1)
        return real(*arguments, **options)

    monkeypatch.setattr(models, "predict", count)
    return calls


@pytest.fixture
def sides():
    """A run whose model calls dark pixels right lung and grey ones left lung."""
    import keras
    import numpy as np

    from unet_lib import workspace

    inputs = keras.Input((64, 64, 1))
    layer = keras.layers.Conv2D(3, 1, activation="softmax")
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([np.float32([[[[40, -40, 0]]]]), np.float32([-25.2, 13.2, 0])])
    folder = workspace.run_dir("sides")
    folder.mkdir(parents=True)
    model.save(folder / "best.keras")
    asked = {"epochs": 1, "dataset": "gone", "classes": ["right lung", "left lung"]}
    record = {"status": "finished", "parameters": asked, "data_sha256": "0"}
    workspace.write_json(folder / "run.json", record)
