"""`export`, its comparison with Keras and what is told, without the packages that convert."""

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest
import yaml

from unet_lib import __main__, architecture, losses, phantom, prediction, workspace
from unet_lib.commands import convert, export, kept, models, parity, publish, runtimes, usual

SIDE = 64


def small(*, classes=1, **options):
    keras.utils.set_random_seed(0)
    return architecture.build_unet(SIDE, width=2, classes=classes, **options)


def save(path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    small(**options).save(path)
    return path


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def called(*arguments, capsys):
    code = __main__.main(["export", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def without(monkeypatch):
    """Make this Python one where some modules are not installed, and all others are."""
    def hide(*gone):
        find = runtimes.importlib.util.find_spec
        known = {name for names in runtimes.PACKAGES.values() for name in names}
        monkeypatch.setattr(
            runtimes.importlib.util, "find_spec",
            lambda name, *more: (None if name in gone else object()) if name in known
            else find(name, *more))
    return hide


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


class Stub:
    """Stands for the runtimes: its file says how far it is from Keras."""

    def __init__(self, monkeypatch):
        self.off = 0.0
        monkeypatch.setattr(convert, "write", self.write)
        monkeypatch.setattr(convert, "quantize", self.write_int8)
        monkeypatch.setattr(runtimes, "load", self.load)

    def write(self, unet, path):
        self.unet = unet
        path.write_text(f"{self.off}")
        if path.suffix == ".xml":
            path.with_suffix(".bin").write_text("weights")

    def write_int8(self, path, target, *, size):
        assert path.exists() and size == SIDE
        self.write(self.unet, target)

    def load(self, path):
        about = json.loads(runtimes.beside(path).read_text())
        assert about["sha256"] == runtimes.digest(path)
        off = float(path.read_text())
        return runtimes.Exported(path, about, lambda x: self.unet.predict_on_batch(x) + off)


@pytest.fixture
def stub(without, tmp_path, monkeypatch):
    without()
    save(tmp_path / "a.keras")
    monkeypatch.setattr(parity, "PICTURES", 3)
    return Stub(monkeypatch)


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


# ------------------------------------------------------------------------- what is handed on


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
def test_a_folder_for_the_hub_loads_as_its_card_says(stub, tmp_path, monkeypatch, classes, size):
    """As a training saves it, with an optimizer and a loss that only this project knows."""
    unet = small(classes=classes, standardize=True)
    unet.compile(optimizer="adam", loss=losses.bce_dice)
    unet.save(tmp_path / "mine.keras")
    (tmp_path / "o/mine-huggingface").mkdir(parents=True)
    (tmp_path / "o/mine-huggingface/notes.txt").write_text("the user's")
    assert __main__.main(["export", "--out", "o", "--model", "mine.keras", "--format",
                          "huggingface"]) == 0
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


def test_the_shipped_model_on_the_hub_has_its_card_and_score(stub, tmp_path):
    assert __main__.main(["export", "--out", "o", "--format", "huggingface"]) == 0
    folder = tmp_path / "o/lungs-huggingface"
    front, text = readme(folder)
    assert front["license"] == "mit" and "chest-x-ray" in front["tags"]
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
    (tmp_path / "o").mkdir()
    (tmp_path / "o/a-huggingface").touch()
    code, _, err = called(*asked, "huggingface", capsys=capsys)
    assert code == 2 and "a-huggingface' must be a folder, new or not; move it away" in err
    assert files(tmp_path / "o") == ["a-huggingface"]


# ------------------------------------------------------------------------- opening a file


def exported(folder, *, about=None):
    """Write what passes for an ONNX file, and what stands beside it."""
    path = folder / "x.onnx"
    path.write_bytes(b"graph")
    end = {"shape": [None, SIDE, SIDE, 1], "classes": []}
    told = {"sha256": runtimes.digest(path), "input": end, "output": end,
            "usual": usual.to_record(usual.Limits())}
    runtimes.beside(path).write_text(json.dumps(told | (about or {})))
    return path


def test_files_are_refused_that_do_not_belong_together(without, tmp_path):
    without()
    path = exported(tmp_path, about={"sha256": "0"})
    with pytest.raises(ValueError, match=r"x.onnx.json does not fit x.onnx \(it tells of another"):
        runtimes.load(path)
    with pytest.raises(ValueError, match=r"cannot be read as what is usual for x.onnx \(KeyError"):
        models.load(str(exported(tmp_path, about={"usual": {}})))
    runtimes.beside(path).unlink()
    with pytest.raises(FileNotFoundError, match=r"x.onnx.json is not there.*copy both files"):
        runtimes.load(path)


def test_a_missing_runtime_is_named(without, tmp_path, capsys):
    without("onnxruntime")
    path = exported(tmp_path)
    (tmp_path / "x.png").touch()
    assert __main__.main(["predict", "x.png", "--out", "o", "--model", str(path)]) == 2
    assert ("x.onnx needs the package onnxruntime, which is not installed;"
            f" {sys.executable} -m pip install -e '.[ship]'") in capsys.readouterr().err


def test_weights_that_were_exchanged_are_noticed(tmp_path):
    (tmp_path / "x.xml").write_text("graph")
    (tmp_path / "x.bin").write_text("weights")
    before = runtimes.digest(tmp_path / "x.xml")
    (tmp_path / "x.bin").write_text("others")
    assert runtimes.digest(tmp_path / "x.xml") != before


def test_two_threads_get_their_own_answers(tmp_path):
    """An interpreter with one place for input and output, as LiteRT has."""
    place = [None]

    def run(squares):
        place[0] = squares
        time.sleep(0.0002)  # another thread could come in here
        return place[0] + 1

    end = {"shape": [None, 2, 2, 1]}
    shared = runtimes.Exported(tmp_path / "x.tflite", {"input": end, "output": end}, run)
    wrong = []

    def ask(thread):
        for number in range(100):
            squares = np.full((1, 2, 2, 1), thread * 1000 + number, np.float32)
            if not np.array_equal(shared.predict_on_batch(squares), squares + 1):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_pictures_of_another_size_are_refused(tmp_path):
    end = {"shape": [None, 2, 2, 1]}
    held = runtimes.Exported(tmp_path / "x.onnx", {"input": end, "output": end}, lambda x: x)
    with pytest.raises(ValueError, match=r"x.onnx takes pictures of shape \(None, 2, 2, 1\), got"):
        held.predict_on_batch(np.zeros((1, 1, 2, 2), np.float32))


# ----------------------------------------------------------------------- parity, conversion


def test_parity_measures_what_was_put_in(threshold_model):
    """A model of one convolution, whose mask is where a picture is brighter than a half."""
    reference = parity.Reference(threshold_model, pictures=4)
    assert reference.images[0].shape == (64, 64) and reference.squares.shape == (4, 16, 16, 1)

    class Off:
        def __init__(self, change):
            self.change = change

        def predict_on_batch(self, squares):
            return self.change(threshold_model.predict_on_batch(squares))

    same = reference.compare(Off(lambda said: said))
    assert (same.difference, same.worst, same.mean) == (0, 0, 0)
    same.require(parity.FLOAT)
    found = reference.compare(Off(lambda said: said * np.float32(0)))
    assert found.dice == 0 and found.worst >= found.keras > 0.1
    assert found.difference == pytest.approx(max(said.max() for said in reference.said))
    batch = reference.compare(Off(lambda said: said if len(said) == 1 else said[::-1]))
    assert batch.difference > 0.1 and batch.worst == 0  # right alone, mixed up in a batch
    with pytest.raises(parity.Differs, match="a probability differs by"):
        batch.require(parity.FLOAT)
    broken = reference.compare(Off(lambda said: said + np.float32("nan")))
    with pytest.raises(parity.Differs, match="differs by nan"):
        broken.require(parity.FLOAT)


@pytest.mark.parametrize("limits, values, words", [
    (parity.FLOAT, (0, 0.9, 0.9, 0.002), "the Dice of a picture differs by 0.002, allowed is 0.0"),
    (parity.INT8, (0.1, 0.9, 0.905, 0.1), "the mean Dice differs by 0.005, allowed is 0.001"),
    (parity.INT8, (0.95, 0.9, 0.9, 0), "a probability differs by 0.95, allowed is 0.9"),
])
def test_every_measure_counts(limits, values, words):
    with pytest.raises(parity.Differs, match=words):
        parity.Parity(66, *values).require(limits)


def test_calibration_pictures_are_not_those_of_parity():
    one, other = parity.calibration_squares(16, count=2)
    assert one.shape == (1, 16, 16, 1) and one.dtype == np.float32
    assert not np.array_equal(one, other)
    assert 0 <= one.min() and 0.5 < one.max() <= 1


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
