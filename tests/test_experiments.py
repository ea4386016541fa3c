"""Recipes: the same seed trains the same model, a start is taken over, scores are means."""

import contextlib
import io
import logging
import re
import weakref

import keras
import nbformat
import numpy as np
import pytest
import yaml

from unet_lib import architecture, batches, experiments, losses, workspace

TINY = experiments.ORIGINAL | {"image_size": 16, "width": 2, "batch_size": 4, "learning_rate": 0.01}


def squares(count=6, size=16):
    """Bright squares on noise, (N, size, size) uint8, and where they are."""
    rng = np.random.default_rng(0)
    masks = np.zeros((count, size, size), np.uint8)
    for mask in masks:
        top, left = rng.integers(1, size // 2, 2)
        mask[top : top + size // 2, left : left + size // 2] = 1
    noise = rng.integers(0, 60, masks.shape, np.uint8)
    return noise + masks * np.uint8(150), masks


def weights(recipe=TINY, *, seed=0, epochs=1, start=None):
    arrays = squares(size=recipe["image_size"])
    unet, seconds = experiments.train(arrays, recipe, epochs=epochs, seed=seed, start=start)
    assert seconds > 0  # of CPU time
    return [np.array(weight) for weight in unet.get_weights()]


def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def close(one, other):
    return all(np.allclose(a, b, atol=1e-6) for a, b in zip(one, other, strict=True))


# ------------------------------------------------------------------------------------- training


def test_seeds_reproduce_with_dropout_and_augmentation():
    recipe = TINY | {"augment": "intensity"}
    first = weights(recipe)
    assert same(first, weights(recipe))
    assert not same(first, weights(recipe, seed=1))


def test_several_classes_are_taken_together(threshold_model):
    images, masks = squares(size=TINY["image_size"])
    numbers = masks * np.uint8(2)
    numbers[:, :, ::2] = masks[:, :, ::2]
    one, two = (experiments.train((images, held), TINY, epochs=1, seed=0)[0].get_weights()
                for held in (masks, numbers))
    assert same(one, two)
    pairs = [list(zip(images, held, strict=True)) for held in (masks, numbers)]
    scores = [experiments.score(threshold_model, each, outlines=True) for each in pairs]
    assert scores[0] == scores[1]


@pytest.fixture
def built(monkeypatch):
    """Build and compile as `train` does, but do not train; return the model and fit's arguments."""

    def build(change, epochs=3):
        seen = {}
        stream, augmentation = batches.training_batches, experiments.Augmentation

        def spied_stream(*arrays, **options):
            seen.update(options)
            return stream(*arrays, **options)

        def spied_augmentation(kind, **options):
            seen.update(kind=kind, **options)
            return augmentation(kind, **options)

        with monkeypatch.context() as patch:
            patch.setattr(batches, "training_batches", spied_stream)
            patch.setattr(experiments, "Augmentation", spied_augmentation)
            patch.setattr(keras.Model, "fit", lambda self, *a, **options: seen.update(options))
            unet, _ = experiments.train(squares(6), TINY | change, epochs=epochs, seed=4)
        return unet, seen

    return build


def test_each_setting_reaches_the_training(built):
    unet, seen = built({})
    assert (seen["batch_size"], seen["epochs"], seen["seed"], seen["augment"]) == (4, 3, 4, None)
    assert seen["steps_per_epoch"] == 2  # the last batch of an epoch is smaller
    assert unet.loss == "binary_crossentropy" and unet.get_layer("conv2d_22").filters == 2
    assert float(unet.optimizer.learning_rate) == pytest.approx(0.01)
    assert built({"loss": "dice"})[0].loss is losses.soft_dice
    assert float(built({"learning_rate": 0.5})[0].optimizer.learning_rate) == 0.5
    assert built({"dropout": 0.25})[0].get_layer("dropout").rate == 0.25
    grey = built({"augment": "intensity"})[1]
    assert (grey["kind"], grey["strength"]) == ("intensity", 1.0) and grey["augment"]
    assert built({"batch_size": 3})[1]["batch_size"] == 3
    assert built({"head": "direct"})[0].layers[-1].input.shape[-1] == 2  # width 2, no head
    assert built({"normalization": "batch"})[0].get_layer("batch_normalization")
    assert built({"standardize": True})[0].get_layer("group_normalization")
    wide = built({"augment": "geometry", "augmentation_strength": 2.0})[1]
    assert (wide["kind"], wide["strength"]) == ("geometry", 2.0) and wide["augment"]
    assert built({"width": 3})[0].get_layer("conv2d").filters == 3


def test_cosine_ends_at_zero(built):
    optimizer = built({"schedule": "cosine"}, epochs=3)[0].optimizer
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    optimizer.iterations.assign(3 * 2)
    assert float(optimizer.learning_rate) == pytest.approx(0, abs=1e-9)


def test_start_takes_over_weights_across_image_sizes():
    keras.utils.set_random_seed(7)
    start = architecture.build_unet(16, width=2)
    still = TINY | {"image_size": 32, "learning_rate": 1e-12}  # what was taken over stays
    before = start.get_weights()
    taken = weights(still, start=start)
    assert close(taken, before) and same(before, start.get_weights())
    assert not close(architecture.build_unet(32, width=2).get_weights(), taken)


def test_soft_masks_are_not_thresholded():
    pictures, masks = squares()
    ends = [
        experiments.train((pictures, truth), TINY, epochs=1, seed=0)[0].get_weights()
        for truth in (masks, masks * 0.4)
    ]
    assert not same(*ends)


def test_a_model_without_dropout_can_be_trained():
    assert weights(TINY | {"dropout": 0.0})  # Keras gives such a layer no state to set


# -------------------------------------------------------------------------------------- scoring


def pair(height, width, columns):
    """An image that is bright in its left columns, and a mask of its left half."""
    image, mask = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    image[:, :columns], mask[:, : width // 2] = 255, 1
    return image, mask


def test_scores_are_means_over_images_at_their_own_size(threshold_model):
    right, wide = pair(32, 32, 16), pair(32, 64, 48)  # the second finds 48 columns instead of 32
    scores = experiments.score(threshold_model, iter([right, wide]), outlines=True)
    assert scores["dice"] == pytest.approx((1 + 2 * 32 / (32 + 48)) / 2)
    assert scores["accuracy"] == pytest.approx((1 + 0.75) / 2)
    assert 0.2 < 2 * scores["hd95"] <= 16 / 64  # of the image's width
    quick = experiments.score(threshold_model, iter([right, wide]))
    assert quick == {name: scores[name] for name in ("dice", "accuracy")}


def test_scoring_holds_a_batch_of_pairs_and_no_more(threshold_model):
    """However many are judged: sixty of 3000 x 3000 px are a gigabyte."""
    alive, most = weakref.WeakSet(), 0

    class Array(np.ndarray):
        __hash__ = object.__hash__

    def pairs():
        nonlocal most
        for image, mask in zip(*squares(count=70), strict=True):
            pair = image.copy().view(Array), mask.copy().view(Array)
            for array in pair:
                alive.add(array)
            most = max(most, len(alive))
            yield pair
            del pair

    assert len(experiments.score_each(threshold_model, pairs())) == 70
    assert most <= 2 * 10


def test_many_models_in_one_process_are_no_mistake(caplog):
    """TensorFlow warns of tracing anew; other warnings of it are still heard."""
    log = logging.getLogger("tensorflow")
    log.addHandler(caplog.handler)
    log.warning("5 out of the last 13 calls triggered tf.function retracing")
    log.warning("something else")
    log.removeHandler(caplog.handler)
    assert {record.getMessage() for record in caplog.records} == {"something else"}


def test_best_differs_from_the_original_in_what_the_notebook_says():
    changed = {k for k, value in experiments.ORIGINAL.items() if experiments.BEST[k] != value}
    assert changed == {"head", "normalization", "loss", "learning_rate", "schedule", "augment"}
    assert experiments.BEST["loss"] in losses.LOSSES and batches.steps_per_epoch(425, 10) == 43


def test_the_originals_recipe_is_that_of_the_parameter_file():
    text = (workspace.PROJECT / "notebooks" / "params" / "original.yaml").read_text("utf-8")
    written = yaml.safe_load(text) | {"learning_rate": 0.0001, "augment": "none"}
    assert re.search(r"^learning_rate: 0\.0001 ", text, re.M)
    assert re.search(r"^augment: false$", text, re.M)
    left = {"standardize": False, "augmentation_strength": 1.0}  # not in the file: the defaults
    assert experiments.ORIGINAL == {k: (written | left)[k] for k in experiments.ORIGINAL}
    ours = {"head": "direct", "normalization": "batch", "loss": "bce_dice", "learning_rate": 0.002,
            "schedule": "cosine", "augment": "both"}
    assert experiments.BEST == experiments.ORIGINAL | ours


# ---------------------------------------------------------------------------------- compile_unet


@pytest.mark.parametrize("loss", list(losses.LOSSES))
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_notebook_compiles_what_the_library_compiles(loss, schedule):
    notebook = nbformat.read(workspace.PROJECT / "notebooks" / "04_train.ipynb", as_version=4)
    (source,) = (cell.source for cell in notebook.cells if cell.id == "compile")
    space = {"keras": keras, "batches": batches, "architecture": architecture, "losses": losses}
    space |= {"image_size": 16, "model_options": {"width": 2}, "seed": 3, "loss": loss}
    space |= {"train_ids": list("abcdefg"), "batch_size": 3, "epochs": 5, "learning_rate": 0.002}
    space |= {"schedule": schedule, "names": []}
    keras.utils.clear_session()  # Keras counts optimizers for their names
    with contextlib.redirect_stdout(io.StringIO()):
        exec(source, space)
    ours = space["unet"]
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    imported = architecture.build_unet(16, width=2)
    experiments.compile_unet(
        imported, loss=loss, learning_rate=0.002, schedule=schedule, total_steps=5 * 3
    )
    configs = [unet.get_compile_config() for unet in (ours, imported)]
    assert configs[0] == configs[1] and set(configs[0]) >= {"optimizer", "loss", "metrics"}
    assert type(ours.optimizer) is type(imported.optimizer) is keras.optimizers.Adam
    assert ours.optimizer.get_config() == imported.optimizer.get_config()
    image, mask = np.random.default_rng(0).random((2, 3, 16, 16, 1), dtype="float32")
    results = []
    for unet in (ours, imported):
        unet.run_eagerly = True  # tracing takes longer than one step
        results.append(unet.test_on_batch(image, np.round(mask), return_dict=True))
    assert results[0] == results[1] and set(results[0]) == {"loss", "accuracy", "dice"}


def test_several_classes_are_compiled_with_their_losses():
    unet = architecture.build_unet(16, width=2, classes=2)
    options = {"learning_rate": 0.1, "schedule": "constant", "total_steps": 9}
    experiments.compile_unet(unet, loss="bce", **options, classes=("a", "b"))
    assert unet.get_compile_config()["loss"] == "sparse_categorical_crossentropy"


def test_a_cosine_ends_at_zero_and_metrics_can_be_left_out():
    unet = architecture.build_unet(16, width=1)
    experiments.compile_unet(
        unet, loss="dice", learning_rate=0.01, schedule="cosine", total_steps=8, metrics=False
    )
    assert unet.loss is losses.soft_dice and not unet.get_compile_config()["metrics"]
    rates = []
    for step in (0, 4, 8):
        unet.optimizer.iterations.assign(step)
        rates.append(float(unet.optimizer.learning_rate))
    assert rates == pytest.approx([0.01, 0.005, 0], abs=1e-9)
