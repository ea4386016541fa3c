"""Load what notebook 01 made: the manifest, images and masks, all of them plain 8-bit grey PNG.

A mask file of one class holds 0 and 255. Where masks tell several classes apart it holds the number
of the class at each pixel, 0 for background, and "classes" in the manifest their names in order.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from unet_lib import workspace

RECORDED = (
    "source", "val_fraction", "split_seed", "split_rule", "group_by", "mask_values", "intensity",
    "invert", "empty_masks", "follow_links",
)  # fmt: skip
"""What a manifest holds of the parameters of notebook 01."""

SIDES = "right lung=1, left lung=2"
"""What the masks of phantoms mean where `phantom_masks` is "sides"; the patient's right lung is on
the left of the picture."""


def load_manifest(folder: str | Path) -> dict:
    """Return the manifest of the data set in `folder`.

    Raises:
        FileNotFoundError: there is no data set, or not a whole one; notebook 01 makes it.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        whole = manifest["format"] == 1 and manifest["data_sha256"] == data_hash(manifest)
        whole = whole and all((folder / name).is_file() for name in files(manifest))
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise FileNotFoundError(
            f"{workspace.shown(folder)} holds no complete data set (a manifest.json and the files"
            " it names): notebooks/01_restructure_dataset.ipynb makes it; run that one first"
            + workspace.on_colab("01_restructure_dataset")
        )
    return manifest


def require(manifest: dict, **asked: object) -> None:
    """Refuse a data set that was made in another way than is asked for here.

    Args:
        manifest: from `load_manifest`.
        **asked: some or all parameters of notebook 01, by name; `dataset` is not compared.

    Raises:
        ValueError: one differs; the message says which, and how to get the data set asked for.
    """
    differ = {k: v for k, v in record(asked).items() if manifest.get(k) != v}
    if differ:
        pairs = [f"{k} was {manifest.get(k)!r}, here it is {v!r}" for k, v in differ.items()]
        raise ValueError(
            f"the data set {manifest['dataset']!r} was made differently: {'; '.join(pairs)}."
            " Set the same here, or run notebooks/01_restructure_dataset.ipynb with these values;"
            " another dataset name keeps both"
        )


def record(values: dict) -> dict:
    """Return parameters of notebook 01 as the manifest of what it makes records them.

    Args:
        values: some or all of its parameters; `dataset` names the folder and is left out.
    """
    named = {("split_rule" if name == "split" else name): v for name, v in values.items()}
    if "source" in values:
        known = {k: values[k] for k in ("phantoms", "phantom_masks") if k in values}
        named["source"] = source_name(values["source"], **known)
        if "mask_values" in values:
            named["mask_values"] = meaning_of_masks(values["mask_values"], named["source"])
    return {name: named[name] for name in RECORDED if name in named}


def source_name(source: str | Path, *, phantoms: int = 120, phantom_masks: str = "both") -> str:
    """Return the parameter `source` as a manifest keeps it.

    Args:
        source: "phantom", "kaggle", "kaggle:owner/name" or a folder.
        phantoms: how many, where they are the source.
        phantom_masks: whether their masks hold "both" lungs as one class, or their "sides" as two.
    """
    if source == "phantom":
        return f"phantom ({phantoms} pairs{', sides' * (phantom_masks == 'sides')})"
    named = str(source).partition(":")[0] == "kaggle"
    return source if named else workspace.shown(workspace.resolve(source))


def meaning_of_masks(mask_values: str, source: str) -> str:
    """Return `mask_values`; where it is "auto", for phantoms that tell sides apart what these hold.

    Args:
        mask_values: parameter of notebook 01.
        source: from `source_name`.
    """
    sides = source.startswith("phantom (") and source.endswith(", sides)")
    return SIDES if sides and mask_values == "auto" else mask_values


def data_hash(manifest: dict) -> str:
    """Return the SHA-256 of what a training depends on: pixels of all pairs, split, test images."""
    parts = [manifest["split"], manifest["test"], manifest["items"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def files(manifest: dict) -> list[str]:
    """Return the paths of all PNG files that a data set must hold, relative to its folder."""
    pairs = [i for part in manifest["split"].values() for i in part]
    trained = [f"train/{kind}/{i}.png" for kind in ("images", "masks") for i in pairs]
    return trained + [f"test/{i}.png" for i in manifest["test"]]


def read_image(path: str | Path) -> np.ndarray:
    """Read an image of a data set as (H, W) uint8 grey in [0, 255].

    Raises:
        ValueError: the file is empty, cut off, damaged or no picture.
    """
    data = Path(path).read_bytes()
    pixels = None
    if data and (data[:4] != b"\x89PNG" or b"IEND" in data[-12:]):  # OpenCV fills a cut PNG up
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise ValueError(
            f"{workspace.shown(path)} cannot be read: {len(data)} bytes, cut off or no picture;"
            " notebooks/01_restructure_dataset.ipynb makes it anew"
        )
    return pixels


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask of a data set: (H, W) uint8, 0 for background.

    Returns:
        {0, 1} of a file of 0 and 255; of one that holds numbers of classes, all below 128, these.

    Raises:
        ValueError: as `read_image`.
    """
    mask = read_image(path)
    return mask if mask.max(initial=0) < 128 else (mask >= 128).astype(np.uint8)


def used_ids(manifest: dict, training_pairs: int = 0) -> tuple[list[str], list[str]]:
    """Return the ids of the pairs that train and of those that validate.

    Args:
        manifest: from `load_manifest`.
        training_pairs: how many train, drawn at random by the random seed of the split; a larger
            number holds those of a smaller one. 0 for all, in the manifest's order.

    Raises:
        ValueError: there are not so many.
    """
    ids, validation = manifest["split"]["train"], manifest["split"]["validation"]
    if training_pairs > len(ids):
        raise ValueError(f"training_pairs is {training_pairs}, but the data set has {len(ids)}"
                         f" training pairs; use {len(ids)}, or 0 for all")
    if training_pairs:
        drawn = np.random.default_rng(manifest["split_seed"]).permutation(ids)
        ids = [str(name) for name in drawn[:training_pairs]]
    return ids, validation


def class_names(manifest: dict) -> list[str]:
    """Return the names of the classes that a data set's masks tell apart, in the order of their
    numbers 1, 2, ...; none where there is foreground and background alone.
    """
    return manifest.get("classes", [])


def tell_classes(manifest: dict) -> int:
    """Return how many classes there are; if any, print that they are taken together here."""
    names = class_names(manifest)
    if names:
        print(f"here all classes are taken together: {', '.join(names)}")
    return len(names)


def read_pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one training or validation pair at its own size.

    Args:
        folder: a data set made by notebook 01.
        name: the pair's id.

    Returns:
        The image, (H, W) uint8 in [0, 255], and the mask as `read_mask` gives it.
    """
    image, mask = (folder / "train" / kind / f"{name}.png" for kind in ("images", "masks"))
    return read_image(image), read_mask(mask)


def read_pairs(folder: Path, ids: Iterable[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the pairs of `ids` in this order, one in memory at a time; see `read_pair`."""
    return (read_pair(folder, name) for name in ids)
