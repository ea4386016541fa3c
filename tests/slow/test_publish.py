"""What is handed on, tried with the tools of those who take it: groups `ship` and `publish`."""

import json
import os
import re
import subprocess
import sys
import zipfile

import cv2
import keras
import numpy as np
import pytest
import yaml

from unet_lib import __main__, architecture, pixels, prediction, workspace
from unet_lib.commands import models, parity, runtimes

BOTH = ("bioimageio", "huggingface")
gone = runtimes.missing(BOTH)
pytestmark = pytest.mark.skipif(bool(gone), reason=f"not installed: {', '.join(gone)}; pip install"
                                                   " -e '.[ship,publish]' brings them")
TEST = """
import json, socket, sys

def refuse(*_, **__):
    raise OSError("a network was asked for")

socket.getaddrinfo = socket.create_connection = refuse
from bioimageio.core import test_description
from bioimageio.spec import load_description_and_validate_format_only

path, kind, told = sys.argv[1:]
read = load_description_and_validate_format_only(path)
run = test_description(path, weight_format=kind)
steps = [(each.status, each.name) for each in run.details]
warned = [list(each.loc) for detail in read.details for each in detail.warnings]
with open(told, "w") as file:
    json.dump([read.status, run.status, steps, warned], file)
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What `export` hands on of the project's own model, each way."""
    folder = tmp_path_factory.mktemp("publish")
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(parity, "PICTURES", 6)  # test_export.py compares all
        for kind in BOTH:
            assert __main__.main(["export", "--out", str(folder), "--format", kind]) == 0
    return folder


@pytest.fixture
def unpacked(out, tmp_path, monkeypatch):
    """The package's files, in the current folder."""
    with zipfile.ZipFile(out / "lungs.bioimageio.zip") as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tools_say(package, kind, folder):
    """Run bioimage.io's own tests in a Python of its own, without a network."""
    found = folder / "found.json"
    done = subprocess.run(
        [sys.executable, "-c", TEST, str(package), kind, str(found)], capture_output=True,
        text=True, cwd=folder,
        env=os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(workspace.PROJECT)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(found.read_text())


@pytest.mark.parametrize("kind", ["onnx", "keras_v3"])
def test_bioimageio_reads_the_package_and_gets_its_output_with_each_file(out, tmp_path, kind):
    read, run, steps, warned = tools_say(out / "lungs.bioimageio.zip", kind, tmp_path)
    assert (read, run) == ("valid-format", "passed")
    assert ["passed", f"Reproduce test outputs from test inputs ({kind})"] in steps
    assert {where[-1] for where in warned} <= {"sample_tensor"}  # but for the cover


def test_the_package_says_who_what_and_how(out, unpacked):
    about = yaml.safe_load((unpacked / "rdf.yaml").read_text("utf-8"))
    assert (about["type"], about["license"]) == ("model", "MIT")
    assert about["format_version"].startswith("0.5.") and "Not for clinical use" in (
        about["description"])
    assert about["cite"][0]["doi"] == "10.1007/978-3-319-24574-4_28" and about["authors"]
    assert set(about["weights"]) == {"keras_v3", "onnx"}
    given, said = (about[end][0] for end in ("inputs", "outputs"))
    for end in (given, said):
        assert [axis.get("id", axis["type"]) for axis in end["axes"]] == [
            "batch", "y", "x", "channel"]
        assert [axis["size"] for axis in end["axes"][1:3]] == [128, 128]
    assert np.load(given["test_tensor"]["source"]).dtype == np.uint8
    cover = cv2.imread(about["covers"][0]["source"])
    assert cover.shape[1] == 2 * cover.shape[0]
    assert (unpacked / "cover.png").stat().st_size < 500_000
    assert (unpacked / "lungs.keras").read_bytes() == models.SHIPPED.read_bytes()
    assert runtimes.load(unpacked / "lungs.onnx").input_shape == (None, 128, 128, 1)
    assert (out / "lungs.bioimageio.zip").stat().st_size < 16_000_000


def prepare(values, steps):
    """Do to a picture what the package says is to be done."""
    for step in steps:
        known = step["kwargs"]
        if step["id"] == "ensure_dtype":
            values = values.astype(known["dtype"])
        else:
            assert step["id"] == "scale_linear"
            values = values * np.float32(known["gain"]) + np.float32(known["offset"])
    return values


def test_fed_as_the_package_says_it_gives_what_the_project_gives(unpacked, image):
    import onnxruntime

    about = yaml.safe_load((unpacked / "rdf.yaml").read_text("utf-8"))
    small = pixels.resize_image(image, 128)[np.newaxis, ..., np.newaxis]
    given = prepare(small, about["inputs"][0]["preprocessing"])
    session = onnxruntime.InferenceSession(about["weights"]["onnx"]["source"])
    said = session.run(None, {about["inputs"][0]["id"]: given})[0][0]
    assert "postprocessing" not in about["outputs"][0]
    wanted = prediction.predict(prediction.load(models.SHIPPED), image)
    assert pixels.resize_probability(said, image.shape) == pytest.approx(wanted, abs=1e-4)
    assert 0.1 < (wanted > 0.5).mean() < 0.5


@pytest.mark.parametrize("kind", BOTH)
def test_the_card_says_how_the_model_is_loaded(out, unpacked, image, monkeypatch, kind):
    if kind == "huggingface":
        monkeypatch.chdir(out / "lungs-huggingface")
    cv2.imwrite("xray.png", image)
    with open("README.md", encoding="utf-8") as file:
        (code,) = re.findall(r"```python\n(.+?)```", file.read(), re.S)
    assert ("onnxruntime" in code) is (kind == "bioimageio") and len(code.splitlines()) <= 10
    exec(code, {})
    mask = cv2.imread("mask.png", cv2.IMREAD_UNCHANGED) > 0
    wanted = prediction.predict(prediction.load(models.SHIPPED), image) >= 0.5
    assert np.count_nonzero(mask != wanted) <= 3 and mask.shape == image.shape


def test_the_hub_reads_the_front_of_the_card(out):
    hub = pytest.importorskip("huggingface_hub", reason="pip install -e '.[demo]' brings it")
    read = hub.ModelCard.load(out / "lungs-huggingface" / "README.md").data
    assert (read.license, read.library_name, read.pipeline_tag) == (
        "mit", "keras", "image-segmentation")
    (result,) = read.eval_results
    assert (result.metric_type, result.task_type) == ("dice", "image-segmentation")
    assert result.metric_value == 0.944
    assert runtimes.load(out / "lungs-huggingface" / "lungs.onnx").about["precision"] == "float32"


def test_a_model_of_several_classes_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "PICTURES", 3)
    keras.utils.set_random_seed(0)
    unet = architecture.build_unet(64, width=4, classes=2, normalization="batch")
    unet.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    unet.save(tmp_path / "two.lobes.keras")
    asked = ["export", "--out", str(tmp_path), "--model", str(tmp_path / "two.lobes.keras")]
    assert __main__.main([*asked, "--format", "bioimageio"]) == 0
    package = tmp_path / "two.lobes.bioimageio.zip"
    with zipfile.ZipFile(package) as archive:
        about = yaml.safe_load(archive.read("rdf.yaml"))
    assert about["name"] == "U-Net two_lobes" and about.get("license") is None
    assert about["outputs"][0]["axes"][3]["channel_names"] == ["background", "class 1", "class 2"]
    read, run, _, _ = tools_say(package, "keras_v3", tmp_path)
    assert (read, run) == ("valid-format", "passed")


def test_a_package_whose_output_is_not_reproduced_is_not_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(parity, "PICTURES", 3)
    save = np.save
    monkeypatch.setattr(np, "save", lambda path, values: save(
        path, values if values.dtype == np.uint8 else values[:, ::-1]))
    assert __main__.main(["export", "--out", str(tmp_path / "o"), "--format", "bioimageio"]) == 1
    told = capsys.readouterr().err
    assert "not written: lungs.bioimageio.zip: bioimage.io's own test fails" in told
    assert not (tmp_path / "o").exists() or not list((tmp_path / "o").iterdir())
