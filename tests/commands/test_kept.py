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
def installed(monkeypatch):
    """The modules of runtimes that seem to be installed: all, until a test removes some."""
    names = {name for group in runtimes.PACKAGES.values() for name in group}
    known, real = set(names), runtimes.importlib.util.find_spec

    def find(name, *more):
        return (name if name in names else None) if name in known else real(name, *more)

    monkeypatch.setattr(runtimes.importlib.util, "find_spec", find)
    return names


@pytest.fixture
def made(monkeypatch, installed):
    """Stands for runtimes: a file holds the number of the Keras model that it was made of."""
    made = []

    def write(unet, path):
        made.append(unet)
        path.write_text(str(len(made) - 1))

    def opened(path):
        return made[int(path.read_text())].predict_on_batch

    monkeypatch.setattr(convert, "KERAS", (3, 10))  # no other is needed to write such files
    monkeypatch.setattr(convert, "write", write)
    monkeypatch.setattr(kept, "_PHANTOMS", 3)
    for name in ("_onnx", "_litert"):
        monkeypatch.setattr(runtimes, name, opened)
    return made


def endings():
    """Return the endings of the kept models, one for each size."""
    return [path.suffix for path in sorted(kept._cache().glob("*/*")) if path.suffix != ".json"]


def used():
    """Return the formats that a new call predicts with; Keras has none."""
    return [getattr(look, "about", {}).get("format") for look in models.load("a.keras").looks]


def test_many_pictures_are_worth_it_few_are_not(source, made, monkeypatch, capsys):
    together = models.load("a.keras")
    kept.keep(together, pictures=kept.MANY - 1)
    assert made == [] and capsys.readouterr().out == ""
    kept.keep(together, pictures=kept.MANY)
    assert [unet.input_shape[1] for unet in made] == [*SIZES]
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
    assert len(made) == 2


def test_what_differs_is_not_kept(source, made, monkeypatch):
    def wrong(path):
        return lambda squares: np.full_like(squares, 0.3)

    monkeypatch.setattr(runtimes, "_litert", wrong)
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    assert used() == ["onnx"] * 2 and len(made) == 4  # the next one is, where it agrees
    kept._cache().rename("elsewhere")
    monkeypatch.setattr(runtimes, "_onnx", wrong)
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    assert kept.find(source, SIZES) is None and len(made) == 8 and endings() == []


@pytest.mark.parametrize(("gone", "wanted"), [
    ((), "litert"),
    (("onnxruntime", "onnx", "tf2onnx"), "litert"),
    (("ai_edge_litert",), "onnx"),
    (("tf2onnx", "ai_edge_litert"), None),  # ONNX Runtime is there, but nothing that writes its
])  # fmt: skip
def test_the_fastest_runtime_that_is_installed_is_taken(source, made, installed, gone, wanted):
    installed.difference_update(gone)
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    assert used() == [wanted] * 2 and len(made) == (2 if wanted else 0)


def test_what_was_kept_for_another_runtime_stays_in_use(source, made, installed, capsys):
    """Of a user who installs LiteRT later: no second conversion, and no way back to Keras."""
    installed.discard("ai_edge_litert")
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    installed.add("ai_edge_litert")
    capsys.readouterr()
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    assert used() == ["onnx"] * 2 and len(made) == 2 and capsys.readouterr().out == ""


def test_a_runtime_that_is_gone_or_a_damaged_file_leaves_the_next_one(source, made, installed):
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    assert used() == ["litert"] * 2
    installed.discard("ai_edge_litert")
    assert used() == [None] * 2
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    assert used() == ["onnx"] * 2
    installed.add("ai_edge_litert")
    assert used() == ["litert"] * 2
    kept._files(source, 96)["litert"].write_text("")
    assert used() == ["litert", "onnx"]


def test_a_converter_that_fails_leaves_the_next_one(source, made, monkeypatch):
    write = convert.write

    def fails(unet, path):
        if path.suffix == ".tflite":
            raise RuntimeError("no such operator")
        write(unet, path)

    monkeypatch.setattr(convert, "write", fails)
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    assert used() == ["onnx"] * 2


@pytest.mark.parametrize("spoil", ["cut", "gone", "other", "release", "none"])
def test_what_cannot_be_used_is_left_to_keras(source, made, installed, monkeypatch, spoil):
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    file = kept._files(source, 96)["litert"]
    assert kept.find(source, SIZES) is not None
    if spoil == "cut":
        file.write_text("")
    elif spoil == "gone":
        file.unlink()
    elif spoil == "other":  # the model was trained anew
        architecture.build_unet(64, width=2).save(source)
    elif spoil == "release":
        monkeypatch.setattr(kept.unet_lib, "__version__", "0.0.9")
    else:
        installed.clear()
    together = models.load("a.keras")
    assert not [look for look in together.looks if isinstance(look, runtimes.Exported)]


def test_pieces_of_pictures_need_the_models_own_size(source, made):
    kept.keep(models.load("a.keras"), pictures=kept.MANY)
    assert models.load("a.keras", tiles=True).side == 64
    assert not isinstance(models.load("a.keras", tiles=True).models[0], runtimes.Exported)


def test_masks_are_the_same_and_done_ones_stay_done(source, made, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MANY", 2)
    for name in "xy":
        put(tmp_path / f"in/{name}.png", chest(ord(name)))

    def masks(out):
        assert __main__.main(["predict", "in", "--out", out, "--model", "a.keras"]) == 0
        return [(tmp_path / out / f"masks/{name}.png").read_bytes() for name in "xy"]

    first = masks("o")
    assert len(made) == 2
    assert masks("o") == first  # to the byte: seconds and all were not written again
    masks("p")
    rows = [json.dumps((tmp_path / out / "predictions.csv").read_text().split(",")[:8])
            for out in "op"]
    assert rows[0] == rows[1] and len(made) == 2
