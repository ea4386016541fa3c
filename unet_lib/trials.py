"""Trials of notebook 07: which there are, data spoiled on purpose, one training, its judges.

And the whole run by a recipe with which the notebook ends.
"""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import keras
import numpy as np

from unet_lib import (
    batches,
    calibration,
    datasets,
    experiments,
    pixels,
    prediction,
    runs,
    training,
)

OURS = "+ augmentation"
"""The last rung of the ladder: our recipe."""


def variants(size: int) -> dict[tuple[str, str], dict]:
    """Return every trial: (suspect, name) -> recipe.

    Each suspect is tried alone, by one change to our recipe; four trials change the original's,
    where the suspicion came from.

    Args:
        size: side of the square that the models see, px, a multiple of 16.
    """
    half, ours = 16 * round(size / 32), experiments.BEST | {"image_size": size}
    original = experiments.ORIGINAL | {"image_size": size}
    changes = {
        "pairs": {f"{p:.0%} mispaired": {"mispaired": p} for p in (0.5, 0.75, 1.0)},
        "head": {"the original's head": {"head": "original"}},
        "normalization": {"no normalization": {"normalization": "none"}},
        "dropout": {"no dropout": {"dropout": 0.0}},
        "rate": {"constant rate": {"schedule": "constant"}, "rate × 4": {"learning_rate": 8e-3},
                 "the original's rate": {"schedule": "constant", "learning_rate": 1e-4}},
        "loss": {name: {"loss": name} for name in ("bce", "dice", "focal")},
        "augmentation": {f"{kind} only": {"augment": kind} for kind in ("geometry", "intensity")},
        "standardization": {"standardized": {"standardize": True}},
        "size": {"smaller images": {"image_size": half}, "images × 2": {"image_size": 2 * size},
                 "then images × 4": {"image_size": 4 * size, "first_size": size},
                 "only images × 4": {"image_size": 4 * size, "epochs": 1}},
    }  # fmt: skip
    found = {(suspect, name): ours | change
             for suspect, group in changes.items() for name, change in group.items()}
    return found | {
        ("masks", "grey masks"): original | {"soft": True},
        ("pairs", "the original's, mispaired"): original | {"mispaired": 1.0},
        ("dropout", "the original's, no dropout"): original | {"dropout": 0.0},
        ("death", "one epoch"): original | {"image_size": half, "epochs": 1},
    }


def choose(known: dict[tuple[str, str], dict], suspects: str) -> dict[tuple[str, str], dict]:
    """Return the trials of some suspects, and our recipe to compare them with.

    Args:
        known: (suspect, name) -> recipe.
        suspects: their names, comma-separated, or "all".

    Raises:
        ValueError: there is no such suspect.
    """
    names = list(dict.fromkeys(suspect for suspect, _ in known))
    chosen = names if suspects == "all" else [name.strip() for name in suspects.split(",")]
    if not set(chosen) <= set(names):
        raise ValueError(f"suspects must be 'all' or some of {', '.join(names)}; got {suspects!r}")
    return {(s, name): r for (s, name), r in known.items() if s in chosen or name == OURS}


def tasks(
    chosen: dict[tuple[str, str], dict], folder: Path, train_ids: list[str],
    validation_ids: list[str], *, epochs: int, seeds: int,
) -> Iterator[tuple[dict, Callable[[], dict]]]:
    """Yield key and measurement of each training for `tables.remember_all`.

    All trials with one seed come before the next seed. "death" needs twenty trainings.
    """
    sha = datasets.load_manifest(folder)["data_sha256"][:8]
    for seed in range(max(seeds, 20)):
        for (suspect, name), recipe in chosen.items():
            if seed < (20 if suspect == "death" else seeds):
                size = next(r["image_size"] for (_, n), r in chosen.items() if n == OURS)
                key = {"suspect": suspect, "variant": name, "seed": seed, "data": f"sha {sha}",
                       "size": size, "epochs": epochs, "pairs": len(train_ids)}  # fmt: skip
                yield key, functools.partial(
                    measure, folder, train_ids, validation_ids, recipe, epochs=epochs, seed=seed
                )


def measure(
    folder: Path, train_ids: list[str], validation_ids: list[str], recipe: dict, *,
    epochs: int, seed: int,
) -> dict[str, float]:
    """Train a recipe once and judge it; what the table of notebook 07 holds of a training.

    A recipe with "first_size" learns at that size, then for one epoch at its own, at a lower rate
    that falls to zero; "epochs" in a recipe wins over the argument.

    Args:
        folder: a data set made by notebook 01.
        train_ids: the pairs to learn from.
        validation_ids: the pairs to judge by.
        recipe: see `experiments.train` and `load`.
        epochs: how often all pairs are seen.
        seed: see `experiments.train`.

    Returns:
        `judge` and `seen`; active and probability_range, see `training.probe`; seconds of all cores
        together.
    """
    epochs, start, spent = recipe.get("epochs", epochs), None, 0.0
    if "first_size" in recipe:
        first = recipe | {"image_size": recipe["first_size"]}
        arrays = load(folder, train_ids, first)
        start, spent = experiments.train(arrays, first, epochs=epochs, seed=seed)
        recipe, epochs = recipe | {"learning_rate": 5e-4}, 1
    arrays = load(folder, train_ids, recipe)
    unet, seconds = experiments.train(arrays, recipe, epochs=epochs, seed=seed, start=start)
    pictures, masks = load(folder, validation_ids, recipe)
    row = judge(unet, folder, validation_ids) | seen(unet, pictures, masks)
    found = training.probe(unet, pixels.to_float(pictures[:8]))
    row |= {"active": found["active"], "probability_range": found["max"] - found["min"]}
    keras.utils.clear_session()
    row = {name: round(float(value), 5) for name, value in row.items()}
    return row | {"seconds": round(seconds + spent, 1)}


def load(folder: Path, ids: list[str], recipe: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return images and masks as a recipe wants them, spoiled or sound.

    Args:
        folder: a data set made by notebook 01.
        ids: the pairs.
        recipe: image_size; perhaps soft (masks are resized to grey, as the original did) and
            mispaired (the share of images that get the mask of another, in [0, 1]).

    Returns:
        images (N, S, S) uint8 in [0, 255]; masks (N, S, S) in [0, 1], uint8 or, if soft, float32.
    """
    size = recipe["image_size"]
    pictures, masks = batches.open_arrays(folder, ids, image_size=size)
    if datasets.class_names(datasets.load_manifest(folder)):
        masks = np.minimum(masks, 1)
    if recipe.get("soft"):
        full = ((mask > 0).astype(np.float32) for _, mask in datasets.read_pairs(folder, ids))
        masks = np.stack([cv2.resize(mask, (size, size)) for mask in full])  # bilinear
    if recipe.get("mispaired"):
        count = round(recipe["mispaired"] * len(ids))
        moved = np.random.default_rng(0).permutation(len(ids))[:count]
        masks = masks.copy()
        masks[moved] = masks[np.roll(moved, 1)]
    return pictures, masks


def judge(unet: keras.Model, folder: Path, ids: list[str]) -> dict[str, float]:
    """Return the Dice at home and in an imitated hospital, against sound masks at their own size.

    Returns:
        dice; exposure, the mean over brighter and darker images; framing, over smaller ones in a
        black frame.
    """
    grey = np.arange(256) / 255
    brighter, darker = (np.round(255 * grey**gamma).astype(np.uint8) for gamma in (0.5, 2.0))

    def dice(image_changed: Callable, mask_changed: Callable = lambda mask: mask) -> float:
        pairs = _changed(folder, ids, image_changed, mask_changed)
        return experiments.score(unet, pairs)["dice"]

    exposures = [dice(lambda image, curve=curve: curve[image]) for curve in (brighter, darker)]
    return {"dice": dice(lambda image: image), "exposure": float(np.mean(exposures)),
            "framing": dice(framed, framed)}


def _changed(folder: Path, ids: list[str], on_image: Callable, on_mask: Callable) -> Iterator:
    for image, mask in datasets.read_pairs(folder, ids):
        yield on_image(image), on_mask(np.minimum(mask, 1))


def framed(array: np.ndarray) -> np.ndarray:
    """Return an image or mask (H, W) at three quarters of its size, in a black frame."""
    rows, columns = (side // 8 for side in array.shape)
    small = cv2.resize(array, (array.shape[1] - 2 * columns, array.shape[0] - 2 * rows),
                       interpolation=cv2.INTER_NEAREST)
    return cv2.copyMakeBorder(small, rows, rows, columns, columns, cv2.BORDER_CONSTANT, value=0)


def seen(unet: keras.Model, pictures: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    """Return accuracy and loss as someone sees them who does not know that the data are spoiled.

    Args:
        unet: any model from `build_unet`.
        pictures: (N, S, S) uint8 in [0, 255].
        masks: (N, S, S) in [0, 1], spoiled like those of the training.

    Returns:
        seen_accuracy: a grey mask pixel counts as wrong, whatever is predicted, as in Keras.
        seen_loss: cross-entropy.
    """
    probability = prediction.predict_squares(unet, pictures)
    loss = keras.losses.binary_crossentropy(masks.astype(np.float32).ravel(), probability.ravel())
    accuracy = np.mean(masks == (probability >= 0.5))
    return {"seen_accuracy": float(accuracy), "seen_loss": float(loss)}


def judge_run(run: Path, folder: Path, ids: list[str]) -> dict[str, np.ndarray]:
    """Measure a run's best model as notebook 06 does; several classes are taken together.

    Args:
        run: the run's folder.
        folder: a data set made by notebook 01.
        ids: pairs of it.

    Returns:
        dice (N,) in [0, 1] and hd95 (N,), a share of the image's width, at each image's own size;
        ece (1,), the calibration error of all pixels at the model's size.
    """
    unet = prediction.foreground(prediction.load(run / "best.keras"))
    pictures, numbers = batches.open_arrays(folder, ids, image_size=unet.input_shape[1])
    said, masks = prediction.predict_squares(unet, pictures), np.minimum(numbers, 1)
    rows = experiments.score_each(unet, datasets.read_pairs(folder, ids), outlines=True)
    found = {name: np.array([row[name] for row in rows]) for name in ("dice", "hd95")}
    return found | {"ece": np.array([calibration.reliability(masks, said)["error"]])}


def train_run(run: Path, folder: Path, settings: dict) -> dict:
    """Train a whole run as notebook 04 does, with its files; a second call finds it finished.

    Args:
        run: the run's folder; what an interrupted training left there is taken up.
        folder: a data set made by notebook 01.
        settings: everything that the run depends on, as notebook 04 records it.

    Returns:
        The record, as in run.json.
    """
    manifest, settings = datasets.load_manifest(folder), dict(settings)
    size, epochs, batch_size = (settings[n] for n in ("image_size", "epochs", "batch_size"))
    runs.open_run(run, parameters=settings, data_sha256=manifest["data_sha256"])
    training_pairs, validation_pairs = (
        batches.open_arrays(folder, ids, image_size=size)
        for ids in datasets.used_ids(manifest, settings.get("training_pairs", 0))
    )
    steps = batches.steps_per_epoch(len(training_pairs[0]), batch_size)
    keras.utils.set_random_seed(settings["seed"])
    keras.config.set_dtype_policy(settings["precision"])
    classes = settings.get("classes", [])
    unet = experiments.build(settings, total_steps=epochs * steps, classes=classes)
    unet, done = training.resume(run, unet, epochs=epochs)
    stream = batches.training_batches(
        *training_pairs, batch_size=batch_size, epochs=epochs, seed=settings["seed"],
        first_epoch=done, augment=experiments.augmenter(settings, classes=classes),
    )  # fmt: skip
    validation = batches.evaluation_batches(*validation_pairs, batch_size=batch_size)
    with training.one_sentence_if_interrupted(run):
        unet.fit(
            stream, validation_data=validation, epochs=epochs, initial_epoch=done,
            steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[
                training.SeedDropout(settings["seed"]), training.StopOnNaN(),
                training.EpochSaver(run), training.Progress(epochs=epochs),
            ],
        )  # fmt: skip
    return runs.close_run(run, model_parameters=unet.count_params())
