"""`export`, its comparison with Keras and what is told, without the packages that convert."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from made_models import SIDE, called, files, save

from unet_lib import __main__, phantom, workspace
from unet_lib.commands import convert, export, kept, models, runtimes, usual


def test_help_answers_outside_the_checkout(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "unet_lib", "export", "--help"], cwd=tmp_path, text=True,
        env=os.environ | {"PYTHONPATH": str(workspace.PROJECT)}, capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = " ".join(done.stdout.split())
    assert "--format {onnx,openvino,litert,bioimageio,huggingface}" in told
    assert "pip install -e '.[ship]'" in told and "'.[ship,publish]'" in told


def test_missing_packages_are_named_before_any_work(without, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_: pytest.fail("a model was opened"))
    without("nncf", "tf2onnx")
    code, out, err = called("--out", tmp_path / "o", capsys=capsys)
    assert (code, out) == (2, "") and not (tmp_path / "o").exists()
    assert err == (
        "Refused, nothing was written: onnx, openvino, litert need packages that are not installed"
        f" (tf2onnx, nncf); {sys.executable} -m pip install -e '.[ship]' in the project's"
        " folder brings all of them\n"
    )


def test_a_format_asks_for_its_own_packages_alone(without, tmp_path, capsys):
    without("onnxruntime", "nncf")
    code, _, err = called("--out", "o", "--model", "gone.keras", "--format", "litert",
                          capsys=capsys)
    assert code == 2 and "--model 'gone.keras' is neither a .keras file nor a run's" in err
    code, _, err = called("--out", "o", "--format", "onnx", capsys=capsys)
    assert code == 2 and "onnx needs packages that are not installed (onnxruntime);" in err
    with pytest.raises(SystemExit) as refused:
        called("--out", "o", "--format", "coreml", capsys=capsys)
    assert refused.value.code == 2


def test_what_cannot_be_exported_is_refused(without, tmp_path, capsys, monkeypatch):
    without()
    save(tmp_path / "a.keras")
    (tmp_path / "file").touch()
    for arguments, words in (
        (["--out", "file/o", "--model", "a.keras"], "--out must be a folder, new or not, but"),
        (["--out", "o", "--model", "a.keras,a.keras"], "names 2 models; a file holds one"),
    ):
        code, _, err = called(*arguments, capsys=capsys)
        assert code == 2 and err.startswith("Refused, nothing was written: ") and words in err
    monkeypatch.setattr(keras, "__version__", "3.9.1")
    code, _, err = called("--out", "o", "--model", "a.keras", capsys=capsys)
    assert code == 2 and "needs Keras 3.15 or newer, found 3.9.1; pip install --upgrade ker" in err
    assert files(tmp_path) == ["a.keras", "file"]


def test_files_are_called_as_their_run_or_file(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/run.json").write_text("{}")
    assert export.name_of(models.SHIPPED) == "lungs"
    assert export.name_of(tmp_path / "mine/best.keras") == "mine"
    assert export.name_of(tmp_path / "mine/x.keras") == "x"
    assert export.name_of(tmp_path / "best.keras") == "best"


# ------------------------------------------------------------- a converter that is none


def test_every_format_is_written_with_what_it_takes_and_gives(stub, tmp_path, capsys):
    code, out, err = called("--out", "o", "--model", "a.keras", capsys=capsys)
    assert (code, err) == (0, "")
    assert files(tmp_path / "o") == sorted(
        ["a.onnx", "a.xml", "a.bin", "a_int8.xml", "a_int8.bin", "a.tflite", "a.onnx.json",
         "a.xml.json", "a_int8.xml.json", "a.tflite.json"])
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        "a.onnx", "a.xml", "a_int8.xml", "a.tflite"]
    assert "of one picture at most 0.0000 apart" in out
    about = json.loads((tmp_path / "o/a.onnx.json").read_text())
    assert about["input"]["shape"] == about["output"]["shape"] == [None, SIDE, SIDE, 1]
    assert (about["input"]["layout"], about["input"]["range"]) == ("NHWC", [0, 1])
    assert "INTER_AREA" in about["resize"]["shrinking"] and about["threshold"] == 0.5
    assert about["parity"]["pictures"] == 3 and about["parity"]["difference"] < 1e-6
    assert about["source"]["sha256"] == runtimes.digest(tmp_path / "a.keras")
    assert json.loads((tmp_path / "o/a_int8.xml.json").read_text())["precision"] == "int8"


def test_what_differs_fails_and_leaves_no_file(stub, tmp_path, capsys):
    stub.off = 0.01
    code, out, err = called("--out", "o", "--model", "a.keras", capsys=capsys)
    assert code == 1 and files(tmp_path / "o") == []
    assert "largest difference of a probability 1.0e-02" in out
    assert "not written: a.onnx: a probability differs by 0.01, allowed is 0.0001" in err
    assert "not written: a.tflite: " in err


def test_an_earlier_file_stays_when_its_successor_differs(stub, tmp_path, capsys):
    called("--out", "o", "--model", "a.keras", "--format", "onnx", capsys=capsys)
    before = [(tmp_path / "o" / name).read_bytes() for name in files(tmp_path / "o")]
    stub.off = 1.0
    assert called("--out", "o", "--model", "a.keras", "--format", "onnx", capsys=capsys)[0] == 1
    assert [(tmp_path / "o" / name).read_bytes() for name in files(tmp_path / "o")] == before


def test_a_converter_that_fails_costs_no_other_format(stub, tmp_path, capsys, monkeypatch):
    real = stub.write

    def write(unet, path):
        if path.suffix == ".onnx":
            raise RuntimeError("no such layer\nmore")
        real(unet, path)

    monkeypatch.setattr(convert, "write", write)
    code, _, err = called("--out", "o", "--model", "a.keras", capsys=capsys)
    assert code == 1 and err == "not written: a.onnx: no such layer\n"
    assert "a.tflite" in files(tmp_path / "o") and "a.onnx" not in files(tmp_path / "o")


def test_an_exported_model_predicts_as_its_model_does(stub, tmp_path):
    assert __main__.main(["export", "--out", "o", "--model", "a.keras"]) == 0
    (tmp_path / "b.keras").write_bytes((tmp_path / "a.keras").read_bytes())
    image, _, _ = phantom.draw(3, size=(120, 80))
    said = [models.predict(models.load(name), image) for name in ("b.keras", "o/a.onnx")]
    assert np.array_equal(*said) and said[0].shape == (120, 80)
    both = models.load("o/a.onnx,b.keras")
    assert models.predict(both, image) == pytest.approx(said[0], abs=1e-6)
    assert both.digest != models.load("o/a.onnx").digest


def test_an_exported_model_keeps_what_is_usual_and_its_classes(stub, tmp_path, capsys):
    save(tmp_path / "c.keras", classes=2)
    usual.write(usual.Limits(area=(0.1, 0.4), parts=2, keep=2), tmp_path / "c.json")
    assert called("--out", "o", "--model", "c.keras", "--format", "litert", capsys=capsys)[0] == 0
    before, after = models.load("c.keras"), models.load("o/c.tflite")
    assert after.limits == before.limits and after.limits.area == (0.1, 0.4)
    assert after.classes == before.classes == ("class 1", "class 2")
    assert json.loads((tmp_path / "o/c.tflite.json").read_text())["threshold"] is None


def test_what_was_exported_is_not_exported_again(stub, tmp_path, capsys):
    called("--out", "o", "--model", "a.keras", "--format", "onnx", capsys=capsys)
    code, _, err = called("--out", "p", "--model", "o/a.onnx", capsys=capsys)
    assert code == 2 and "a.onnx was exported already; name the .keras file or the run" in err


def test_what_predict_has_kept_is_not_exported(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "find", lambda *_: pytest.fail("LiteRT was taken for Keras"))
    assert __main__.main(["export", "--out", "o", "--model", "a.keras", "--format", "onnx"]) == 0
    assert stub.unet.input_shape == (None, SIDE, SIDE, 1)
