"""The demo without its page: what it answers is what `predict` writes."""

import builtins
import threading

import cv2
import numpy as np
import pytest

from unet_lib import phantom
from unet_lib.commands import demo, job, models, outputs, predict, table


@pytest.fixture(scope="module")
def together():
    return models.load(None)


@pytest.fixture
def picture(tmp_path):
    """A 16-bit picture that is neither square nor symmetric, and of which 12 bits are used."""
    path = tmp_path / "hers.png"
    image = phantom.draw(3, size=(220, 180))[0].astype(np.uint16) * 16
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


def test_the_mask_is_that_of_predict(picture, together, tmp_path):
    assert predict.run([str(picture)], tmp_path / "out", options=job.Options()) == 0
    row, mask, overlay = demo.answer(picture, together, tmp_path)
    assert mask.name == "hers.png" and outputs.read_mask(mask).mean() > 0.1
    for made, kind in ((mask, "masks"), (overlay, "overlays")):
        theirs = cv2.imread(str(tmp_path / "out" / kind / "hers.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(cv2.imread(str(made), cv2.IMREAD_UNCHANGED), theirs)
    had = table.read(tmp_path / "out")["hers.png"]
    assert {k: str(v) for k, v in row.items() if k != "seconds"} == {
        k: v for k, v in had.items() if k in row and k != "seconds"}


@pytest.mark.parametrize("content, told", [
    (b"hello", "no picture"), (b"\x89PNG\r\n\x1a\n cut off", "PNG")])
def test_what_cannot_be_read_is_told(content, told, together, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=told):
        demo.answer(tmp_path / "x", together, tmp_path)


def test_an_inverted_picture_is_turned_on_demand(picture, together, tmp_path):
    image = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)
    picture.write_bytes(cv2.imencode(".png", 4080 - image)[1].tobytes())
    asis, _, _ = demo.answer(picture, together, tmp_path)
    turned, mask, _ = demo.answer(picture, together, tmp_path, invert="auto")
    assert "inverted" in asis["reason"] and "inverted" in demo.describe(asis)
    assert turned["check"] == "no" and "turned" in demo.describe(turned)


def test_two_at_once_get_what_each_gets_alone(together, tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(2)]
    for k, path in enumerate(paths):
        path.write_bytes(cv2.imencode(".png", phantom.draw(k, size=128)[0])[1].tobytes())
    alone = [outputs.read_mask(demo.answer(path, together, tmp_path)[1]) for path in paths]
    wrong = []

    def ask(k):
        for _ in range(15):
            got = outputs.read_mask(demo.answer(paths[k], together, tmp_path)[1])
            wrong.extend([k] * (not np.array_equal(got, alone[k])))

    users = [threading.Thread(target=ask, args=[k]) for k in range(2)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert not wrong and not np.array_equal(*alone)


def test_without_gradio_one_sentence_says_what_to_install(monkeypatch, capsys):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "gradio":
            raise ImportError("No module named 'gradio'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert demo.run() == 2
    assert "pip install -e '.[demo]'" in capsys.readouterr().err
