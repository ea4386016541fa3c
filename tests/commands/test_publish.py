"""What is handed on, without the packages that convert: names, cards and how a model is loaded.

What bioimage.io's tools say of a package: tests/slow/test_publish.py
"""

import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml
from made_models import called, files, save, small

from unet_lib import __main__, losses, phantom, prediction
from unet_lib.commands import convert, models, publish, runtimes, usual


def readme(folder):
    """Return what the Hub reads of a card, and the rest of it."""
    _, front, text = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


def follow(text):
    """Execute how a card says that a model is loaded; return the mask of xray.png."""
    code = text.partition("```python\n")[2].partition("```")[0]
    exec(code, {})
    return cv2.imread("mask.png", cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("classes, size", [(1, (150, 90)), (2, (40, 130))])
def test_a_folder_for_the_hub_loads_as_its_card_says(
    stub, tmp_path, monkeypatch, capsys, classes, size
):
    """As a training saves it, with an optimizer and a loss that only this project knows."""
    unet = small(classes=classes, standardize=True)
    unet.compile(optimizer="adam", loss=losses.bce_dice)
    unet.save(tmp_path / "mine.keras")
    (tmp_path / "o/mine-huggingface").mkdir(parents=True)
    (tmp_path / "o/mine-huggingface/notes.txt").write_text("the user's")
    assert __main__.main(["export", "--out", "o", "--model", "mine.keras", "--format",
                          "huggingface"]) == 0
    assert ("mine-huggingface is written. First find out whether the pictures that it was trained"
            " on allow that, and complete the card. To publish it: hf upload OWNER/mine "
            ) in capsys.readouterr().out
    assert files(tmp_path / "o") == ["mine-huggingface"]
    folder = tmp_path / "o/mine-huggingface"
    assert files(folder) == ["README.md", "mine.keras", "mine.onnx", "mine.onnx.json", "notes.txt"]
    front, text = readme(folder)
    assert (front["license"], front["library_name"]) == ("unknown", "keras")
    assert front["pipeline_tag"] == "image-segmentation" and "model-index" not in front
    assert "hf upload OWNER/mine mine-huggingface ." in text and "**Not settled.**" in text
    config = json.loads(zipfile.ZipFile(folder / "mine.keras").read("config.json"))
    assert not config.get("compile_config")  # a stranger's Keras could not read it
    monkeypatch.chdir(folder)
    image = phantom.draw(3, size=(160, 140))[0][: size[0], : size[1]]
    cv2.imwrite("xray.png", image)  # larger than the model, or one side smaller
    wanted = prediction.to_mask(prediction.predict(unet, image))
    assert np.unique(wanted).size > 1
    assert np.array_equal(follow(text), wanted if classes > 1 else 255 * np.uint8(wanted))


def test_the_shipped_model_on_the_hub_has_its_card_and_score(stub, tmp_path, capsys):
    assert __main__.main(["export", "--out", "o", "--format", "huggingface"]) == 0
    told = "lungs-huggingface is written. To publish it: hf upload OWNER/lungs "
    assert told in capsys.readouterr().out
    folder = tmp_path / "o/lungs-huggingface"
    front, text = readme(folder)
    assert front["license"] == "mit"
    assert front["tags"] == ["unet", "onnx", "semantic-segmentation", "chest-x-ray", "lungs"]
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"]["type"] == "shenzhen-hospital-set"
    value = result["metrics"][0]["value"]
    assert result["metrics"][0]["type"] == "dice" and f"| 400 | {value} |" in text
    assert (folder / "lungs.keras").read_bytes() == models.SHIPPED.read_bytes()
    assert usual.limits_for(folder / "lungs.keras") == usual.limits_for(models.SHIPPED)


def test_nothing_is_handed_on_that_differs(stub, tmp_path, capsys, monkeypatch):
    stub.off = 0.01
    code, _, err = called("--out", "o", "--model", "a.keras", "--format", "huggingface",
                          capsys=capsys)
    assert code == 1 and files(tmp_path / "o") == []
    assert "not written: a-huggingface: a.onnx: a probability differs by 0.01" in err
    stub.off = 0.0
    unet = small()
    unet.compile(optimizer="adam", loss="mse")
    unet.save(tmp_path / "a.keras")
    other = SimpleNamespace(load=lambda path: small(head="direct"))  # what was saved is another
    monkeypatch.setattr(publish, "prediction", other)
    code, _, err = called("--out", "o", "--model", "a.keras", "--format", "huggingface",
                          capsys=capsys)
    assert code == 1 and files(tmp_path / "o") == []
    assert "not written: a-huggingface: a probability differs by" in err


def test_a_package_is_refused_where_nothing_checks_it_or_its_place_is_taken(
    without, tmp_path, capsys, monkeypatch
):
    save(tmp_path / "a.keras")
    without()
    find = runtimes.importlib.util.find_spec

    def nowhere(name, *more):
        if name == "bioimageio.core":
            raise ModuleNotFoundError("No module named 'bioimageio'")
        return find(name, *more)

    asked = ("--out", "o", "--model", "a.keras", "--format")
    with monkeypatch.context() as changed:
        changed.setattr(runtimes.importlib.util, "find_spec", nowhere)
        code, _, err = called(*asked, "bioimageio", capsys=capsys)
    assert code == 2 and not (tmp_path / "o").exists()
    assert err == (
        "Refused, nothing was written: bioimageio needs packages that are not installed"
        f" (bioimageio.core); {sys.executable} -m pip install -e '.[ship,publish]' in the"
        " project's folder brings all of them\n"
    )
    monkeypatch.setattr(convert, "KERAS", (3, 10))
    (tmp_path / "o").mkdir()
    (tmp_path / "o/a-huggingface").touch()
    code, _, err = called(*asked, "huggingface", capsys=capsys)
    assert code == 2 and "a-huggingface' must be a folder, new or not; move it away" in err
    assert files(tmp_path / "o") == ["a-huggingface"]


@pytest.mark.parametrize("kind, name", [("bioimageio", "m.bioimageio.zip"),
                                        ("huggingface", "m-huggingface")])
def test_where_a_model_is_written_to_be_handed_on(kind, name, tmp_path):
    assert publish.place(kind, tmp_path, "m") == tmp_path / name  # nothing is there yet
    made = {"a file": Path.touch, "a folder": Path.mkdir}
    good, bad = made if kind == "bioimageio" else reversed(made)
    made[good](tmp_path / name)
    assert publish.place(kind, tmp_path, "m") == tmp_path / name
    made[bad](tmp_path / name.replace("m", "n", 1))
    with pytest.raises(ValueError, match=f"must be {good}, new or not; move it away"):
        publish.place(kind, tmp_path, "n")
