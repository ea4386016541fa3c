"""Models of `predict`, converted once and kept: the next call does not start TensorFlow.

What is kept lies in the user's cache, under the digest of the Keras file that it comes from. LiteRT
is the one: it starts as soon as any, and one package writes and runs it. ONNX Runtime is somewhat
quicker once it runs (docs/runtimes.md), and takes three.
"""

import contextlib
import importlib.util
import os
import tempfile
from pathlib import Path

import unet_lib
from unet_lib import workspace
from unet_lib.commands import runtimes

MANY = 50
"""Pictures in a call from which a conversion, some seconds for each size, is worth a try."""

_PHANTOMS = 8  # that a kept model is compared on


def _cache() -> Path:
    """Return the folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "unet-lowered"


def _file(source: Path, size: int | None) -> Path:
    """Return where the kept model of a Keras file lies; another release keeps its own."""
    folder = _cache() / f"{unet_lib.__version__}-{runtimes.digest(source)[:32]}"
    return folder / f"{size or 'own'}.tflite"


def find(source: Path, sizes: tuple[int, ...] | None) -> list[runtimes.Exported] | None:
    """Return the kept models of a Keras file.

    Args:
        source: the .keras file.
        sizes: sides in px at which it looks at pictures; None for its own.

    Returns:
        One for each size; None if one is missing or damaged, or there is no LiteRT: use Keras.
    """
    files = [_file(source, size) for size in sizes or [None]]
    if not all(file.is_file() for file in files):
        return None
    try:
        return [runtimes.load(file) for file in files]
    except (OSError, ValueError):
        return None


def keep(together, *, pictures: int) -> None:
    """Convert the models of a call, if it has shown that there are many pictures.

    Args:
        together: `models.Together` as that call has used it.
        pictures: how many it has predicted.
    """
    looks = zip(together.origins, together.looks, strict=True)
    wanted = [(*origin, look) for origin, look in looks if not isinstance(look, runtimes.Exported)]
    if pictures < MANY or not wanted or not _possible():
        return
    print("Converting the model once, so that the next calls start sooner", flush=True)
    for path, size, look in wanted:
        with contextlib.suppress(OSError, ValueError):  # a disk without room; a model that differs
            _convert(path, _file(path, size), look, together)


def _possible() -> bool:
    """Say whether this Python can write and run LiteRT's files."""
    from unet_lib.commands import convert

    with contextlib.suppress(ValueError):
        convert.check_keras()
        return importlib.util.find_spec(runtimes.PACKAGES["litert"][0]) is not None
    return False


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
