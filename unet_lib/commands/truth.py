"""True masks for predicted ones: which file belongs to which picture, and how well it was met.

What names, places and values mean is told by the rooms of the intake. A picture that lies in the
folder of the masks itself gets the mask that the intake would give it; one from elsewhere is found
by its name, and by the folders above it where one name occurs in several.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from unet_lib import metrics, workspace
from unet_lib.intake import layouts, masks, pairs, reading, sidecars, values, walk
from unet_lib.intake.layouts import File, Meaning
from unet_lib.intake.looks import Progress

_NAMED = 5  # files that a message names


@dataclass
class Truth:
    """The true masks of a set of pictures; none is held in memory.

    Attributes:
        files: of each picture that has them, by its real path, the mask files; several are joined.
        missing: pictures without a true mask.
        faults: pictures whose mask cannot be used, by their real path, and why.
        notes: sentences to print: what was left out.
        meaning: what the values of the masks mean.
    """

    files: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    missing: list[Path] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    meaning: masks.Meaning | None = None

    def read(self, picture: Path, *, shape: tuple[int, int]) -> np.ndarray | None:
        """Return the true mask of a picture as (H, W) bool, or None if it has none.

        Args:
            picture: one of those that `find` was given.
            shape: height and width of the prediction in px; a mask of another size but the same
                proportions is resized to it, each pixel the nearest one.

        Raises:
            OSError, ValueError: its mask cannot be used; the message says why.
        """
        raise NotImplementedError


def find(
    pictures: Iterable[Path],
    folder: Path,
    *,
    mask_values: str = "auto",
    progress: Progress | None = None,
) -> Truth:
    """Find the true masks of pictures in a folder, and what the values of all of them mean.

    Args:
        pictures: files with one picture each.
        folder: masks, or a whole data set with masks in it; links are followed.
        mask_values: see `masks.decide`.
        progress: called with (masks examined, masks in all).

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: no picture has a mask there, or what the masks mean is not plain.
    """
    raise NotImplementedError


def score(
    mask: np.ndarray, prediction: np.ndarray, *, spacing: tuple[float, float] | None = None
) -> dict[str, float | None]:
    """Score a prediction against the true mask.

    Args:
        mask: (H, W) bool, the truth.
        prediction: (H, W) bool.
        spacing: height and width of a pixel in mm, if they are known.

    Returns:
        dice; hd95_px, the 95th percentile of the distances of the outlines in pixels; hd95_mm, the
        same in mm, or None where the size of a pixel is not known or the pixel is no square.

    Raises:
        ValueError: the shapes differ.
    """
    raise NotImplementedError


def summary(rows: Sequence[dict]) -> str:
    """Return what a user reads in the end, from the rows of predictions.csv.

    Args:
        rows: with "file", and "dice" and "hd95_px" as numbers or text, empty or missing where a
            picture was not scored.
    """
    raise NotImplementedError
