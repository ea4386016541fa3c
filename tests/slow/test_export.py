"""Every format from a file to its mask, beside Keras: with the packages of the group `ship`."""

import json
import os
import subprocess
import sys
import threading

import cv2
import keras
import numpy as np
import pytest

from unet_lib import __main__, architecture, phantom, pixels, prediction, workspace
from unet_lib.commands import convert, models, parity, runtimes

gone = runtimes.missing(tuple(runtimes.FORMATS))
pytestmark = pytest.mark.skipif(bool(gone), reason=f"not installed: {', '.join(gone)}; pip install"
                                                   " -e '.[ship]' brings them")
FLOATS = ("lungs.onnx", "lungs.xml", "lungs.tflite")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What `export` makes of the project's own model."""
    folder = tmp_path_factory.mktemp("export")
    assert __main__.main(["export", "--out", str(folder)]) == 0
    return folder


def asked(folder, *arguments):
    """Call the command in a Python of its own that may not load TensorFlow or Keras."""
    code = ("import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None;"
            "from unet_lib import __main__; sys.exit(__main__.main(sys.argv[1:]))")
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=folder, text=True,
                          env=os.environ | {"PYTHONPATH": str(workspace.PROJECT)},
                          capture_output=True)


@pytest.mark.parametrize("name", FLOATS)
def test_from_a_file_to_its_mask_without_tensorflow(out, image, tmp_path, name):
    cv2.imwrite(str(tmp_path / "x.png"), image)
    done = asked(tmp_path, "predict", "x.png", "--out", "o", "--model", out / name)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    mask = cv2.imread(str(tmp_path / "o/masks/x.png"), cv2.IMREAD_UNCHANGED) > 0
    unet = prediction.load(models.SHIPPED)
    wanted = prediction.clean_up(prediction.to_mask(prediction.predict(unet, image)))
    assert mask.shape == wanted.shape == (230, 150) and 0.1 < wanted.mean() < 0.5
    assert np.count_nonzero(mask != wanted) <= 3  # of 34,500: where it is a half to rounding
    for spoiled in (image[::-1], image[:, ::-1], 255 - image):  # it would be seen
        said = prediction.to_mask(prediction.predict(runtimes.load(out / name), spoiled))
        assert np.count_nonzero(said != wanted) > 300


@pytest.mark.parametrize("name", FLOATS)
def test_probabilities_are_those_of_keras(out, image, name):
    unet, other = prediction.load(models.SHIPPED), runtimes.load(out / name)
    assert (other.input_shape, other.output_shape) == (unet.input_shape, unet.output_shape)
    squares = pixels.to_float([pixels.resize_image(one, 128)
                               for one in (image, image.T, 255 - image)])
    wanted = unet.predict_on_batch(squares)
    for count in (1, 3, 2, 1):  # the number of pictures may change from call to call
        said = other.predict_on_batch(squares[:count])
        assert said.dtype == np.float32 and said == pytest.approx(wanted[:count], abs=1e-4)
    about = json.loads((out / f"{name}.json").read_text())
    assert about["parity"]["difference"] < 1e-4 and about["parity"]["pictures"] == 66
    assert about["parity"]["dice"] > 0.96 and about["versions"]["keras"] == keras.__version__


def test_float32_stays_float32(out):
    """OpenVINO would save 16 bits by itself, and multiply in bfloat16 where there is such."""
    weights = prediction.load(models.SHIPPED).count_params() * 4
    for name in ("lungs.bin", "lungs.onnx", "lungs.tflite"):
        assert weights <= (out / name).stat().st_size < 1.02 * weights
    assert "f16" not in (out / "lungs.xml").read_text()
    import onnx

    kinds = {each.data_type for each in onnx.load(out / "lungs.onnx").graph.initializer}
    assert kinds <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT32, onnx.TensorProto.INT64}


def test_eight_bits_are_eight_bits_and_as_good(out):
    assert (out / "lungs_int8.bin").stat().st_size < 0.4 * (out / "lungs.bin").stat().st_size
    about = json.loads((out / "lungs_int8.xml.json").read_text())
    found = parity.Parity(**about["parity"])
    assert found.difference > 1e-3 and found.mean <= 0.001  # another model, but no worse one
    assert runtimes.load(out / "lungs_int8.xml").output_shape == (None, 128, 128, 1)


@pytest.mark.parametrize("name", FLOATS)
def test_two_threads_get_what_one_gets(out, name):
    squares = pixels.to_float([phantom.draw(seed, size=128)[0] for seed in range(10)])
    squares = np.concatenate([squares, squares[:, ::-1]])
    shared = runtimes.load(out / name)
    alone = [shared.predict_on_batch(squares[n : n + 1]) for n in range(20)]
    wrong = []

    def ask(start):
        for call in range(100):
            n = (start + call) % 20
            if not np.array_equal(shared.predict_on_batch(squares[n : n + 1]), alone[n]):
                wrong.append(n)

    threads = [threading.Thread(target=ask, args=(n,)) for n in (0, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("kind", runtimes.FORMATS)
def test_other_models(tmp_path, monkeypatch, kind):
    """Two classes, batch normalization, no standardization; 512 px, where sums are long."""
    monkeypatch.setattr(parity, "PICTURES", 6)
    monkeypatch.setattr(convert, "CALIBRATION", 8)
    keras.utils.set_random_seed(0)
    architecture.build_unet(64, width=4, classes=2, normalization="batch").save(
        tmp_path / "two.keras")
    architecture.build_unet(512, width=4, head="direct", standardize=True).save(
        tmp_path / "large.keras")
    for name in ("two", "large"):
        assert __main__.main(["export", "--out", str(tmp_path), "--format", kind, "--model",
                              str(tmp_path / f"{name}.keras")]) in (0, 1)
        path = tmp_path / f"{name}{runtimes.FORMATS[kind]}"
        other, unet = runtimes.load(path), prediction.load(tmp_path / f"{name}.keras")
        image = phantom.draw(1, size=(700, 600))[0]
        said = [prediction.predict(each, image) for each in (unet, other)]
        assert said[1] == pytest.approx(said[0], abs=1e-4)


@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_a_second_call_starts_no_tensorflow_and_makes_the_same_masks(tmp_path, monkeypatch, kind):
    """The model that looks at two sizes, as `predict` keeps it after a call of many pictures."""
    from unet_lib.commands import kept

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "MANY", 4)
    monkeypatch.setattr(kept, "FASTEST", (kind,))
    (tmp_path / "in").mkdir()
    for seed in range(4):
        cv2.imwrite(str(tmp_path / f"in/{seed}.png"), phantom.draw(seed, size=(150, 220))[0])
    assert __main__.main(["predict", str(tmp_path / "in"), "--out", str(tmp_path / "keras")]) == 0
    assert len([*tmp_path.glob(f"cache/*/*/*{runtimes.FORMATS[kind]}")]) == 2  # one for each size
    done = asked(tmp_path, "predict", "in", "--out", "kept")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    for seed in range(4):
        masks = [cv2.imread(str(tmp_path / f"{out}/masks/{seed}.png"), cv2.IMREAD_UNCHANGED)
                 for out in ("keras", "kept")]
        assert masks[0].any() and np.count_nonzero(masks[0] != masks[1]) <= 3
