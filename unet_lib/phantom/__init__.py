"""Synthetic chest X-rays with lung masks: free to share, since no patient is on them.

A phantom comes about as an X-ray does. Every structure adds attenuation along the ray (bone, soft
tissue) or takes some away (air); a display curve turns the sum into grey values. `frame` says where
the body lies, `anatomy` draws its parts, `film` exposes the picture and traces the lungs; `wide`
and `archive` add what other hospitals have.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from unet_lib.phantom import anatomy, film, wide
from unet_lib.phantom.frame import Frame

VARIETIES = ("usual", "wide")


def draw(
    seed: int | Sequence[int], *, size: int | tuple[int, int] = 512, variety: str = "usual"
) -> tuple:
    """Draw one phantom.

    Args:
        seed: a whole number, or several; each gives another phantom, the same one every time.
        size: side in px of a square image, or (height, width); 64 px or more.
        variety: "usual" draws well-positioned chests as one hospital takes them; "wide" adds what
            other archives hold (see `wide`), for a model that is to meet them.

    Returns:
        image: (H, W) uint8, bone and tissue bright, air dark.
        mask: (H, W) uint8, 255 on both lungs, 0 elsewhere. As in the Shenzhen set, polygons drawn
        as by hand, heart and mediastinum left out, ending at the diaphragm.
        label: 0 for a normal chest, 1 for one with opacities.

    Raises:
        ValueError: the size is below 64 px, or there is no such variety.
    """
    image, mask, label = _draw_sides(seed, size=size, variety=variety)
    return image, np.uint8(255) * (mask > 0), label


def _draw_sides(
    seed: int | Sequence[int], *, size: int | tuple[int, int], variety: str = "usual"
) -> tuple:
    """Draw one phantom as `draw` does, with a mask of 1 (right lung) and 2 (left lung)."""
    if variety not in VARIETIES:
        raise ValueError(f"variety must be one of {', '.join(VARIETIES)}, got {variety!r}")
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 64:
        raise ValueError(f"size must be 64 px or more on each side, got {size}; use 512")
    rng = np.random.Generator(np.random.PCG64(seed))
    label = int(rng.integers(2))
    frame = Frame(rng, (height, width))
    image, lung = (wide.take if variety == "wide" else _take)(frame, rng, label)
    return image, film.trace(rng, lung), label


def _take(frame: Frame, rng: np.random.Generator, label: int) -> tuple:
    """Take the picture of a body: image (H, W) uint8 and lungs in sight (H, W) bool."""
    tissue = anatomy.soft_tissue(frame, rng)
    lung, air, heart, abdomen = anatomy.chest(frame, rng, label)
    depth = tissue * (1.4 + .7 * frame.bulge(abdomen, .3)) + .3 * frame.bulge(heart, .4)
    depth += anatomy.bones(frame, rng, abdomen)
    lungs = np.minimum(1.2 * air, 1) * anatomy.inside(frame, rng, label)
    lungs = lungs - rng.uniform(.65, 1.1) * air
    depth += lungs - anatomy.gas(frame, rng)
    return film.stamp(rng, film.expose(frame, rng, depth)), lung


def write_primary_tree(
    folder: str | Path, *, train: int = 120, test: int = 12, seed: int = 0, sides: bool = False
) -> list[str]:
    """Write phantoms as the tree that a download gives: the source that notebook 01 restructures.

    `train_images/<id>/images/<id>.png` with `train_images/<id>/masks/<id>.png`, and
    `test_images/<id>/<id>.png` without a mask. Sides measure 400 to 640 px. An id such as
    `PHANTOM_0001_0` ends in the label, 0 normal or 1 with opacities; test numbers begin at 9001.
    Phantom number k of a seed is the same however many are drawn.

    Args:
        folder: where to write. It appears at once and whole, or, after an error, not at all.
        train: number of pairs, 0 to 9000.
        test: number of images without a mask, 0 to 999.
        seed: 0 or above; another seed gives other phantoms.
        sides: masks hold 1 on the patient's right lung, which is left in the picture, and 2 on the
            left one, instead of 255 on both.

    Returns:
        The ids: training pairs first, then test images.

    Raises:
        FileExistsError: the folder holds something already; nothing in it is changed.
        ValueError: a number is out of its range.
    """
    folder = Path(folder)
    _check(folder, train, test, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        ids = [_write(draft, seed, number, sides) for number in range(1, train + 1)]
        ids += [_write(draft, seed, 9000 + number, sides) for number in range(1, test + 1)]
        draft.chmod(0o755)
        if folder.exists():
            folder.rmdir()  # it is empty; Windows does not replace folders
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return ids


def _check(folder: Path, train: int, test: int, seed: int) -> None:
    for name, value, high in (("train", train, 9000), ("test", test, 999), ("seed", seed, 2**32)):
        if not 0 <= value <= high:
            raise ValueError(f"{name} must be from 0 to {high}, got {value}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"phantoms go into a new or empty folder, but {folder} holds something already; "
            "delete it or name another one"
        )


def redraw(name: str, *, seed: int = 0, sides: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Draw a phantom of `write_primary_tree` again: the truth of a test image is known to it alone.

    Args:
        name: the phantom's id, such as "PHANTOM_9001_0".
        seed: that of the tree.
        sides: whether its masks tell the two lungs apart.

    Returns:
        image: (H, W) uint8 in [0, 255].
        mask: (H, W) uint8, 255 on both lungs, or as `draw_sides` has it; 0 elsewhere.

    Raises:
        ValueError: no phantom has this id.
    """
    number = name.split("_")[1] if name.count("_") == 2 else ""
    drawn = _draw(seed, int(number), sides=sides) if number.isdecimal() else None
    if drawn is None or drawn[2] != name:
        raise ValueError(f"no phantom of seed {seed} has the id {name!r}; ids are such as"
                         " PHANTOM_9001_0, as write_primary_tree returns them")
    return drawn[:2]


def _draw(seed: int, number: int, *, sides: bool = False) -> tuple[np.ndarray, np.ndarray, str]:
    """Draw phantom `number` of a tree; return image, mask and id."""
    height, width = np.random.Generator(np.random.PCG64([seed, number, 1])).integers(400, 641, 2)
    size = int(height), int(width)
    image, mask, label = (_draw_sides if sides else draw)([seed, number], size=size)
    return image, mask, f"PHANTOM_{number:04d}_{label}"


def _write(root: Path, seed: int, number: int, sides: bool) -> str:
    """Write one phantom; numbers above 9000 are test images. Returns its id."""
    image, mask, name = _draw(seed, number, sides=sides)
    files = {f"train_images/{name}/images": image, f"train_images/{name}/masks": mask}
    for place, pixels in ({f"test_images/{name}": image} if number > 9000 else files).items():
        (root / place).mkdir(parents=True)
        (root / place / f"{name}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return name
