"""Models that have left Keras are opened with what stands beside them, and answer as Keras does.

The runtimes themselves: tests/slow/test_export.py
"""

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from made_models import SIDE

from unet_lib import __main__
from unet_lib.commands import models, runtimes, usual


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


# ------------------------------------------------------------------------- names and packages


@pytest.mark.parametrize("name, kind", [("a.onnx", "onnx"), ("b/a.xml", "openvino"),
                                        ("a.b.tflite", "litert")])
def test_a_format_is_known_by_its_ending(name, kind):
    assert runtimes.knows(Path(name)) and runtimes.kind_of(Path(name)) == kind
    assert runtimes.beside(Path(name)) == Path(f"{name}.json")
    assert not any(runtimes.knows(Path(other)) for other in ("a.keras", "onnx", "a.onnx.json"))


def test_what_is_missing_is_named_once_and_in_order(without):
    without("onnx", "tf2onnx", "ai_edge_litert")
    assert runtimes.missing(["litert", "onnx", "huggingface"]) == [
        "ai_edge_litert", "onnx", "tf2onnx"]
    assert runtimes.missing(["openvino"]) == [] == runtimes.missing([])


@pytest.mark.parametrize("formats, groups", [
    (["onnx"], "ship"), (["onnx", "huggingface"], "ship"), (["bioimageio"], "ship,publish"),
])
def test_what_brings_it(formats, groups):
    told = f"-m pip install -e '.[{groups}]' in the project's folder brings all of them"
    assert runtimes.remedy(formats).endswith(told)


def test_the_digest_is_that_of_the_file_and_of_its_weights(tmp_path):
    for name, content in (("x.onnx", b"graph"), ("x.xml", b"graph"), ("x.bin", b" weights")):
        (tmp_path / name).write_bytes(content)
    assert runtimes.digest(tmp_path / "x.onnx") == hashlib.sha256(b"graph").hexdigest()
    assert runtimes.digest(tmp_path / "x.xml") == hashlib.sha256(b"graph weights").hexdigest()


def test_as_many_threads_as_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert runtimes.threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert runtimes.threads() == 1


def test_an_opened_model_has_the_shapes_that_stand_beside_it(without, tmp_path, monkeypatch):
    without()
    kept = np.ones((1, SIDE, SIDE, 1))  # float64: what a model gets is float32 all the same
    seen = []
    monkeypatch.setattr(runtimes, "_onnx", lambda _: lambda given: seen.append(given) or given)
    opened = runtimes.load(exported(tmp_path, about={"precision": "float32"}))
    assert opened.input_shape == opened.output_shape == (None, SIDE, SIDE, 1)
    assert (opened.name, opened.about["precision"]) == ("x.onnx", "float32")
    said = opened.predict_on_batch(kept)
    assert seen[0].dtype == said.dtype == np.float32
    said[:] = 7  # the caller's own
    assert (seen[0] == 1).all()


def test_what_a_runtime_cannot_open_is_told_in_a_line(without, tmp_path, monkeypatch):
    without()

    def fail(_):
        raise RuntimeError("no such opset" + "!" * 300 + "\nand more")

    monkeypatch.setattr(runtimes, "_onnx", fail)
    with pytest.raises(ValueError, match=r"x.onnx cannot be opened \(RuntimeError: no such opset!+"
                                         r"\); export it again") as caught:
        runtimes.load(exported(tmp_path))
    assert str(caught.value).count("!") == 200 - len("no such opset")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": 1'])
def test_what_stands_beside_and_is_damaged_is_refused(text, tmp_path):
    path = exported(tmp_path)
    runtimes.beside(path).write_text(text)
    with pytest.raises(ValueError, match="x.onnx.json does not fit x.onnx"):
        runtimes.read_about(path)
