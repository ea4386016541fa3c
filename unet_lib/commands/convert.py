"""A Keras model -> files of other runtimes, by Keras' own `export`; 8 bits by NNCF."""

import contextlib
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from unet_lib import bootstrap, workspace
from unet_lib.commands import parity, runtimes, usual

KERAS = (3, 15)
"""The first Keras whose `export` knows all formats and that was tried."""

CALIBRATION = 128
"""Phantoms from which NNCF learns the range of each layer's numbers."""


_INPUT = {
    "layout": "NHWC", "dtype": "float32", "range": [0, 1],
    "meaning": "grey; 0 is black, 1 white: 8-bit values divided by 255; nothing else is to be done"
               " to them, standardization is inside the model",
}
_RESIZE = {
    "sides": "each scaled by itself to the model's size, nothing cut off, nothing padded",
    "shrinking": "area average, cv2.INTER_AREA, on 8-bit values",
    "enlarging": "bilinear, cv2.INTER_LINEAR, on 8-bit values; also where one side alone grows",
    "back": "probabilities, bilinear, cv2.INTER_LINEAR; then the threshold",
}


def check_keras() -> None:
    """Raise ValueError if this Keras, or what it runs on, cannot export."""
    import keras

    found = tuple(int(part) for part in re.findall(r"\d+", keras.__version__)[:2])
    if found < KERAS:
        raise ValueError(
            f"exporting needs Keras {'.'.join(map(str, KERAS))} or newer, found"
            f" {keras.__version__}; pip install --upgrade keras"
        )
    if keras.config.backend() != "tensorflow":
        raise ValueError(
            f"exporting needs Keras on TensorFlow, found it on {keras.config.backend()}; leave out"
            " KERAS_BACKEND"
        )


def write(unet, path: Path) -> None:
    """Write a Keras model in the format that a file's ending names, in float32.

    Args:
        unet: (N, S, S, 1) float32 in [0, 1] in, probabilities out.
        path: .onnx, .xml (with .bin beside it) or .tflite, in a folder that is there.
    """
    import keras

    signature = [keras.InputSpec(shape=unet.input_shape, dtype="float32", name="image")]
    with silence():
        unet = _steady(unet)
        if path.suffix == runtimes.FORMATS["onnx"]:
            unet.export(os.fspath(path), format="onnx", verbose=False, input_signature=signature)
        elif path.suffix == runtimes.FORMATS["litert"]:
            unet.export(os.fspath(path), format="litert", verbose=False)
        else:
            _openvino(unet, path, signature)


def _openvino(unet, path: Path, signature: list) -> None:
    """Write OpenVINO's files by way of TensorFlow's SavedModel.

    Keras' own format="openvino" calls openvino.convert_model, which up to 2026.4.1 fails on Python
    3.13 ("name 'tensorflow' is not defined") and sends usage statistics to its makers.
    """
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        unet.export(folder, format="tf_saved_model", verbose=False, input_signature=signature)
        graph = runtimes.openvino_graph(Path(folder))
        openvino.save_model(graph, path, compress_to_fp16=False)  # which it does by itself


def _steady(unet):
    """Return the same model, its standardization in steps that no runtime can get wrong.

    Other runtimes add up the pixels of a picture one after another. In float32 the mean of 512 x
    512 px is then off by 2e-4, and a probability by more. Means of 16 x 16 px first, and then
    their mean, are exact to rounding.
    """
    import keras
    from keras import ops

    def mean(values):
        return ops.mean(ops.average_pool(values, 16), axis=(1, 2), keepdims=True)

    def change(layer):
        if not isinstance(layer, keras.layers.GroupNormalization) or layer.scale or layer.center:
            return layer
        if layer.input.shape[3] > 1 or any(side % 16 for side in layer.input.shape[1:3]):
            return layer

        def standardize(image):
            centred = image - mean(image)
            return centred * ops.rsqrt(mean(ops.square(centred)) + layer.epsilon)

        return keras.layers.Lambda(standardize, output_shape=layer.output.shape[1:])

    return keras.models.clone_model(unet, clone_function=change)


def quantize(path: Path, target: Path, *, size: int) -> None:
    """Write an OpenVINO model with weights and numbers between layers in 8 bits.

    The first and the last convolution stay in float32: they take little time, and with them in 8
    bits the Dice of the project's model moves twice as far.

    Args:
        path: .xml in float32.
        target: .xml to write.
        size: side in px of the model's input.
    """
    os.environ.setdefault("NNCF_CI", "1")  # else it sends usage statistics to its makers
    with silence(), plain_progress():
        import nncf
        import openvino

        squares = list(parity.calibration_squares(size, count=CALIBRATION))
        graph = runtimes.openvino_graph(path)
        convolutions = [node.get_friendly_name() for node in graph.get_ordered_ops()
                        if node.get_type_name() == "Convolution"]
        graph = nncf.quantize(
            graph, nncf.Dataset(squares), subset_size=len(squares),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=sorted({convolutions[0], convolutions[-1]})),
        )
        openvino.save_model(graph, target, compress_to_fp16=False)


def describe(
    path: Path, unet, source: Path, *, limits: usual.Limits, classes: tuple[str, ...] = (),
    precision: str = "float32", **known: dict,
) -> None:
    """Write beside a model what it takes and gives, and what is usual for it.

    Args:
        path: its file.
        unet: the Keras model that it comes from.
        source: the file of that.
        limits: what is usual for it.
        classes: names of the classes that it tells apart.
        precision: of its numbers.
        **known: what else is to stand there.
    """
    kind = runtimes.kind_of(path)
    workspace.write_json(runtimes.beside(path), {
        "format": kind, "precision": precision,
        "input": {"shape": unet.input_shape, **_INPUT},
        "resize": _RESIZE,
        "output": {"shape": unet.output_shape, "layout": "NHWC", "dtype": "float32",
                   "range": [0, 1], "classes": list(classes),
                   "meaning": "probability of background and of each class" if classes
                   else "probability of the foreground"},
        "threshold": None if classes else 0.5,
        "mask": "the most probable class" if classes else "the probability reaches the threshold",
        "keep": limits.keep, "usual": usual.to_record(replace(limits, sizes=None)),
        "sha256": runtimes.digest(path),
        "source": {"file": source.name, "sha256": runtimes.digest(source)},
        "versions": _versions(kind), **known,
    })


def _versions(kind: str) -> dict[str, str]:
    """Return the versions of what writes a format."""
    names = ["keras", "tensorflow", *runtimes.PACKAGES[kind]]
    found = {name: bootstrap.installed_version(name.replace("_", "-")) for name in names}
    return {name: version for name, version in found.items() if version}


@contextlib.contextmanager
def plain_progress() -> Iterator[None]:
    """Let rich, which draws NNCF's progress, print where `print` does, also in a notebook.

    There it would leave empty boxes on the page, past `silence`.
    """
    import rich

    console = rich.get_console()
    known, console.is_jupyter = console.is_jupyter, False
    try:
        yield
    finally:
        console.is_jupyter = known


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep converters from telling all they do; what fails is an exception anyway."""
    level = logging.root.manager.disable
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        stack.enter_context(bootstrap.stderr_aside())  # of C++
        logging.disable(logging.WARNING)
        stack.callback(logging.disable, level)
        yield
