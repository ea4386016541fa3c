"""One random change for image and mask alike, inside `tf.data`."""

import keras
import tensorflow as tf


class Augmentation:
    """One random transformation for each pair, of image and mask alike.

    Rotation by up to 6 degrees, zoom by up to 12 %, shift by up to 6 % of the side; then, on the
    image alone, contrast by up to 25 %, brightness by up to 0.1, gamma with an exponent from 0.75
    to 1.33. What the geometry uncovers is black, as beyond a collimator. No flip: the heart is on
    the left.

    Args:
        kind: "geometry", "intensity" or "both".
        strength: factor on every range, above 0 and below 4, where contrast would reach 100 %.

    Raises:
        ValueError: an argument is outside what is said above.
    """

    def __init__(self, kind: str = "both", *, strength: float = 1.0):
        if kind not in ("geometry", "intensity", "both"):
            raise ValueError(f"kind must be 'geometry', 'intensity' or 'both', got {kind!r}")
        if not 0 < strength < 4:
            raise ValueError(
                f"strength must lie between 0 and 4, got {strength!r}; 1.0 is a good start, and "
                "no augmentation at all is augment=None"
            )
        exact = {"dtype": "float32"}  # whatever precision the model trains in
        border = {"fill_mode": "constant", "fill_value": 0.0, **exact}
        grey = {"value_range": (0.0, 1.0), **exact}
        ranges = (6 / 360, 0.12, 0.06, 0.25, 0.1, 0.29)
        turn, zoom, shift, contrast, brightness, gamma = (strength * r for r in ranges)
        self.ranges = ranges
        self.geometry, self.intensity, self.gamma = [], [], 0.0
        if kind != "intensity":
            self.geometry = [
                keras.layers.RandomRotation(turn, **border),
                keras.layers.RandomZoom((-zoom, zoom), (-zoom, zoom), **border),
                keras.layers.RandomTranslation(shift, shift, **border),
            ]
        if kind != "geometry":
            self.gamma = gamma
            self.intensity = [
                keras.layers.RandomContrast(contrast, **grey),
                keras.layers.RandomBrightness(brightness, **grey),
            ]

    def __call__(self, images, masks, *, seed: tuple):
        """Transform a batch.

        Args:
            images: (B, S, S, 1) float32 in [0, 1].
            masks: (B, S, S, 1) float32 in {0, 1}.
            seed: two whole numbers; the same seed gives the same transformations.

        Returns:
            images and masks, shapes and ranges as before. Masks are moved as the images are and
            then thresholded at a half; three steps of nearest neighbour, Keras' way with masks,
            would leave their outlines ragged.
        """
        draws = _Draws(seed)
        for layer in [*self.geometry, *self.intensity]:
            layer.backend.set_backend("tensorflow")  # in tf.data, whatever backend trains the model
            change = layer.get_random_transformation({"images": images}, seed=draws)
            images = layer.transform_images(images, change)
            if layer in self.geometry:
                masks = layer.transform_images(masks, change)
        images = tf.clip_by_value(images, 0, 1)
        if self.gamma:
            shape = [tf.shape(images)[0], 1, 1, 1]
            span = tf.random.stateless_uniform(shape, draws.next(), -self.gamma, self.gamma)
            images **= tf.exp(span)
        return images, tf.cast(masks >= 0.5, tf.float32)


class _Draws(keras.random.SeedGenerator):
    """Seeds that follow from (seed, step) and the place of the draw, not from earlier draws."""

    def __init__(self, seed: tuple):
        self._seed, self._count = [tf.cast(part, tf.int32) for part in seed], 0

    def next(self, ordered: bool = True):
        self._count += 1
        return tf.stack([self._seed[0] * 64 + self._count, self._seed[1]])
