"""Calls of `predict`, the pictures that it is given, and what it leaves."""

import csv
import os

import cv2
import numpy as np
from made_sets import LEFT, LUNGS, RIGHT, WHITE, make_set, put

from unet_lib import __main__

HELD = np.uint8(200) - np.uint8(150) * LUNGS  # (64, 64): lungs 50, the rest 200
SIDES = np.uint8(1) * RIGHT + np.uint8(2) * LEFT
TWO_GREYS = np.select([RIGHT, LEFT], [50, 120], 200).astype(np.uint8)


def called(*arguments, capsys, model="dark.keras"):
    """Return the exit code, the rows of the table by file, and what was printed."""
    code = __main__.main(["predict", *map(str, arguments), "--model", model])
    said = capsys.readouterr()
    return code, rows(arguments[arguments.index("--out") + 1]), said.out + said.err


def rows(out):
    """Return the rows of the table in a folder by file, none where there is no table."""
    path = os.path.join(out, "predictions.csv")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def mask(path):
    """Return the pixels of a written PNG as they are."""
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def films(root, *names):
    """Write the same film under each name; return the folder."""
    for name in names:
        put(root / name, HELD)
    return root


def pictures(root):
    """Return the files of the images of a set."""
    return sorted((root / "images").iterdir())


def made(tmp_path, mask=WHITE, **more):
    """Return the pictures of a set and the folder of its masks."""
    root = make_set(tmp_path / "set", mask, **{"count": 3} | more)
    return pictures(root), root / "masks"
