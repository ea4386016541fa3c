"""Models of `predict`, converted once and kept: the next call does not start TensorFlow.

What is kept lies in the user's cache, under the digest of the Keras file that it comes from: in the
format of the fastest runtime that is installed, with what writes it. OpenVINO is left out: it is
slower than both others (docs/runtimes.md).
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import unet_lib
from unet_lib import workspace
from unet_lib.commands import runtimes

FASTEST = "litert", "onnx"
"""Formats by the speed of a whole call, as measured: alone, ONNX Runtime may be the quicker one."""

MANY = 50
"""Pictures in a call from which a conversion, some seconds for each size, is worth a try."""

_PHANTOMS = 8  # that a kept model is compared on


def _cache() -> Path:
    """Return the folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "unet-lowered"


def _files(source: Path, size: int | None) -> dict[str, Path]:
    """Return where a Keras file's kept models of a size lie, the fastest first, by format.

    Another release keeps its own.
    """
    folder = _cache() / f"{unet_lib.__version__}-{runtimes.digest(source)[:32]}"
    return {kind: folder / f"{size or 'own'}{runtimes.FORMATS[kind]}" for kind in FASTEST}


def find(source: Path, sizes: tuple[int, ...] | None) -> list[runtimes.Exported] | None:
    """Return the kept models of a Keras file.

    Args:
        source: the .keras file.
        sizes: sides in px at which it looks at pictures; None for its own.

    Returns:
        The fastest one of each size that is there, whole, and has its runtime installed; None
        where a size has none: use Keras.
    """
    found = [_first(_files(source, size).values()) for size in sizes or [None]]
    return found if all(found) else None


def _first(files: Iterable[Path]) -> runtimes.Exported | None:
    """Open the first file that can be opened."""
    for file in files:
        with contextlib.suppress(OSError, ValueError):  # not there, damaged, nothing that runs it
            return runtimes.load(file)
    return None


def keep(together, *, pictures: int) -> None:
    """Convert the models of a call, if it has shown that there are many pictures.

    Args:
        together: `models.Together` as that call has used it.
        pictures: how many it has predicted.
    """
    looks = zip(together.origins, together.looks, strict=True)
    wanted = [(*origin, look) for origin, look in looks if not isinstance(look, runtimes.Exported)]
    if pictures < MANY or not wanted or not (kinds := _possible()):
        return
    print("Converting the model once, so that the next calls start sooner", flush=True)
    for path, size, look in wanted:
        files = _files(path, size)
        for kind in kinds:  # the next one where a converter fails, or what it wrote differs
            with contextlib.suppress(Exception):  # converters raise what they like
                _convert(path, files[kind], look, together)
                break


def _possible() -> list[str]:
    """Return the formats that this Python can write and run, the fastest first."""
    from unet_lib.commands import convert

    with contextlib.suppress(ValueError):
        convert.check_keras()
        return [kind for kind in FASTEST if not runtimes.missing([kind])]
    return []


def _convert(source: Path, target: Path, look, together) -> None:
    """Write one model, if it says what Keras says."""
    from unet_lib.commands import convert, parity

    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / target.name
        convert.write(look, draft)
        convert.describe(draft, look, source, limits=together.limits, classes=together.classes)
        found = parity.Reference(look, pictures=_PHANTOMS).compare(runtimes.load(draft))
        found.require(parity.FLOAT)
        for file in (runtimes.beside(draft), draft):
            with workspace.replacing_file(target.parent / file.name) as partial:
                partial.write_bytes(file.read_bytes())
