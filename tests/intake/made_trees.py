"""Small trees of X-rays for the tests of the intake, and what becomes of them."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from unet_lib import workspace
from unet_lib.intake import layouts, walk
from unet_lib.intake.tree import find_tree

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


def located(*names: str) -> list[layouts.File]:
    """Return files of which nothing but names and places is known."""
    ways = [Path(name) for name in names]
    return layouts.locate(walk.Entry(way.parts[:-1], way.name, way) for way in ways)


def tree_of(root: Path, *names: str, **options):
    """Make empty files in root/s, and return the tree that is found there."""
    return find_tree(place(root / "s", *names), **options)


def paired(tree) -> dict[str, list[str]]:
    """Return what belongs to each id: the image, then its masks."""
    return {i: [tree.name(p) for p in (tree.images[i], *tree.masks[i])] for i in tree.images}


def both(form: str, *ids: str) -> list[str]:
    """Return the names of images and masks; `form` holds {kind} and {id}."""
    return [form.format(kind=kind, id=i) for kind in ("images", "masks") for i in ids]


LAYOUTS = {  # what lies where -> what belongs together
    "train and val": (
        [*both("train/{kind}/{id}.png", "a"), *both("val/{kind}/{id}.png", "b"), "test/c.png"],
        {"a": ["train/images/a.png", "train/masks/a.png"],
         "b": ["val/images/b.png", "val/masks/b.png"]}),
    "parts below roles": (
        ["images/train/a.png", "labels/train/a.png", "images/valid/b.png", "labels/valid/b.png"],
        {"a": ["images/train/a.png", "labels/train/a.png"],
         "b": ["images/valid/b.png", "labels/valid/b.png"]}),
    "folders of masks beside train": (
        ["train/a.jpg", "train_masks/a_mask.gif"],
        {"a": ["train/a.jpg", "train_masks/a_mask.gif"]}),
    "nnU-Net": (
        ["imagesTr/c_01_0000.png", "labelsTr/c_01.png", "imagesTr/c_02_0000.png",
         "labelsTr/c_02.png"],
        {"c_01": ["imagesTr/c_01_0000.png", "labelsTr/c_01.png"],
         "c_02": ["imagesTr/c_02_0000.png", "labelsTr/c_02.png"]}),
    "classes": (
        [*both("R/COVID/{kind}/{id}.png", "COVID-1"), *both("R/Normal/{kind}/{id}.png", "N-1")],
        {"COVID-1": ["R/COVID/images/COVID-1.png", "R/COVID/masks/COVID-1.png"],
         "N-1": ["R/Normal/images/N-1.png", "R/Normal/masks/N-1.png"]}),
    "classes that count alike": (
        ["COVID/images/1.png", "COVID/masks/1.png", "Normal/images/1.png", "Normal/masks/1.png",
         "COVID/images/2.png", "COVID/masks/2.png"],
        {"COVID_1": ["COVID/images/1.png", "COVID/masks/1.png"],
         "Normal_1": ["Normal/images/1.png", "Normal/masks/1.png"],
         "2": ["COVID/images/2.png", "COVID/masks/2.png"]}),
    "classes below the roles": (
        ["images/x/1.png", "masks/x/1.png", "images/y/1.png", "masks/y/1.png", "images/y/2.png"],
        {"x_1": ["images/x/1.png", "masks/x/1.png"], "y_1": ["images/y/1.png", "masks/y/1.png"]}),
    "classes below parts": (
        ["D/D/Train/COVID/images/1.png", "D/D/Train/COVID/lung masks/1.png",
         "D/D/Train/COVID/infection masks/1.png", "D/D/Val/COVID/images/2.png",
         "D/D/Val/COVID/lung masks/2.png"],
        {"1": ["D/D/Train/COVID/images/1.png", "D/D/Train/COVID/lung masks/1.png"],
         "2": ["D/D/Val/COVID/images/2.png", "D/D/Val/COVID/lung masks/2.png"]}),
    "one folder": (
        ["x.png", "x_mask.png", "y.jpg", "y-seg.png"],
        {"x": ["x.png", "x_mask.png"], "y": ["y.jpg", "y-seg.png"]}),
    "one folder a part": (
        ["train/x.png", "train/x_mask.png", "val/y.png", "val/y_mask.png"],
        {"x": ["train/x.png", "train/x_mask.png"], "y": ["val/y.png", "val/y_mask.png"]}),
    "a folder for each image": (
        ["P1/image.png", "P1/mask.png", "P2/image.png", "P2/mask.png"],
        {"P1": ["P1/image.png", "P1/mask.png"], "P2": ["P2/image.png", "P2/mask.png"]}),
    "Montgomery": (
        ["M/CXR_png/a_0.png", "M/ManualMask/leftMask/a_0.png", "M/ManualMask/rightMask/a_0.png"],
        {"a_0": ["M/CXR_png/a_0.png", "M/ManualMask/leftMask/a_0.png",
                 "M/ManualMask/rightMask/a_0.png"]}),
    "sides in folders": (
        ["images/a.png", "masks/right/a.png", "masks/left/a.png"],
        {"a": ["images/a.png", "masks/left/a.png", "masks/right/a.png"]}),
    "sides in names": (
        ["images/a.png", "masks/a_left.png", "masks/a_right.png", "images/b.png",
         "masks/b_mask_left.png", "masks/b_right_mask.png"],
        {"a": ["images/a.png", "masks/a_left.png", "masks/a_right.png"],
         "b": ["images/b.png", "masks/b_mask_left.png", "masks/b_right_mask.png"]}),
    "one lung of all": (
        ["images/a.png", "masks/left/a.png"], {"a": ["images/a.png", "masks/left/a.png"]}),
    "views that are called sides": (
        both("{kind}/{id}.png", "a_left", "a_right"),
        {i: [f"images/{i}.png", f"masks/{i}.png"] for i in ("a_left", "a_right")}),
    "both suffixes at once": (
        ["cxr/a.png", "cxr/b_image.png", "gt/a_lungmask.tif", "gt/b_label.bmp"],
        {"a": ["cxr/a.png", "gt/a_lungmask.tif"], "b": ["cxr/b_image.png", "gt/b_label.bmp"]}),
    "prefixes": (
        ["images/image_1.png", "masks/mask_1.png"],
        {"1": ["images/image_1.png", "masks/mask_1.png"]}),
    "DICOM": (
        ["images/1.2.840.113", "masks/1.2.840.113.png", "images/b.dcm", "masks/b.png"],
        {"1.2.840.113": ["images/1.2.840.113", "masks/1.2.840.113.png"],
         "b": ["images/b.dcm", "masks/b.png"]}),
    "doubled by a zip": (
        both("set/{kind}/{kind}/{id}.png", "a"),
        {"a": ["set/images/images/a.png", "set/masks/masks/a.png"]}),
    "Kaggle's Lung Segmentation": (
        ["data/Lung Segmentation/CXR_png/a_0.png", "data/Lung Segmentation/masks/a_0_mask.png",
         "data/Lung Segmentation/CXR_png/b_0.png", "data/Lung Segmentation/masks/b_0.png"],
        {i: [f"data/Lung Segmentation/CXR_png/{i}.png", f"data/Lung Segmentation/masks/{m}.png"]
         for i, m in (("a_0", "a_0_mask"), ("b_0", "b_0"))}),
    "capitals": (["IMAGES/A.PNG", "Masks/A_MASK.Png"], {"A": ["IMAGES/A.PNG", "Masks/A_MASK.Png"]}),
    "heart alone": (
        ["images/a.png", "masks/heart/a.png"], {"a": ["images/a.png", "masks/heart/a.png"]}),
}  # fmt: skip


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
