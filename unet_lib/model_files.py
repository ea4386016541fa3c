"""What stands in a model's file, read before Keras opens it: no code of a stranger runs.

Keras' own `safe_mode` turns away Lambda layers, but the oldest Keras that the project runs on still
lets a file name any module to import. Here only what Keras itself brings is let through.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unet_lib import workspace

NEEDED = {"config.json", "model.weights.h5"}
KERAS = re.compile(
    r"keras(\.(layers|models|initializers|regularizers|constraints|dtype_policies))?"
    r"|keras\.src\.models\.(functional|sequential|model)|keras\.src\.ops\.(numpy|nn)"
)
# Keras' own, but what they compute or read stands elsewhere: Python code, or other files
FOREIGN = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup",
           "IntegerLookup", "TextVectorization"}  # fmt: skip
PLAIN = {"__keras_tensor__", "__tensor__", "__numpy__", "__slice__", "__ellipsis__"}


class Refused(ValueError):
    """A model's file that is not opened; the message says in one sentence why, and the remedy."""


def check(path: Path) -> None:
    """See that a file is a whole Keras model without code of its own; nothing in it is run.

    Args:
        path: what is said to be a .keras file; it exists.

    Raises:
        Refused: it is something else, is cut, or holds what is not Keras' own.
    """
    if kind := _other_kind(path):
        raise Refused(
            f"{workspace.shown(path)} cannot be read as a Keras model: it is {kind}, not a .keras"
            " file; name a run, or a file that keras.Model.save wrote under a name ending in"
            " .keras (notebooks/04_train.ipynb makes one)"
        )
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    config.pop("compile_config", None)  # never used: models are not compiled here
    for name in _foreign(config):
        raise Refused(
            f"{workspace.shown(path)} is not opened: it needs {name}, which is no part of Keras or"
            " runs code from elsewhere, and such code could do anything on this computer; use a"
            " model that is made of Keras' own layers alone"
        )


def check_shapes(path: Path, inputs: object, outputs: object) -> None:
    """See that a model takes and gives pictures.

    Args:
        path: its file, for the message.
        inputs: `input_shape` of the model; wanted is (None, S, S, 1).
        outputs: `output_shape` of the model; wanted is (None, S, S, C).

    Raises:
        Refused: they are not what is wanted.
    """
    fits = isinstance(inputs, tuple) and isinstance(outputs, tuple)
    fits = fits and len(inputs) == len(outputs) == 4 and isinstance(inputs[1], int)
    size = inputs[1] if fits else None
    if not fits or inputs[1:] != (size, size, 1) or outputs[1:3] != (size, size) or not outputs[3]:
        raise Refused(
            f"{workspace.shown(path)} does not fit: its input is {inputs} and its output {outputs},"
            " expected (None, S, S, 1), one grey square of a fixed size, and (None, S, S, C), as"
            " many classes for each of its pixels; name a model that was built so"
            " (architecture.build_unet does)"
        )


def check_values(path: Path, said: np.ndarray) -> None:
    """See that a model gives probabilities: of other values a threshold of 0.5 makes other masks.

    Args:
        path: its file, for the message.
        said: (N, S, S, C), what it gives for any pictures.

    Raises:
        Refused: values beyond 0 to 1, or none; of several channels such as do not add up to 1.
    """
    low, high = float(said.min()), float(said.max())  # NaN if there is one
    sums = said.sum(-1) if said.shape[-1] > 1 else np.ones(1)
    if not (low >= -0.01 and high <= 1.01 and np.abs(sums - 1).max() <= 0.02):
        raise Refused(
            f"{workspace.shown(path)} does not fit: it gives values from {low:.3g} to {high:.3g},"
            f" whose sums over its {said.shape[-1]} channel(s) are {sums.min():.3g} to"
            f" {sums.max():.3g}; expected are probabilities, from 0 to 1, of several classes with"
            " the sum 1: end the model with a sigmoid, or a softmax over its classes"
        )


def _other_kind(path: Path) -> str:
    """Say what a file is if it is no .keras file, else ""."""
    if path.is_dir():
        return "a folder"
    with path.open("rb") as file:
        if file.read(8) == b"\x89HDF\r\n\x1a\n":
            return "an HDF5 file"
    if not zipfile.is_zipfile(path):
        return "damaged or something else"
    with zipfile.ZipFile(path) as archive:
        if not set(archive.namelist()) >= NEEDED:
            return "a ZIP archive without a model in it"
    return "" if path.suffix == ".keras" else f"named {path.suffix or 'without a suffix'}"


def _foreign(part: object) -> Iterator[str]:
    """Give the names of all classes and functions in a configuration that are not Keras' own."""
    if isinstance(part, dict):
        name, origin = part.get("class_name"), part.get("module")
        ours = isinstance(origin, str) and KERAS.fullmatch(origin) and name not in FOREIGN
        if name is not None and not (ours or (origin is None and name in PLAIN)):
            yield f"{origin}.{name}" if origin else str(name)
    values = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for value in values:
        yield from _foreign(value)
