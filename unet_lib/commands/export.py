"""`export`: one model -> files that run without Keras, each compared with it before it is kept."""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from unet_lib import workspace
from unet_lib.commands import convert, models, parity, publish, runtimes


def run(
    out: Path, *, model: str | None = None, formats: Sequence[str] = tuple(runtimes.FORMATS)
) -> int:
    """Write a model in other formats, and print how far each is from Keras.

    Args:
        out: folder to write into; files of these names are replaced, others left alone.
        model: a .keras file or a finished run; None for the model that the project ships.
        formats: of `runtimes.FORMATS`; "openvino" comes in float32 and in int8. Or of
            `runtimes.PUBLISHED`: what is handed on, with a card.

    Returns:
        0: all were written; 1: one was not, for it differs or cannot be converted; 2: nothing was
        begun.
    """
    try:
        _check(out, formats)
        together = models.load(model, kept_too=False)
        _check_model(together)
        for kind in set(formats) & set(runtimes.PUBLISHED):
            publish.place(kind, out, name_of(together.paths[0]))
    except (OSError, ValueError) as error:
        print(f"Refused, nothing was written: {error}", file=sys.stderr)
        return 2
    reference, failed = parity.Reference(together.models[0], pictures=parity.PICTURES), []
    print(f"compared with Keras on {len(reference.images)} phantoms, at their own size")
    for kind in formats:
        with tempfile.TemporaryDirectory() as folder:
            write = _publish if kind in runtimes.PUBLISHED else _export
            failed += write(kind, Path(folder), out, together, reference)
    for told in failed:
        print(f"not written: {told}", file=sys.stderr)
    return int(bool(failed))


def _check(out: Path, formats: Sequence[str]) -> None:
    """Raise ValueError if a package is missing, Keras is too old or `out` cannot be a folder."""
    if gone := runtimes.missing(formats):
        raise ValueError(
            f"{', '.join(formats)} need{'s' * (len(formats) == 1)} packages that are not installed"
            f" ({', '.join(gone)}); {runtimes.remedy(formats)}"
        )
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise ValueError(f"--out must be a folder, new or not, but {str(place)!r} is a file;"
                             " name another")


def _check_model(together: models.Together) -> None:
    """Raise ValueError if it is not one model of Keras, or this Keras cannot export."""
    if len(together.models) > 1:
        raise ValueError(f"--model names {len(together.models)} models; a file holds one: export"
                         " each in a call of its own")
    if runtimes.knows(together.paths[0]):
        raise ValueError(f"{together.paths[0].name} was exported already; name the .keras file or"
                         " the run that it came from")
    convert.check_keras()


def name_of(path: Path) -> str:
    """Return what exported files of a model are called: as its run, or else as its file."""
    of_run = path.stem in ("best", "last") and (path.parent / "run.json").is_file()
    return path.absolute().parent.name if of_run else path.stem


def _export(
    kind: str, folder: Path, out: Path, together: models.Together, reference
) -> list[str]:
    """Write one format, OpenVINO's also in int8; return what failed, and why."""
    unet, name, ending = together.models[0], name_of(together.paths[0]), runtimes.FORMATS[kind]
    whole = folder / f"{name}{ending}"
    steps = [(whole, "float32", parity.FLOAT, lambda: convert.write(unet, whole))]
    if kind == "openvino":
        small = folder / f"{name}_int8{ending}"
        size = unet.input_shape[1]
        steps += [(small, "int8", parity.INT8, lambda: convert.quantize(whole, small, size=size))]
    for path, precision, limits, make in steps:
        told = {"precision": precision, "limits": together.limits, "classes": together.classes}
        try:
            make()
            convert.describe(path, unet, together.paths[0], **told)
            found = reference.compare(runtimes.load(path))
            _tell(path.name, found)
            found.require(limits)
        except Exception as error:  # converters raise what they like
            return [f"{path.name}: {_reason(error)}"]
        convert.describe(path, unet, together.paths[0], **told, parity=asdict(found))
        _keep(path, out)
    return []


def _publish(
    kind: str, folder: Path, out: Path, together: models.Together, reference
) -> list[str]:
    """Write what is handed on, with an ONNX file in it; return what failed, and why."""
    name = name_of(together.paths[0])
    target, made = publish.place(kind, out, name), folder / "made"
    if failed := _export("onnx", folder, made, together, reference):
        return [f"{target.name}: {told}" for told in failed]
    try:
        told = publish.write(kind, target, made / f"{name}.onnx", together, reference)
    except Exception as error:  # of the specification, of its validator
        return [f"{target.name}: {' '.join(str(error).split())[:300]}"]
    print(told, flush=True)
    return []


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _tell(name: str, found) -> None:
    """Print one line on a file."""
    print(f"{name:<20} largest difference of a probability {found.difference:.1e}, Dice"
          f" {found.dice:.4f} (Keras {found.keras:.4f}), of one picture at most {found.worst:.4f}"
          " apart", flush=True)


def _keep(path: Path, out: Path) -> None:
    """Bring a model's files to their place, each whole or not at all."""
    files = [path.with_suffix(".bin"), path, runtimes.beside(path)]
    with workspace.alone(out):
        for file in files:
            if file.exists():
                with workspace.replacing_file(out / file.name) as partial:
                    shutil.copyfile(file, partial)
