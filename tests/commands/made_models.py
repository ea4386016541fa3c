"""Small models, and a converter that is none: what tests of exported models share."""

import json

import keras

from unet_lib import __main__, architecture
from unet_lib.commands import convert, runtimes

SIDE = 64


def small(*, classes=1, **options):
    """Return a U-Net of 64 px and few weights, the same each time."""
    keras.utils.set_random_seed(0)
    return architecture.build_unet(SIDE, width=2, classes=classes, **options)


def save(path, **options):
    """Write a small model and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small(**options).save(path)
    return path


def files(folder):
    """Return the names of what lies in a folder, none where there is no folder."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def called(*arguments, capsys):
    """Call `export`; return its exit code, what it said, and what it complained of."""
    code = __main__.main(["export", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


class Stub:
    """Stands for the runtimes: its file says how far it is from Keras."""

    def __init__(self, monkeypatch):
        self.off = 0.0
        monkeypatch.setattr(convert, "KERAS", (3, 10))  # no other is needed to write such files
        monkeypatch.setattr(convert, "write", self.write)
        monkeypatch.setattr(convert, "quantize", self.write_int8)
        monkeypatch.setattr(runtimes, "load", self.load)

    def write(self, unet, path):
        self.unet = unet
        path.write_text(f"{self.off}")
        if path.suffix == ".xml":
            path.with_suffix(".bin").write_text("weights")

    def write_int8(self, path, target, *, size):
        assert path.exists() and size == SIDE
        self.write(self.unet, target)

    def load(self, path):
        about = json.loads(runtimes.beside(path).read_text())
        assert about["sha256"] == runtimes.digest(path)
        off = float(path.read_text())
        return runtimes.Exported(path, about, lambda x: self.unet.predict_on_batch(x) + off)
