"""Train one recipe and score it: what notebooks 07 and 08 compare."""

import collections
import logging
import time
from collections.abc import Iterable, Iterator, Sequence

import keras
import numpy as np

from unet_lib import architecture, batches, losses, metrics, prediction, training
from unet_lib.augmentation import Augmentation

# Each of many models is traced anew, as it must be; TensorFlow takes that for a mistake.
logging.getLogger("tensorflow").addFilter(lambda told: "retracing" not in told.getMessage())

#: The settings of the original, but for the number of epochs.
ORIGINAL = {
    "image_size": 512, "width": 16, "head": "original", "normalization": "none",
    "standardize": False, "dropout": 0.5, "loss": "bce", "learning_rate": 1e-4,
    "schedule": "constant", "augment": "none", "augmentation_strength": 1.0, "batch_size": 10,
}  # fmt: skip

#: Settings of a recipe that `build_unet` takes.
LAYERS = ("width", "head", "normalization", "standardize", "dropout")

#: What notebook 07 arrives at.
BEST = ORIGINAL | {
    "head": "direct", "normalization": "batch", "loss": "bce_dice", "learning_rate": 2e-3,
    "schedule": "cosine", "augment": "both",
}  # fmt: skip


def train(
    arrays: tuple[np.ndarray, np.ndarray],
    recipe: dict,
    *,
    epochs: int,
    seed: int,
    start: keras.Model | None = None,
) -> tuple[keras.Model, float]:
    """Train one model without leaving files.

    Args:
        arrays: images (N, S, S) uint8 in [0, 255] and masks (N, S, S) in [0, 1], S being the
            recipe's image_size. Numbers of several classes are taken together.
        recipe: settings by name, all those of `ORIGINAL`; "augment" is "none", "geometry",
            "intensity" or "both", "augmentation_strength" its factor.
        epochs: how often all pairs are seen.
        seed: of weights, order, dropout and augmentation.
        start: take over the weights of this model, whatever its image size.

    Returns:
        The model after the last epoch, and the CPU seconds that `fit` took, of all cores together:
        unlike the clock's, they hardly depend on what else the machine does.
    """
    images, masks = arrays
    masks = np.minimum(masks, 1) if masks.max() > 1 else masks
    keras.utils.set_random_seed(seed)
    steps = batches.steps_per_epoch(len(images), recipe["batch_size"])
    unet = build(recipe, total_steps=epochs * steps, metrics=False)
    if start is not None:
        unet.set_weights(start.get_weights())
    stream = batches.training_batches(
        images, masks, batch_size=recipe["batch_size"], epochs=epochs, seed=seed,
        augment=augmenter(recipe),
    )  # fmt: skip
    started = time.process_time()
    unet.fit(
        stream, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0,
        callbacks=[training.SeedDropout(seed), training.StopOnNaN()],
    )  # fmt: skip
    return unet, time.process_time() - started


def build(
    settings: dict, *, total_steps: int, metrics: bool = True, classes: Sequence[str] = ()
) -> keras.Model:
    """Build and compile the model of a recipe, or of a run as notebook 04 records it.

    Args:
        settings: by name, with others that are passed over.
        total_steps: steps of all epochs together.
        metrics: whether accuracy and Dice are watched.
        classes: names of the classes that the masks tell apart; none for one.
    """
    layers = {name: settings[name] for name in LAYERS}
    unet = architecture.build_unet(settings["image_size"], **layers, classes=len(classes) or 1)
    rate = {name: settings[name] for name in ("loss", "learning_rate", "schedule")}
    compile_unet(unet, **rate, total_steps=total_steps, metrics=metrics, classes=classes)
    return unet


def augmenter(settings: dict, *, classes: Sequence[str] = ()) -> Augmentation | None:
    """Return what is done to training pairs, by a recipe or by the settings of a run.

    Args:
        settings: by name, with others that are passed over. "augment" is a word as in `train`, or
            whether at all, as notebook 04 records it; then it is "both".
        classes: as for `compile_unet`.
    """
    kind = {True: "both", False: "none"}.get(settings["augment"], settings["augment"])
    if kind == "none":
        return None
    strength, flip = settings["augmentation_strength"], settings.get("flip", False)
    return Augmentation(kind, strength=strength, flip=flip, classes=classes)


def compile_unet(
    unet: keras.Model,
    *,
    loss: str,
    learning_rate: float,
    schedule: str,
    total_steps: int,
    metrics: bool = True,
    classes: Sequence[str] = (),
) -> None:
    """Compile a model as notebook 04 does.

    Args:
        unet: from `build_unet`.
        loss: a key of `losses.LOSSES`.
        learning_rate: Adam's step size at the start.
        schedule: "constant", or "cosine": the rate falls to zero along a half cosine.
        total_steps: steps of all epochs together.
        metrics: whether accuracy and Dice are watched; without them a step is quicker.
        classes: names of the classes that the masks tell apart; none for one.
    """
    rate = learning_rate
    if schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps=total_steps)
    dice = keras.metrics.MeanMetricWrapper(losses.batch_dice, name="dice")
    unet.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=losses.choose(loss, classes=classes),
        metrics=["accuracy", dice] if metrics else None,
    )


def score(
    unet: keras.Model, pairs: Iterable[tuple[np.ndarray, np.ndarray]], *, outlines: bool = False
) -> dict[str, float]:
    """Return the means over pairs of what `score_each` measures; arguments as there."""
    rows = score_each(unet, pairs, outlines=outlines)
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def score_each(
    unet: keras.Model, pairs: Iterable[tuple[np.ndarray, np.ndarray]], *, outlines: bool = False
) -> list[dict[str, float]]:
    """Measure a model on each pair, at a threshold of 0.5 and at its own size.

    Args:
        unet: any model from `build_unet`.
        pairs: image and mask each, as `datasets.read_pairs` gives them one by one; all classes of a
            mask are taken together.
        outlines: measure hd95 too, as a share of the image's width; it takes longer.

    Returns:
        For each pair dice, accuracy, and perhaps hd95.
    """
    masks, rows = collections.deque(), []

    def pictures() -> Iterator[np.ndarray]:
        for image, mask in pairs:
            masks.append(mask)
            yield image

    for probability in prediction.predict_all(unet, pictures()):
        mask = masks.popleft()
        found = metrics.score(mask > 0, probability >= 0.5)
        row = {name: found[name] for name in ("dice", "accuracy")}
        if outlines:
            surface = metrics.surface_score(mask > 0, probability >= 0.5, tolerance=0)
            row["hd95"] = surface["hd95"] / mask.shape[1]
        rows.append(row)
    return rows
