"""Models that have left Keras: opened with the runtime of their format, and run without TensorFlow.

Beside each file lies a JSON file of the same name with `.json` behind it: what the model takes and
gives, how a picture gets there, and what its masks were worth. `export` writes both.
"""

import functools
import hashlib
import importlib.util
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from unet_lib import bootstrap, workspace

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite"}
"""The ending of each format's file; OpenVINO's has a second one, with the weights: .bin."""

PACKAGES = {
    "onnx": ("onnxruntime", "onnx", "tf2onnx"),
    "openvino": ("openvino", "nncf"),
    "litert": ("ai_edge_litert",),
}
"""Modules of each format: the first one runs it, the others help to write it."""

PUBLISHED = {
    "bioimageio": ("bioimageio.core", *PACKAGES["onnx"]),
    "huggingface": PACKAGES["onnx"],
}
"""Modules of what is made to be handed on; an ONNX file lies in each."""

REMEDY = "pip install -e '.[ship]' in the project's folder brings all of them"


class Exported:
    """A model outside Keras, with all that the room `prediction` asks of a Keras model.

    Threads may share one: an interpreter has one place for what goes in and one for what comes out,
    so that a lock lets them through one after another.

    Attributes:
        name: of its file.
        about: what stands in the JSON file beside it.
        input_shape: (None, S, S, 1), as of the Keras model.
        output_shape: (None, S, S, C), as of the Keras model.
    """

    def __init__(self, path: Path, about: dict, run: Callable[[np.ndarray], np.ndarray]):
        self.name, self.about = path.name, about
        self.input_shape, self.output_shape = (
            tuple(about[end]["shape"]) for end in ("input", "output")
        )
        self._run, self._lock = run, threading.Lock()

    def predict_on_batch(self, squares: np.ndarray) -> np.ndarray:
        """Return the probabilities of pictures of the model's size.

        Args:
            squares: (N, S, S, 1) float32 in [0, 1].

        Returns:
            (N, S, S, C) float32 in [0, 1]; the caller's own.

        Raises:
            ValueError: they are of another shape.
        """
        squares = np.ascontiguousarray(squares, np.float32)
        if squares.ndim != 4 or squares.shape[1:] != self.input_shape[1:]:
            raise ValueError(
                f"{self.name} takes pictures of shape {self.input_shape}, got {squares.shape};"
                " resize them with pixels.resize_image"
            )
        with self._lock:
            return np.array(self._run(squares))


def knows(path: Path) -> bool:
    """Say whether a file is named as one of these models."""
    return path.suffix in FORMATS.values()


def kind_of(path: Path) -> str:
    """Return the format that a file is named as."""
    return next(kind for kind, ending in FORMATS.items() if ending == path.suffix)


def missing(formats: Sequence[str]) -> list[str]:
    """Return the modules that writing and running these formats needs and that are not there."""
    wanted = dict.fromkeys(name for each in formats for name in (PACKAGES | PUBLISHED)[each])
    return [name for name in wanted if not _installed(name)]


def remedy(formats: Sequence[str]) -> str:
    """Return how one gets what `missing` names."""
    return REMEDY.replace("ship", "ship,publish") if "bioimageio" in formats else REMEDY


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it would lie in is not there either
        return False


def beside(path: Path) -> Path:
    """Return where it is told what a model's file takes and gives."""
    return path.with_name(f"{path.name}.json")


def digest(path: Path) -> str:
    """Return the SHA-256 of a model: of its file, and of its weights where they are in another."""
    weights = [path.with_suffix(".bin")] if path.suffix == FORMATS["openvino"] else []
    return hashlib.sha256(b"".join(part.read_bytes() for part in [path, *weights])).hexdigest()


def load(path: Path) -> Exported:
    """Open a model that `export` has written.

    Args:
        path: .onnx, .xml or .tflite.

    Raises:
        FileNotFoundError: the JSON file beside it, or its weights, are missing.
        ValueError: no package is there that runs it; the file is another one than the JSON file
            tells of; the runtime cannot open it.
    """
    kind, about = kind_of(path), read_about(path)
    if importlib.util.find_spec(PACKAGES[kind][0]) is None:
        raise ValueError(
            f"{workspace.shown(path)} needs the package {PACKAGES[kind][0]}, which is not"
            f" installed; {REMEDY}"
        )
    opened = {"onnx": _onnx, "openvino": _openvino, "litert": _litert}[kind]
    try:
        with bootstrap.stderr_aside():  # LiteRT says there what it has chosen
            return Exported(path, about, opened(path))
    except Exception as error:  # each runtime has errors of its own
        reason = (str(error).splitlines() or [""])[0][:200]
        raise ValueError(
            f"{workspace.shown(path)} cannot be opened ({type(error).__name__}: {reason}); export"
            " it again: python -m unet_lib export"
        ) from error


def read_about(path: Path) -> dict:
    """Return what stands beside a model.

    Raises:
        FileNotFoundError: nothing does.
        ValueError: it tells of another file.
    """
    told = beside(path)
    if not told.is_file():
        raise FileNotFoundError(
            f"{workspace.shown(told)} is not there, so that nobody knows how {path.name} wants its"
            " pictures; copy both files, or export it again: python -m unet_lib export"
        )
    try:
        about = json.loads(told.read_text("utf-8"))
        same = about["sha256"] == digest(path)
        if not same:
            raise ValueError(f"it tells of another {path.name}")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{workspace.shown(told)} does not fit {path.name} ({error}); copy both files from one"
            " place, or export it again: python -m unet_lib export"
        ) from error
    return about


def threads() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _onnx(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    return lambda squares: session.run(None, {given.name: squares})[0]


def _openvino(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    # Where a processor has bfloat16, OpenVINO would multiply in it: other masks on other machines
    exact = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = _core().compile_model(openvino_graph(path), "CPU", exact).create_infer_request()
    return lambda squares: request.infer([squares])[0]


@functools.cache
def _core():
    import openvino

    return openvino.Core()


def openvino_graph(path: Path):
    """Return the graph of an OpenVINO file, or of a folder with TensorFlow's SavedModel."""
    return _core().read_model(os.fspath(path))


def _litert(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=threads())
    (given,), (said,) = interpreter.get_input_details(), interpreter.get_output_details()
    if given["dtype"] is not np.float32 or said["dtype"] is not np.float32:
        raise ValueError("its numbers are no float32, and no scale is applied here")
    shape = tuple(given["shape"])  # of one picture
    interpreter.allocate_tensors()

    def run(squares: np.ndarray) -> np.ndarray:
        nonlocal shape
        if squares.shape != shape:  # another number of pictures than before
            interpreter.resize_tensor_input(given["index"], squares.shape)
            interpreter.allocate_tensors()
            shape = squares.shape
        interpreter.set_tensor(given["index"], squares)
        interpreter.invoke()
        return interpreter.get_tensor(said["index"])

    return run
