"""`--model`: names of runs and files -> loaded models that predict together."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unet_lib import bootstrap, model_files, runs, workspace
from unet_lib.commands import kept, pieces, runtimes, usual

SHIPPED = Path(__file__).parents[1] / "weights" / "lungs.keras"
"""The model that predicts where no other is named."""


@dataclass(frozen=True)
class Together:
    """One model or several, of which the mean counts.

    Attributes:
        paths: their files.
        models: keras.Model or runtimes.Exported each.
        looks: the models for each size at which they look at a picture; the same, but for rounding,
            whether Keras or another runtime predicts.
        origins: for each look its file and its size in px, None for the model's own.
        digest: names their contents and how they are used.
        limits: what is usual for them.
        classes: names of the classes that they tell apart; none where there is foreground alone.
    """

    paths: list[Path]
    models: list
    looks: list
    origins: list[tuple[Path, int | None]]
    digest: str
    limits: usual.Limits
    classes: tuple[str, ...] = ()

    @property
    def side(self) -> int:
        """Side in px of the smallest model's input."""
        return min(model.input_shape[1] for model in self.models)


def load(asked: str | None, *, tiles: bool = False, kept_too: bool = True) -> Together:
    """Load what `--model` names; what an earlier call has kept is taken in the place of Keras.

    Args:
        asked: a .keras file, one that `export` wrote (.onnx, .xml, .tflite), a run's folder or
            name; several with commas between; None for the model that the project ships.
        tiles: whether pictures may be predicted piece by piece, by the model at its own size.
        kept_too: False: Keras itself is wanted, to export it.

    Raises:
        FileNotFoundError: there is no such file or finished run.
        ValueError: a file is no model that can be used; several models are of different tasks.
    """
    paths = list(_paths(asked)) if asked else [SHIPPED]
    limits = [_limits(path) for path in paths]
    opened = [_open(path, limit.sizes, kept_too=kept_too and not tiles)
              for path, limit in zip(paths, limits, strict=True)]
    models = [model for model, _ in opened]
    if len(found := {model.output_shape[-1] for model in models}) > 1:
        raise ValueError(
            f"--model {asked} names models of {sorted(found)} channels; a mean needs models of one"
            " task: name them in calls of their own"
        )
    origins = [(path, size) for path, limit in zip(paths, limits, strict=True)
               for size in limit.sizes or [None]]
    used = [
        (runtimes.digest(path), limit.sizes, limit.keep)
        for path, limit in zip(paths, limits, strict=True)
    ]
    classes = _names(paths, models[0].output_shape[-1] - 1)
    used += [classes] if classes else []
    digest = hashlib.sha256(json.dumps(used).encode()).hexdigest()
    looks = [look for _, each in opened for look in each]
    return Together(paths, models, looks, origins, digest, limits[0], classes)


def _open(path: Path, sizes: tuple[int, ...] | None, *, kept_too: bool) -> tuple:
    """Open a model, and return it with what it is at each size at which it looks at pictures."""
    if runtimes.knows(path):
        exported = runtimes.load(path)
        return exported, [exported]
    if kept_too and (found := kept.find(path, sizes)):
        return found[0], found
    prediction = _room()
    unet = prediction.load(path)
    looks = [prediction.resized(unet, size) for size in sizes] if sizes else [unet]
    noise = np.random.default_rng(0).random((1, *looks[0].input_shape[1:]), np.float32)
    model_files.check_values(path, looks[0].predict_on_batch(noise))
    return unet, looks


def _limits(path: Path) -> usual.Limits:
    """Return what is usual for a model; of an exported one it stands in the file beside it."""
    if not runtimes.knows(path):
        return usual.limits_for(path)
    try:
        return usual.from_record(runtimes.read_about(path)["usual"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{runtimes.beside(path)} cannot be read as what is usual for {path.name} ({error!r});"
            " export it again: python -m unet_lib export"
        ) from error


def _names(paths: list[Path], count: int) -> tuple[str, ...]:
    """Return the names of the classes that models tell apart, as their runs say; () for one class.

    A file without its run has none: "class 1", "class 2" and so on.
    """
    if not count:
        return ()
    known = set()
    for path in paths:
        if runtimes.knows(path):
            names = runtimes.read_about(path)["output"]["classes"]
        else:
            names = _names_of_run(path.parent)
        known.add(tuple(names) if len(names) == count else None)
    named = known - {None} or {tuple(f"class {n}" for n in range(1, count + 1))}
    if len(named) > 1:
        raise ValueError(
            f"--model names models of other classes: {' and '.join(map(', '.join, sorted(named)))};"
            " a mean needs models of one task: name them in calls of their own"
        )
    return named.pop()


def _names_of_run(folder: Path) -> tuple[str, ...]:
    """Return the names of the classes that a run was trained on; () where there is no run."""
    record = None
    with contextlib.suppress(ValueError):  # no run's folder
        record = runs.read_record(folder)
    return record["parameters"].get("classes", ()) if record else ()


def _room():
    """Import the room that predicts; TensorFlow comes with the first model that needs it."""
    bootstrap.quieten()
    from unet_lib import prediction

    return prediction


def _paths(asked: str) -> Iterator[Path]:
    """Give the file of each model; a comma parts two unless it belongs to a file's name."""
    for name in [asked] if Path(asked).exists() else asked.split(","):
        if not name.strip():
            raise ValueError(f"--model {asked!r} has an empty name; write as in 'a.keras,b.keras'")
        place = Path(name.strip()).expanduser()
        if place.is_file():
            yield place
            continue
        folder = place if place.is_dir() else _run(name.strip())
        if not (folder / "run.json").is_file():
            raise FileNotFoundError(f"--model {name.strip()!r} is a folder without a run.json, so"
                                    " no run of this project; name a finished run, or a .keras"
                                    " file")
        runs.load_run(folder)
        yield workspace.require_artifact(folder / "best.keras", "04_train")


def _run(name: str) -> Path:
    """Return the folder of a run that is given by its name."""
    home = workspace.workspace() / "runs"
    known = sorted(path.parent.name for path in home.glob("*/best.keras"))
    if name not in known:
        raise FileNotFoundError(
            f"--model {name!r} is neither a .keras file nor a run's folder (looked for"
            f" {Path(name).absolute()}), and in {home} there are: {', '.join(known) or 'no runs'}"
        )
    return home / name


def predict(together: Together, image: np.ndarray, *, tiles: bool = False) -> np.ndarray:
    """Return the probability of the foreground, (H, W) float32 in [0, 1].

    Of several classes it is (H, W, C + 1), background first.

    Args:
        together: from `load`.
        image: (H, W) uint8.
        tiles: predict a picture piece by piece at its own size where a side is above four times
            the model's.
    """
    if tiles and max(image.shape) > 4 * together.side:
        return pieces.predict(together.models, image)
    return _room().predict(together.looks, image)


def threshold(together: Together, probability: np.ndarray, level: float) -> np.ndarray:
    """Return the mask that is handed out: (H, W) bool where the probability reaches `level`.

    Of several classes it is uint8, the number of the most probable one at each pixel.
    """
    mask = _room().to_mask(probability, threshold=level)
    keep = together.limits.keep
    return mask if keep is None else _room().clean_up(mask, parts=keep)
