"""What `predict` keeps for its next call, without the package that runs it."""

import json

import numpy as np
import pytest
from made_sets import chest, put

from unet_lib import __main__, architecture, prediction
from unet_lib.commands import convert, kept, models, runtimes, usual

SIZES = (64, 96)


@pytest.fixture
def source(tmp_path):
    """A model that looks at each picture at two sizes."""
    path = tmp_path / "a.keras"
    architecture.build_unet(64, width=2).save(path)
    usual.write(usual.Limits(sizes=SIZES), path.with_suffix(".json"))
    return path


@pytest.fixture
def litert(monkeypatch):
    """Stands for LiteRT: a file holds the number of the Keras model that it was made of."""
    made, real = [], runtimes.importlib.util.find_spec
    monkeypatch.setattr(runtimes.importlib.util, "find_spec",
                        lambda name, *more: name if name == "ai_edge_litert" else real(name, *more))

    def write(unet, path):
        made.append(unet)
        path.write_text(str(len(made) - 1))

    def opened(path):
        return made[int(path.read_text())].predict_on_batch

    monkeypatch.setattr(convert, "write", write)
    monkeypatch.setattr(runtimes, "_litert", opened)
    return made


def test_many_pictures_are_worth_it_few_are_not(source, litert, monkeypatch, capsys):
    together = models.load("a.keras")
    kept.keep(together, pictures=kept.MANY - 1)
    assert litert == [] and capsys.readouterr().out == ""
    kept.keep(together, pictures=kept.MANY)
    assert [unet.input_shape[1] for unet in litert] == [*SIZES]
    assert "Converting the model once, so that the next calls start sooner" in (
        capsys.readouterr().out)
    monkeypatch.setattr(prediction, "load", lambda _: pytest.fail("Keras opened it again"))
    again = models.load("a.keras")
    assert [type(look) for look in again.looks] == [runtimes.Exported] * 2
    assert (again.digest, again.limits, again.classes) == (
        together.digest, together.limits, together.classes)
    image = chest(1)
    assert models.predict(again, image) == pytest.approx(models.predict(together, image), abs=1e-6)
    kept.keep(again, pictures=kept.MANY)  # there is nothing left to do
    assert len(litert) == 2


def test_what_differs_is_not_kept(source, litert, monkeypatch):
    monkeypatch.setattr(runtimes, "_litert",
                        lambda path: lambda squares: np.full_like(squares, 0.3))
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    assert kept.find(source, SIZES) is None and len(litert) == 2


@pytest.mark.parametrize("spoil", ["cut", "gone", "other", "none"])
def test_what_cannot_be_used_is_left_to_keras(source, litert, monkeypatch, spoil):
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    file = kept._file(source, 96)
    assert kept.find(source, SIZES) is not None
    if spoil == "cut":
        file.write_text("")
    elif spoil == "gone":
        file.unlink()
    elif spoil == "other":  # the model was trained anew
        architecture.build_unet(64, width=2).save(source)
    else:
        monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name, *_: None)
    together = models.load("a.keras")
    assert not [look for look in together.looks if isinstance(look, runtimes.Exported)]


def test_pieces_of_pictures_need_the_models_own_size(source, litert):
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    assert models.load("a.keras", tiles=True).side == 64
    assert not isinstance(models.load("a.keras", tiles=True).models[0], runtimes.Exported)


def test_masks_are_the_same_and_done_ones_stay_done(source, litert, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MANY", 2)
    for name in "xy":
        put(tmp_path / f"in/{name}.png", chest(ord(name)))

    def masks(out):
        assert __main__.main(["predict", "in", "--out", out, "--model", "a.keras"]) == 0
        return [(tmp_path / out / f"masks/{name}.png").read_bytes() for name in "xy"]

    first = masks("o")
    assert len(litert) == 2
    assert masks("o") == first  # to the byte: seconds and all were not written again
    masks("p")
    rows = [json.dumps((tmp_path / out / "predictions.csv").read_text().split(",")[:8])
            for out in "op"]
    assert rows[0] == rows[1] and len(litert) == 2
