"""Small trees of X-rays for the tests of the intake, and what becomes of them."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from unet_lib import workspace

IDS = [f"P_{number:02d}_{number % 2}" for number in range(8)]
TESTS = ["T_1", "T_2"]


def picture(name: str) -> np.ndarray:
    """Return the image that belongs to an id: (20, 24) uint8, different for each."""
    return np.random.default_rng(list(os.fsencode(name))).integers(0, 256, (20, 24), dtype=np.uint8)


def truth(name: str) -> np.ndarray:
    """Return the mask that belongs to an id: (20, 24) bool with a box in it."""
    mask = np.zeros((20, 24), bool)
    mask[5:15, 3 : 10 + len(name) % 3] = True
    return mask


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


PLACES = {
    "primary": ("train_images/{0}/images/{0}.png", "train_images/{0}/masks/{0}.png",
                "test_images/{0}/{0}.png"),
    "primary, test in images": ("train_images/{0}/images/{0}.png", "train_images/{0}/masks/{0}.png",
                                "test_images/{0}/images/{0}.png"),
    "usable": ("train/images/{0}.png", "train/masks/{0}.png", "test/{0}.png"),
    "flat": ("images/{0}.png", "masks/{0}.png", None),
    "flat, _mask": ("images/{0}.png", "masks/{0}_mask.png", None),
}  # fmt: skip


def make_tree(root: Path, *, layout: str = "primary", ids=IDS, tests=TESTS) -> Path:
    image_at, mask_at, test_at = PLACES[layout]
    for name in ids:
        save(root / image_at.format(name), picture(name))
        save(root / mask_at.format(name), truth(name) * np.uint8(255))
    for name in tests if test_at else []:
        save(root / test_at.format(name), picture(name))
    return root


def place(root: Path, *names: str) -> Path:
    """Make empty files, for tests that look at names alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def noted(tree) -> dict[str, list[str]]:
    """Return what a tree notes, without the faults that nothing was found of."""
    return {fault: sorted(cases) for fault, cases in tree.notes.items() if cases}


def state(folder: Path) -> dict:
    """Return everything about a folder, locks aside: names, links, bytes and times of change."""
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mtime_ns,
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
        if path.suffix != ".lock"
    }


def content(folder: Path) -> dict:
    return {name: data for name, (_, data) in state(folder).items()}


def trained(manifest: dict) -> list[str]:
    return sorted(manifest["split"]["train"] + manifest["split"]["validation"])


GREY = picture("x")
BOX = truth("x")
SOFT = cv2.GaussianBlur(BOX * 255.0, (5, 5), 1.5)


def finding(manifest: dict, fault: str) -> dict:
    return next(f for f in manifest["findings"] if f["fault"] == fault)


def image_of(root, name):
    return root / f"train_images/{name}/images/{name}.png"


def mask_of(root, name):
    return root / f"train_images/{name}/masks/{name}.png"


def copy_other_encoding(path, origin):
    pixels = cv2.imread(str(origin), cv2.IMREAD_UNCHANGED)
    path.write_bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes())
    assert path.read_bytes() != origin.read_bytes()


def run(script: str, *arguments) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(workspace.PROJECT)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
