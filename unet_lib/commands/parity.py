"""Does an exported model say what Keras says? Asked on phantoms, from a picture to its mask."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unet_lib import metrics, phantom, pixels, prediction

PICTURES = 66
"""Phantoms that the formats are compared on."""

_SEED = (12, 66)  # of these phantoms, which no other room draws
FLOAT = {"difference": 1e-4, "worst": 1e-3}
"""What float32 may differ by: rounding, and pixels that lie at the threshold."""

INT8 = {"difference": 0.9, "mean": 1e-3}
"""What 8 bits may differ by: no pixel may turn from sure to its opposite, and the mean Dice."""


class Differs(ValueError):
    """An exported model does not say what the Keras model says."""


@dataclass(frozen=True)
class Parity:
    """How far an exported model is from the Keras model.

    Attributes:
        pictures: phantoms that both predicted.
        difference: the largest difference of a probability, in [0, 1], at the model's size.
        keras: mean Dice of the Keras model's masks with the true ones, at the pictures' own size.
        dice: the same of the exported model.
        worst: the largest difference in Dice of one picture.
    """

    pictures: int
    difference: float
    keras: float
    dice: float
    worst: float

    @property
    def mean(self) -> float:
        """Difference of the two mean Dice."""
        return abs(self.dice - self.keras)

    def require(self, limits: dict[str, float]) -> None:
        """Raise Differs if a measure is above its limit, or no number.

        Args:
            limits: by the names of attributes, such as `FLOAT`.
        """
        for name, limit in limits.items():
            if not getattr(self, name) <= limit:
                told = {"difference": "a probability differs", "worst": "the Dice of a picture"
                        " differs", "mean": "the mean Dice differs"}[name]
                raise Differs(f"{told} by {getattr(self, name):.2g}, allowed is {limit:g}")


class Reference:
    """Phantoms, and what a Keras model says of them; each format is compared with it.

    Attributes:
        unet: the Keras model.
        images: (H, W) uint8 each, higher than wide, about twice the model's size.
        masks: (H, W) bool each: the true lungs.
    """

    def __init__(self, unet, *, pictures: int):
        self.unet, side = unet, unet.input_shape[1]
        height, width = (max(64, round(side * share)) for share in (1.6, 1.3))
        drawn = [phantom.draw([*_SEED, n], size=(height, width)) for n in range(pictures)]
        self.images = [image for image, _, _ in drawn]
        self.masks = [mask > 0 for _, mask, _ in drawn]

    @cached_property
    def squares(self) -> np.ndarray:
        """The pictures at the model's size: (N, S, S, 1) float32 in [0, 1]."""
        size = self.unet.input_shape[1]
        return pixels.to_float([pixels.resize_image(image, size) for image in self.images])

    @cached_property
    def said(self) -> list[np.ndarray]:
        """What the Keras model says of each picture: (S, S, C) float32."""
        return list(_one_by_one(self.unet, self.squares))

    def compare(self, other, *, threshold: float = 0.5) -> Parity:
        """Compare a model with the Keras model, picture by picture and in a batch.

        Args:
            other: with `predict_on_batch`, such as `runtimes.Exported`.
            threshold: probability from which a pixel is lung.
        """
        said = list(_one_by_one(other, self.squares))
        batch = np.abs(other.predict_on_batch(self.squares[:3]) - self.said[:3])
        each = [np.abs(a - b).max() for a, b in zip(said, self.said, strict=True)]
        keras, dice = (self._dice(one, threshold) for one in (self.said, said))
        return Parity(
            pictures=len(said), difference=float(np.max([*each, batch.max()])),
            keras=float(np.mean(keras)), dice=float(np.mean(dice)),
            worst=float(np.abs(np.subtract(keras, dice)).max()),
        )

    def _dice(self, said: Sequence[np.ndarray], threshold: float) -> list[float]:
        """Return the Dice of each mask, at the picture's own size; of several classes together."""
        return [
            metrics.dice(mask, prediction.to_mask(
                pixels.resize_probability(one, mask.shape), threshold=threshold) > 0)
            for one, mask in zip(said, self.masks, strict=True)
        ]


def _one_by_one(model, squares: np.ndarray) -> Iterator[np.ndarray]:
    """Give what a model says of each picture, which it sees alone."""
    for number in range(len(squares)):
        yield model.predict_on_batch(squares[number : number + 1])[0]


def calibration_squares(size: int, *, count: int) -> Iterator[np.ndarray]:
    """Give phantoms that parity is not asked on: (1, S, S, 1) float32 in [0, 1] each.

    Args:
        size: side in px.
        count: how many.
    """
    for number in range(count):
        image, _, _ = phantom.draw([12, 8, number], size=max(64, size))
        yield pixels.to_float([pixels.resize_image(image, size)])
