"""One random transformation for each pair: image and mask move alike, grey changes in the image."""

import math
from collections.abc import Sequence

import tensorflow as tf

STREAMS = ("rotation", "zoom", "shift", "contrast", "brightness", "gamma")


class Augmentation:
    """One random transformation for each pair, of image and mask alike.

    On the image alone: contrast by up to 25 %, brightness by up to 0.1, gamma with an exponent from
    0.75 to 1.33. Then on both: rotation by up to 6 degrees, zoom of each axis by up to 12 %, shift
    along each axis by up to 6 % of the side, as one affine map. What the geometry uncovers is
    black, as beyond a collimator. No flip unless it is asked for: the heart is on the left.

    Args:
        kind: "geometry", "intensity" or "both".
        strength: factor on every range, above 0 and below 4, where contrast would reach 100 %. On
            gamma it acts as a power: 2.0 gives exponents from 0.75 ** 2 to 1.33 ** 2.
        flip: exchange left and right in every second pair, at random; for pictures without a side.
        classes: names of the classes that the masks tell apart, none for one: numbers of several
            are moved to the nearest pixel, never interpolated.

    Attributes:
        ranges: what is drawn, name to (lowest, highest). The geometry: `rotation` in degrees,
            `zoom` as the factor by which a length grows, `shift` as a share of the side. The
            intensity: `contrast` as a factor, `brightness` as what is added to grey levels in
            [0, 1], `gamma` as an exponent. Only the names that belong to `kind`.

    Raises:
        ValueError: an argument is outside what is said above.
    """

    def __init__(
        self, kind: str = "both", *, strength: float = 1.0, flip: bool = False,
        classes: Sequence[str] = (),
    ):
        if kind not in ("geometry", "intensity", "both"):
            raise ValueError(f"kind must be 'geometry', 'intensity' or 'both', got {kind!r}")
        if not 0 < strength < 4:
            raise ValueError(
                f"strength must lie between 0 and 4, got {strength!r}; 1.0 is a good start, and "
                "no augmentation at all is augment=None"
            )
        self.flip, self.labels = flip, len(classes) > 1
        self.ranges: dict[str, tuple[float, float]] = {}
        if kind != "intensity":
            self.ranges["rotation"] = (-6 * strength, 6 * strength)
            self.ranges["zoom"] = (1 - 0.12 * strength, 1 + 0.12 * strength)
            self.ranges["shift"] = (-0.06 * strength, 0.06 * strength)
        if kind != "geometry":
            self.ranges["contrast"] = (1 - 0.25 * strength, 1 + 0.25 * strength)
            self.ranges["brightness"] = (-0.1 * strength, 0.1 * strength)
            self.ranges["gamma"] = (0.75**strength, 0.75**-strength)

    def __call__(self, images, masks, *, seed: tuple, place: tuple | None = None):
        """Transform a batch.

        Args:
            images: (B, H, W, 1) float32 in [0, 1].
            masks: (B, H, W, 1) float32 in {0, 1}, or numbers of classes.
            seed: two whole numbers, or scalar integer tensors; the same seed gives the same
                transformations.
            place: (first, whole) if these are pairs number first, first + 1, ... of a batch of
                `whole`: each is transformed as it would be there.

        Returns:
            images and masks, shapes, dtypes and ranges as before. Masks of one class are
            interpolated as the images are and then thresholded at a half, which keeps their
            outlines smooth.
        """
        images, masks = tf.cast(images, tf.float32), tf.cast(masks, tf.float32)
        first, whole = place or (0, tf.shape(images)[0])
        rows = slice(first, first + tf.shape(images)[0])
        draws = {name: drawn[rows] for name, drawn in self.draw(whole, seed=seed).items()}
        if self.flip:
            turned = draw_turns(whole, seed=seed)[rows]
            images, masks = (tf.where(turned, tf.reverse(part, [2]), part)
                             for part in (images, masks))
        if "gamma" in draws:
            images = change_grey(images, draws["contrast"], draws["brightness"], draws["gamma"])
        if "rotation" in draws:
            way = draws["rotation"], draws["zoom"], draws["shift"]
            images, masks = move(images, masks, *way, labels=self.labels)
        return images, masks if self.labels else tf.cast(masks >= 0.5, tf.float32)

    def draw(self, count, *, seed: tuple) -> dict[str, tf.Tensor]:
        """Draw the numbers of `count` transformations, each uniform in its range.

        Each name has its own stream of random numbers, so "geometry" draws the geometry of "both".

        Args:
            count: how many, a whole number or a scalar integer tensor.
            seed: as for a call.

        Returns:
            For each name in `ranges` a float32 tensor: (count, 2) in order x, y for `zoom` and
            `shift`, (count, 1) for the others. The logarithm of `gamma` is uniform.
        """
        pair = tf.stack([tf.cast(part, tf.int64) for part in seed])
        seeds = dict(zip(STREAMS, tf.unstack(tf.random.split(pair, num=len(STREAMS))), strict=True))
        return {n: _uniform(n, count, seeds[n], *span) for n, span in self.ranges.items()}


def _uniform(name: str, count, seed, low: float, high: float):
    shape = [count, 2 if name in ("zoom", "shift") else 1]
    if name == "gamma":
        return tf.exp(tf.random.stateless_uniform(shape, seed, math.log(low), math.log(high)))
    return tf.random.stateless_uniform(shape, seed, low, high)


def change_grey(images, contrast, brightness, gamma):
    """Change grey levels: contrast about each image's mean, then brightness, then gamma.

    Args:
        images: (B, H, W, 1) float32 in [0, 1].
        contrast: (B, 1) float32, factor on the distance to the mean.
        brightness: (B, 1) float32, added.
        gamma: (B, 1) float32, the exponent, above 0.

    Returns:
        (B, H, W, 1) float32 in [0, 1]; what leaves the range is cut off before the exponent.
    """
    contrast, brightness, gamma = (
        part[:, :, tf.newaxis, tf.newaxis] for part in (contrast, brightness, gamma)
    )
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    images = images * contrast + (mean * (1 - contrast) + brightness)
    images = tf.clip_by_value(images, 0, 1)
    return tf.exp(gamma * tf.math.log(images))  # images ** gamma, six times as fast


def draw_turns(count, *, seed: tuple):
    """Draw which of `count` pairs to turn over, (count, 1, 1, 1) bool; seed as for a call."""
    own = tf.random.experimental.stateless_fold_in(
        tf.stack([tf.cast(part, tf.int64) for part in seed]), 1
    )  # apart from the numbers that are drawn without a flip
    return tf.random.stateless_uniform((count, 1, 1, 1), own) < 0.5


def move(images, masks, rotation, zoom, shift, *, labels: bool = False):
    """Rotate, zoom and shift pairs in one bilinear interpolation; black comes in from outside.

    Args:
        images: (B, H, W, 1) float32 in [0, 1].
        masks: the same shape, float32 in [0, 1], or numbers of classes.
        rotation: (B, 1) float32 in degrees.
        zoom: (B, 2) float32, factors along x and y, above 0.
        shift: (B, 2) float32, along x and y, as shares of the side.
        labels: masks hold numbers of classes: each pixel takes the nearest one.

    Returns:
        images and masks, (B, H, W, 1) float32, ranges as before.
    """
    rows = affine_rows(rotation, zoom, shift, size=tf.shape(images)[1:3])
    if labels:
        return _warp(images, rows, "BILINEAR"), _warp(masks, rows, "NEAREST")
    moved = _warp(tf.concat([images, masks], axis=-1), rows, "BILINEAR")
    return moved[..., :1], moved[..., 1:]


def _warp(pictures, rows, interpolation: str):
    """Apply (B, 8) rows of `affine_rows` to (B, H, W, C) float32; black comes in from outside."""
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures, transforms=rows, output_shape=tf.shape(pictures)[1:3],
        fill_value=0.0, interpolation=interpolation, fill_mode="CONSTANT",
    )  # fmt: skip
    moved.set_shape(pictures.shape)
    return moved


def affine_rows(rotation, zoom, shift, *, size):
    """Compose rotation, then zoom, then shift, about the centre of the image.

    Args:
        rotation: (B, 1) float32 in degrees.
        zoom: (B, 2) float32, factors along x and y, above 0.
        shift: (B, 2) float32, along x and y, as shares of the side.
        size: (height, width) in px.

    Returns:
        (B, 8) float32 rows (a, b, c, d, e, f, 0, 0): the result's pixel (x, y) shows what was at
        (a x + b y + c, d x + e y + f).
    """
    sides = tf.cast(size, tf.float32)[::-1]  # x before y
    centre = (sides - 1) / 2
    angle = rotation * (math.pi / 180)
    cos, sin = tf.cos(angle) / zoom, tf.sin(angle) / zoom
    ab = tf.stack([cos[:, 0], -sin[:, 1]], axis=1)
    de = tf.stack([sin[:, 0], cos[:, 1]], axis=1)
    start = centre + shift * sides  # where the centre comes to lie
    c = centre[0] - tf.reduce_sum(ab * start, axis=1, keepdims=True)
    f = centre[1] - tf.reduce_sum(de * start, axis=1, keepdims=True)
    return tf.concat([ab, c, de, f, tf.zeros_like(ab)], axis=1)
